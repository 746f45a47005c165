"""Constant models are said in the units of their answers."""

import pytest
import torch

from medxgan.classifiers.constancy import check_varies, evidence_of_answers
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

SPEC = ClassifierSpec(size=8, class_names=("no", "yes"))
GRADE = ClassifierSpec(
    size=8, class_names=("grade",), output="value", value_range=(0, 4), positive_from=1.0
)


@pytest.mark.parametrize("grade", [0.5, 1.0, 3.0])
def test_a_constant_value_has_its_units(grade):
    evidence = evidence_of_answers(torch.full((5, 1), grade), GRADE, 0)
    sentence = f"the same answer to all 5 drawn images, grade {grade:.2f}, so that nothing helps"
    with pytest.raises(ClassifierError, match=sentence):
        check_varies(evidence, GRADE, 0, "drawn images", "nothing helps")


def test_a_constant_probability_never_pretends_to_be_certain():
    with pytest.raises(ClassifierError, match=r"to all 5 images, >0\.999 for 'yes', so that"):
        check_varies(torch.full((5,), 12.0), SPEC, 1, "images", "nothing helps")


def test_one_image_does_not_vary():
    with pytest.raises(ClassifierError, match=r"to all 1 images, 0\.500 for 'yes'"):
        check_varies(torch.zeros(1), SPEC, 1, "images", "nothing helps")


def test_small_differences_of_sure_answers_are_enough():
    check_varies(torch.tensor([12.0, 12.01]), SPEC, 1, "images", "nothing helps")
