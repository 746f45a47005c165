"""The README keeps its word: its Python runs, its commands parse, its links lead somewhere."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.main import get_command

from medxgan.classifiers import read_spec
from medxgan.classifiers.storage import DESCRIPTION_KEYS
from medxgan.cli import app
from medxgan.data import write_image
from medxgan.data.phantom import make_phantoms

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
PAGES = [README, PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md", *PROJECT.glob("docs/*.md")]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page that are in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.M)


def commands(page: Path) -> list[str]:
    """Lines of console blocks that call the program; continued lines are joined."""
    lines = "\n".join(blocks(page, "console")).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("medxgan ")]


def parse(command: str) -> None:
    """Parse as the program would: every option is known, all that is required is there."""
    name, *arguments = shlex.split(command)[1:]
    program: Any = get_command(app).commands[name]
    context = program.context_class(program, info_name=name)
    given, left_over, _ = program.make_parser(context).parse_args(arguments)
    assert left_over == []
    absent = [
        parameter.name
        for parameter in program.params
        if parameter.required and not given.get(parameter.name)
    ]
    assert absent == []


@pytest.fixture
def folder_with_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ``scan.png``, a phantom with a lesion."""
    phantoms = make_phantoms("brain", 2, size=64, seed=5)
    image = torch.from_numpy(phantoms.images[phantoms.labels.argmax()]).float() / 127.5 - 1
    write_image(tmp_path / "scan.png", image[None])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_the_readme_runs(folder_with_scan: Path) -> None:
    """All blocks in order, as one program."""
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks(README, "python"), start=1):
        exec(compile(block, f"README.md, Python block {number}", "exec"), names)
    assert names["with_finding"].shape == (4, 1, 64, 64)
    assert names["attributions"].shape == (1, 1, 64, 64)
    assert (folder_with_scan / "explained" / "explanation.json").is_file()


@pytest.mark.parametrize("command", [line for page in PAGES for line in commands(page)])
def test_commands_parse(command: str) -> None:
    parse(command)


def test_every_command_of_the_program_is_in_the_table() -> None:
    listed = re.findall(r"^\| `medxgan ([\w-]+)", README.read_text("utf-8"), re.M)
    program: Any = get_command(app)
    assert sorted(listed) == sorted(program.commands)


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "toml")])
def test_description_of_a_model_is_one_that_is_read(block: str) -> None:
    described = tomllib.loads(block)
    assert set(described) <= set(DESCRIPTION_KEYS)
    assert list(read_spec(described["spec"]).class_names) == described["spec"]["class_names"]


def test_set_up_commands_are_targets_of_the_makefile() -> None:
    targets = re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text("utf-8"), re.M)
    named = re.findall(r"^make (\w+)", "\n".join(blocks(README, "console")), re.M)
    assert named == ["demo", "test"]
    assert set(named) <= set(targets)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []
