"""Folders that explain wrote: known again, and not half replaced."""

import pytest

from medxgan import explained
from medxgan.errors import OutputError
from medxgan.report import saving


def test_files_are_called_as_the_report_calls_them():
    assert (explained.FACTS_FILE, explained.TABLE_FILE) == (saving.FACTS_FILE, saving.TABLE_FILE)


def test_an_explanation_that_would_stay_is_refused(tmp_path):
    for name in ("ann", "bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / explained.FACTS_FILE).touch()
    (tmp_path / "notes").mkdir()
    explained.check_replaced(tmp_path, ["ann", "bob"])
    explained.check_replaced(tmp_path, ["ann", "bob", "carl"])
    with pytest.raises(OutputError, match=r"holds 1 explanation of an earlier run .* 'bob'; name"):
        explained.check_replaced(tmp_path, ["ann", "carl"])
