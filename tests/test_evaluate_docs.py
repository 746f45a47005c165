"""What docs/evaluate.md says of the files of an evaluation is so."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from known_world import brightness_oracle, make_data, make_explainer
from medxgan.data import open_dataset
from medxgan.evaluate import evaluate
from medxgan.evaluate.output.rows import table_text

PROJECT = Path(__file__).parent.parent
PAGE = (PROJECT / "docs" / "evaluate.md").read_text("utf-8")


def spelled_out(pattern: str) -> set[str]:
    """``a_{b,c}`` -> ``a_b`` and ``a_c``."""
    parts = re.split(r"\{([^}]*)\}", pattern)
    choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    return {"".join(words) for words in product(*choices)}


def documented() -> set[str]:
    columns = PAGE[PAGE.index("## Columns of metrics.csv") :]
    patterns = re.findall(r"^\| `([^`]+)` \|", columns, re.MULTILINE)
    return set().union(*map(spelled_out, patterns))


def test_every_column_is_documented_and_no_other():
    asked = {"methods": ("difference", "lig"), "oracle": brightness_oracle()}
    data = make_data()
    found = evaluate(make_explainer(), data, codes=1, steps=2, **asked)
    header = table_text(found, data).splitlines()[0].split(",")
    assert set(header) == documented()
    assert len(header) == len(set(header))


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({"images": "images", "labels": "labels"}, ["00000", "00001", "00002", "00003"]),
        ({"test_images": "images", "test_labels": "labels"}, ["test-00000", "test-00001"]),
    ],
)
def test_image_of_an_archive_without_names_is_called_by_its_row(tmp_path, keys, names):
    arrays = {
        "images": np.random.default_rng(0).integers(0, 255, (4, 32, 32), dtype=np.uint8),
        "labels": np.array([0, 1, 0, 1]),
    }
    np.savez(tmp_path / "set.npz", **{key: arrays[name] for key, name in keys.items()})
    data = open_dataset(tmp_path / "set.npz")
    assert sorted(data.names.tolist())[: len(names)] == names
    assert data.groups.tolist() == data.names.tolist()
