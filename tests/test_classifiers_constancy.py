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


SOFT = SPEC.model_copy(update={"output": "probabilities"})
STEP = 2.0**-24
"""Between two numbers of float32 below 1."""


def asked(answers: torch.Tensor, spec: ClassifierSpec = SOFT, noise: float = 0.0) -> None:
    rows = answers[:, None] if spec.output == "value" else torch.stack([1 - answers, answers], 1)
    evidence = evidence_of_answers(rows.float(), spec, spec.outputs - 1)
    check_varies(evidence, spec, spec.outputs - 1, "images", "nothing helps", noise=noise)


def test_answers_one_step_of_float32_apart_are_the_same():
    """Near 1 a step is 0.006 of evidence; the same distance near 0 is many steps."""
    sure = 1 - 1e-5 + STEP * torch.arange(4).double()
    with pytest.raises(
        ClassifierError, match=r"the same answer, but for rounding, to all 4 images, >0\.999"
    ):
        asked(sure)
    asked(1 - sure)
    asked(1 - 1e-5 + 40 * STEP * torch.arange(4).double())


def test_two_sides_that_are_both_sure_differ():
    asked(torch.tensor([0.0, 1.0, 1.0, 1.0]))


def test_a_value_of_many_digits_is_known_to_a_share_of_itself():
    """A step of float32 is 1/16 there, which a grade of the same width from 0 on notices."""
    spec = GRADE.model_copy(update={"value_range": (1e6, 1e6 + 4), "positive_from": None})
    with pytest.raises(ClassifierError, match="the same answer, but for rounding, to all 2 images"):
        asked(1e6 + torch.tensor([2.0, 2.0625]).double(), spec)
    asked(1e6 + torch.tensor([1.0, 3.0]).double(), spec)
    asked(torch.tensor([2.0, 2.0625]), GRADE)


def test_answers_that_differ_as_much_when_asked_again_are_the_same():
    """Their deviation is 0.1 of evidence: ten times a noise of 0.01."""
    answers = torch.tensor([0.1, -0.1]).double().sigmoid()
    asked(answers, noise=0.0099)
    with pytest.raises(ClassifierError, match="the same answer, but for rounding, to all 2 images"):
        asked(answers, noise=0.0101)


def test_small_differences_of_sure_answers_are_enough():
    check_varies(torch.tensor([12.0, 12.01]), SPEC, 1, "images", "nothing helps")
