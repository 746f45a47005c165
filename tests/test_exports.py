"""What ``import medxgan`` promises."""

import tomllib
from pathlib import Path

import pytest

import medxgan

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("name", medxgan.__all__)
def test_every_exported_name_exists(name: str) -> None:
    assert getattr(medxgan, name) is not None


def test_exported_names_are_sorted_and_unique() -> None:
    assert medxgan.__all__ == sorted(set(medxgan.__all__))


def test_promised_names_are_exported() -> None:
    promised = {"load", "Explainer", "Explanation", "LatentIntegratedGradients", "MedxganError"}
    assert promised <= set(medxgan.__all__)


def test_version_is_that_of_the_project() -> None:
    assert medxgan.__version__ == PROJECT["version"]


def test_every_dependency_is_pinned() -> None:
    """What was not pinned was not tested."""
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower() for line in lines if "==" in line}
    assert {requirement.partition(">")[0].lower() for requirement in needed} <= pinned
