import pytest
import torch

from medxgan.classifiers.outputs import (
    as_rows,
    check_not_probabilities,
    check_values,
    class_logits,
    log_odds_from_rows,
    raw_outputs,
    scores_from_rows,
)
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

TWO = ("healthy", "tumour")
THREE = ("normal", "bacterial", "viral")


def spec_of(output, names):
    value_range = (0, 4) if output == "value" else None
    return ClassifierSpec(size=8, output=output, class_names=names, value_range=value_range)


@pytest.fixture
def logits():
    return torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.0, -2.0]])


def test_raw_outputs_is_one_for_binary_logits_and_values_and_k_otherwise():
    assert raw_outputs(spec_of("binary_logit", TWO)) == 1
    assert raw_outputs(spec_of("value", ("grade",))) == 1
    assert raw_outputs(spec_of("logits", THREE)) == 3
    assert raw_outputs(spec_of("multilabel_logits", ("fracture",))) == 1


def test_scores_of_logits_are_a_softmax(logits):
    expected = logits.exp() / logits.exp().sum(1, keepdim=True)
    torch.testing.assert_close(scores_from_rows(logits, "logits"), expected)


def test_scores_of_a_binary_logit_are_complementary():
    rows = torch.tensor([[0.0], [2.0], [-40.0]])
    scores = scores_from_rows(rows, "binary_logit")
    torch.testing.assert_close(scores[:, 1], rows[:, 0].sigmoid())
    torch.testing.assert_close(scores.sum(1), torch.ones(3))


def test_scores_of_multilabel_logits_are_independent(logits):
    expected = 1 / (1 + (-logits).exp())
    torch.testing.assert_close(scores_from_rows(logits, "multilabel_logits"), expected)


def test_probabilities_and_values_stay_as_they_are():
    probabilities = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert torch.equal(scores_from_rows(probabilities, "probabilities"), probabilities)
    values = torch.tensor([[-3.5], [12.0]])
    assert torch.equal(scores_from_rows(values, "value"), values)


@pytest.mark.parametrize("target", [0, 1, 2])
def test_log_odds_of_logits_equal_the_logit_of_the_softmax(logits, target):
    expected = torch.logit(logits.softmax(1)[:, target])
    torch.testing.assert_close(log_odds_from_rows(logits, "logits", target), expected)


def test_log_odds_of_two_logits_are_their_difference():
    rows = torch.tensor([[1.5, -2.5]])
    assert log_odds_from_rows(rows, "logits", 0).item() == 4.0
    assert log_odds_from_rows(rows, "logits", 1).item() == -4.0


def test_log_odds_of_logits_keep_their_gradient_where_probabilities_saturate():
    rows = torch.tensor([[0.0, 500.0]], requires_grad=True)
    odds = log_odds_from_rows(rows, "logits", 1)
    (gradient,) = torch.autograd.grad(odds.sum(), rows)
    assert odds.item() == 500.0
    assert gradient.tolist() == [[-1.0, 1.0]]


def test_log_odds_of_a_binary_logit_change_sign_with_the_target():
    rows = torch.tensor([[7.0], [-90.0]])
    assert log_odds_from_rows(rows, "binary_logit", 1).tolist() == [7.0, -90.0]
    assert log_odds_from_rows(rows, "binary_logit", 0).tolist() == [-7.0, 90.0]


def test_log_odds_of_multilabel_logits_and_values_are_the_entry_itself(logits):
    assert torch.equal(log_odds_from_rows(logits, "multilabel_logits", 2), logits[:, 2])
    assert log_odds_from_rows(torch.tensor([[4.5]]), "value", 0).tolist() == [4.5]


def test_log_odds_of_probabilities_are_kept_finite():
    rows = torch.tensor([[0.2, 0.8], [0.0, 1.0]])
    odds = log_odds_from_rows(rows, "probabilities", 1)
    assert odds[0].item() == pytest.approx(1.3862944, abs=1e-5)
    assert odds[1].item() == pytest.approx(13.8, abs=0.1)


def test_class_logits_of_a_binary_logit_give_the_same_probabilities():
    rows = torch.tensor([[0.7], [-3.0]])
    expected = scores_from_rows(rows, "binary_logit")
    torch.testing.assert_close(class_logits(rows, "binary_logit").softmax(1), expected)


def test_a_flat_binary_output_becomes_a_column():
    rows = as_rows(torch.arange(4.0), spec_of("binary_logit", TWO), 4)
    assert rows.tolist() == [[0.0], [1.0], [2.0], [3.0]]


def test_rows_are_float32():
    raw = torch.zeros(2, 2, dtype=torch.bfloat16)
    assert as_rows(raw, spec_of("logits", TWO), 2).dtype == torch.float32


@pytest.mark.parametrize(
    ("output", "names", "shape", "advice"),
    [
        ("logits", TWO, (4, 3), r"must return \[4, 2\] for 4 images, got \[4, 3\]; correct output"),
        ("logits", TWO, (3, 2), r"must return \[4, 2\] for 4 images, got \[3, 2\]"),
        ("logits", TWO, (4, 1), "output 'binary_logit' fits one column"),
        ("logits", TWO, (4,), "output 'binary_logit' fits one column"),
        ("logits", THREE, (4,), "correct output or class_names"),
        ("binary_logit", TWO, (4, 2), "output 'logits' or 'probabilities' fits two columns"),
        ("value", ("grade",), (4, 2), r"must return \[4, 1\]"),
        ("multilabel_logits", THREE, (4, 3, 1), r"got \[4, 3, 1\]"),
    ],
)
def test_another_shape_is_refused_with_advice(output, names, shape, advice):
    with pytest.raises(ClassifierError, match=advice):
        as_rows(torch.zeros(shape), spec_of(output, names), 4)


def test_something_else_than_a_tensor_is_refused():
    with pytest.raises(ClassifierError, match="one tensor of scores, got tuple"):
        as_rows((torch.zeros(4, 2), None), spec_of("logits", TWO), 4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(bad):
    with pytest.raises(ClassifierError, match="NaN or infinite"):
        check_values(torch.tensor([[0.0, bad]]), spec_of("logits", TWO))


@pytest.mark.parametrize("row", [[-0.2, 1.2], [0.0, 7.0]])
def test_probabilities_outside_zero_and_one_are_refused(row):
    with pytest.raises(ClassifierError, match=r"must lie in \[0, 1\], got values from"):
        check_values(torch.tensor([row]), spec_of("probabilities", TWO))


def test_probabilities_that_do_not_sum_to_one_are_refused():
    with pytest.raises(ClassifierError, match=r"must sum to 1 over the classes, got 1\.4"):
        check_values(torch.tensor([[0.5, 0.5], [0.6, 0.8]]), spec_of("probabilities", TWO))


def test_rounding_of_bfloat16_probabilities_is_accepted():
    rows = torch.tensor([[1.0, 2.0, 0.3]]).softmax(1).bfloat16().float()
    check_values(rows, spec_of("probabilities", THREE))


def test_a_softmax_declared_as_logits_is_refused():
    rows = torch.tensor([[0.3, 2.0], [1.0, -1.0]])
    check_not_probabilities(rows, spec_of("logits", TWO))
    check_not_probabilities(rows.softmax(1), spec_of("probabilities", TWO))
    with pytest.raises(ClassifierError, match="set output to 'probabilities'"):
        check_not_probabilities(rows.softmax(1), spec_of("logits", TWO))
