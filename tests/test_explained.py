"""Folders that explain wrote: known again, and not half replaced."""

import numpy as np
import pytest

from medxgan import explained
from medxgan.errors import OutputError
from medxgan.report import saving


def test_files_are_called_as_the_report_calls_them():
    assert (explained.FACTS_FILE, explained.TABLE_FILE) == (saving.FACTS_FILE, saving.TABLE_FILE)


IMAGES = {name: np.full((1, 4, 4), place) for place, name in enumerate(("ann", "bob", "carl"))}


def images(*names: str) -> dict[str, np.ndarray]:
    return {name: IMAGES[name] for name in names}


@pytest.fixture
def out(tmp_path):
    for name, image in images("ann", "bob").items():
        (tmp_path / name).mkdir()
        (tmp_path / name / explained.FACTS_FILE).touch()
        np.savez(tmp_path / name / explained.ARRAYS_FILE, image=image)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_the_same_images_may_be_explained_again_and_others_beside_them(out):
    explained.check_replaced(out, images("ann", "bob"))
    explained.check_replaced(out, images("ann", "bob", "carl"))


def test_an_explanation_that_would_stay_is_refused(out):
    with pytest.raises(OutputError, match=r"holds 1 explanation of other images, .* 'bob'; name"):
        explained.check_replaced(out, images("ann", "carl"))


def test_another_image_of_the_same_name_is_refused(out):
    """Maps of the first would stay in its folder, as maps of the second."""
    with pytest.raises(OutputError, match=r"such as 'bob'"):
        explained.check_replaced(out, images("ann") | {"bob": IMAGES["carl"]})
    (out / "bob" / explained.ARRAYS_FILE).write_bytes(b"cut")
    with pytest.raises(OutputError, match=r"such as 'bob'"):
        explained.check_replaced(out, images("ann", "bob"))
