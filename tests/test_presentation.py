"""Options of DICOM and NIfTI files as they are written on the command line."""

import pytest

from medxgan.data.presentation import Presentation, Window, parse_presentation
from medxgan.errors import ConfigError


def test_what_is_written_is_what_is_asked():
    assert parse_presentation() == Presentation()
    assert parse_presentation("-600.5, 1.5e3").window == Window(-600.5, 1500)
    assert parse_presentation(slice="12").number == 12
    assert parse_presentation(slice="all").number is None
    assert parse_presentation(slice="best", may_score=True).slice == "best"
    whole = parse_presentation("40,400", "sagittal", "3", 2)
    assert whole.choice() == ("--window", "--axis", "--volume", "--slice")
    assert whole.facts() == {
        "window": "centre 40, width 400",
        "axis": "sagittal",
        "volume": "2",
        "slice": "3",
    }


@pytest.mark.parametrize("text", ["40", "40,400,1", "a,b", "", "40,0", "40,-5", "nan,1", "0,inf"])
def test_windows_that_are_none(text):
    with pytest.raises(ConfigError, match="a window is CENTRE,WIDTH with a width above 0"):
        parse_presentation(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "first", "", "9" * 12])
def test_slices_that_are_none(text):
    with pytest.raises(ConfigError, match=r"--slice must be a number from 1, or all, got"):
        parse_presentation(slice=text)
    with pytest.raises(ConfigError, match=r"--slice must be a number from 1, best or all, got"):
        parse_presentation(slice=text, may_score=True)


def test_other_mistakes():
    with pytest.raises(ConfigError, match="no axis is called 'coronel'; did you mean 'coronal'"):
        parse_presentation(axis="coronel")
    with pytest.raises(ConfigError, match="--volume counts from 1, got 0"):
        parse_presentation(volume=0)
    with pytest.raises(ConfigError, match="--slice best takes the slice of most evidence"):
        parse_presentation(slice="best")
