"""Functions from images to scores: what they get, what they may do, how they are identified."""

import numpy as np
import pytest
import torch
from torch import nn

import medxgan
from medxgan.classifiers import BlackBox, load_classifier
from medxgan.classifiers.black_box import ArrayFunction
from medxgan.classifiers.fingerprints import same_answers
from medxgan.classifiers.probes import probe_images, waves
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec
from models import SPEC, linear_module, linear_rows

SPEC_OF = {
    output: SPEC.model_copy(update={"output": output})
    for output in ("logits", "probabilities", "multilabel_logits", "binary_logit")
}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_function_answers_as_the_module_does(images):
    box, module = BlackBox(linear_rows, SPEC), load_classifier(linear_module(), spec=SPEC)
    torch.testing.assert_close(box(images), module(images))
    torch.testing.assert_close(box.log_odds(images, 1), module.log_odds(images, 1))
    assert (box.kind, box.differentiable, box.architecture) == ("function", False, None)
    assert box.last_convolution() is None
    assert box.source == "linear_rows"
    assert medxgan.BlackBox is BlackBox


def test_it_gets_the_models_own_intensities_and_may_write_into_them(images):
    seen = []

    def predict(given: np.ndarray) -> np.ndarray:
        seen.append(given.copy())
        rows = linear_rows(given)
        given[:] = np.nan
        return rows

    spec = SPEC.model_copy(
        update={"intensity_range": (0.0, 255.0), "mean": (100.0,), "std": (2.0,)}
    )
    before = images.clone()
    BlackBox(predict, spec)(images)
    assert seen[-1].dtype == np.float32
    assert seen[-1].flags.c_contiguous
    expected = ((images + 1) * 127.5 - 100) / 2
    np.testing.assert_allclose(seen[-1], expected.numpy(), rtol=1e-4, atol=1e-4)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    "wrap",
    [np.asarray, np.ndarray.tolist, torch.from_numpy, np.float64, lambda rows: rows[None][0]],
    ids=["array", "lists", "tensor", "double", "view"],
)
def test_scores_may_come_in_any_form_of_array(images, wrap):
    box = BlackBox(lambda given: wrap(linear_rows(given)), SPEC)
    torch.testing.assert_close(box(images), BlackBox(linear_rows, SPEC)(images))


def test_batches_are_no_larger_than_asked_for(images):
    sizes = []

    def predict(given: np.ndarray) -> np.ndarray:
        sizes.append(len(given))
        return linear_rows(given)

    box = BlackBox(predict, SPEC, batch_size=2)
    assert max(sizes) == 2
    sizes.clear()
    torch.testing.assert_close(box(images), BlackBox(linear_rows, SPEC)(images))
    assert sizes == [2, 2, 1]
    sizes.clear()
    assert box(images[:0]).shape == (0, 2)
    assert sizes == []


def test_a_batch_size_below_one_is_refused():
    with pytest.raises(ClassifierError, match="batch_size must be at least 1, got 0"):
        BlackBox(linear_rows, SPEC, batch_size=0)


def test_a_gradient_is_an_error_and_not_silently_zero(images):
    box = BlackBox(linear_rows, SPEC, source="mine.py:predict")
    leaf = images.requires_grad_()
    score = box.log_odds(leaf, 1).sum()
    with pytest.raises(ClassifierError, match=r"'mine\.py:predict' gives no gradients"):
        torch.autograd.grad(score, leaf)


# What a function can do wrong


def with_logit(function: ArrayFunction) -> ArrayFunction:
    """Two columns from one."""
    return lambda images: np.stack([0 * function(images), function(images)], axis=1)


class Restless:
    """Another answer at each call."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return linear_rows(images) + self.random.normal(size=(len(images), 2))


def fails_later(images: np.ndarray) -> np.ndarray:
    if images.shape[0] == 5:
        raise KeyError("patient")
    return linear_rows(images)


@pytest.mark.parametrize(
    ("function", "output", "sentence"),
    [
        (lambda x: linear_rows(x)[:, :1], "logits", r"must return \[2, 2\] for 2 images, got \[2"),
        (lambda x: linear_rows(x)[:0], "logits", r"must return \[2, 2\] .*, got \[0, 2\]"),
        (lambda x: linear_rows(x).sum(), "logits", r"must return \[2, 2\] .*, got \[\]"),
        (lambda x: linear_rows(x) * np.nan, "logits", "returned NaN or infinite scores"),
        (lambda x: linear_rows(x) + np.inf, "logits", "returned NaN or infinite scores"),
        (linear_rows, "probabilities", r"must lie in \[0, 1\], got values from"),
        (lambda x: np.full((len(x), 2), 0.4), "probabilities", "must sum to 1 .* got 0.8"),
        (lambda x: np.full((len(x), 2), 0.5), "logits", "as after a softmax"),
        (lambda x: {"scores": linear_rows(x)}, "logits", "must return an array .* got dict"),
        (lambda x: [[1.0], [1.0, 2.0]], "logits", "must return an array .* got list"),
        (lambda x: np.array([["a", "b"]]), "logits", "must return an array .* got ndarray"),
        (lambda x: None, "logits", "must return an array .* got NoneType"),
        (lambda x: linear_module(), "logits", "builds the model must need no arguments"),
        (lambda x: x.no_such_thing, "logits", "fails on images .*AttributeError: 'numpy"),
        (lambda: None, "logits", "TypeError: .* takes 0 positional arguments"),
        (Restless(), "logits", "answers differently when asked twice about the same images"),
        (lambda x: linear_rows(x - x.mean(0)), "logits", "statistics of the batch leak in"),
        (lambda x: linear_rows(x) * len(x), "logits", "an image alone and among others"),
    ],
)
def test_a_function_that_is_no_classifier_is_refused(function, output, sentence):
    with pytest.raises(ClassifierError, match=sentence) as refused:
        BlackBox(function, SPEC_OF[output])
    assert "\n" not in str(refused.value)


def test_one_image_at_a_time_has_to_be_said(images):
    def predict(given: np.ndarray) -> np.ndarray:
        (image,) = given
        return linear_rows(image[None])

    with pytest.raises(ClassifierError, match=r"takes one image at a time .* batch_size = 1"):
        BlackBox(predict, SPEC)
    torch.testing.assert_close(
        BlackBox(predict, SPEC, batch_size=1)(images), BlackBox(linear_rows, SPEC)(images)
    )


def test_what_goes_wrong_later_is_a_sentence_too(images):
    box = BlackBox(fails_later, SPEC)
    with pytest.raises(ClassifierError, match=r"'fails_later' fails on images \[5, 1, 8, 8\]: Key"):
        box(images)
    with pytest.raises(ClassifierError, match="images must be finite"):
        box(images[:2] * torch.nan)


def test_rounding_is_not_restlessness():
    def predict(given: np.ndarray) -> np.ndarray:
        return linear_rows(given) + 1e-5 * len(given)

    assert BlackBox(predict, SPEC).kind == "function"


# What identifies it


class Model:
    def __init__(self) -> None:
        self.weight = np.linspace(-1, 1, 64, dtype=np.float32)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        logit = images.reshape(len(images), -1) @ self.weight
        return np.stack([0 * logit, logit], axis=1)


def test_a_mutation_of_the_weights_changes_the_fingerprint():
    model = Model()
    first, again = BlackBox(model, SPEC), BlackBox(model, SPEC)
    assert first.fingerprint == again.fingerprint
    assert len(first.fingerprint) == 64
    model.weight[17] += 1e-3
    assert BlackBox(model, SPEC).fingerprint != first.fingerprint


def test_the_fingerprint_is_of_the_specification_too():
    other = SPEC.model_copy(update={"class_names": ("no", "yes")})
    assert BlackBox(linear_rows, SPEC).fingerprint != BlackBox(linear_rows, other).fingerprint


def test_answers_are_kept_of_functions_only():
    assert len(BlackBox(linear_rows, SPEC).answers) == 48
    assert load_classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), spec=SPEC).answers == ()


# A value is measured against its range, however small

SMALL = ClassifierSpec(size=8, output="value", class_names=("dose",), value_range=(0.0, 1e-3))


def dose(images: np.ndarray) -> np.ndarray:
    return 1e-3 * images.mean((1, 2, 3))


class RandomDose:
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return 1e-3 * self.random.random(len(images))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (RandomDose(), r"when asked twice about the same images \(by .* of its range\)"),
        (lambda x: dose(x - x.mean(0)), r"among others \(by .* of its range\)"),
    ],
)
def test_a_small_range_hides_nothing(function, sentence):
    with pytest.raises(ClassifierError, match=sentence):
        BlackBox(function, SMALL)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_a_value_and_its_opposite_differ(offset):
    low, high = offset, offset + 1.0
    spec = SMALL.model_copy(update={"value_range": (low, high)})
    first = BlackBox(lambda x: low + x.mean((1, 2, 3)), spec)
    second = BlackBox(lambda x: high - x.mean((1, 2, 3)), spec)
    assert same_answers(first.answers, first.answers, spec)
    assert not same_answers(first.answers, second.answers, spec)
    assert first.fingerprint != second.fingerprint
    small, opposite = BlackBox(dose, SMALL), BlackBox(lambda x: 1e-3 - dose(x), SMALL)
    assert not same_answers(small.answers, opposite.answers, SMALL)


# Models that are nearly sure

SURE = SPEC_OF["probabilities"]


def sure(slope: float, row: int, column: int, offset: float = 1.0) -> BlackBox:
    """Nearly sure of everything; how sure depends on one pixel, 0 to 1."""

    def predict(images: np.ndarray) -> np.ndarray:
        logit = slope * (images[:, 0, row, column].astype(np.float64) + offset)
        rest = 1 / (1 + np.exp(logit))
        return np.stack([rest, 1 - rest], axis=1)

    return BlackBox(predict, SURE)


def test_models_that_are_nearly_sure_are_told_apart():
    first, second = sure(10, 2, 3), sure(12, 5, 6)
    assert max(abs(a - b) for a, b in zip(first.answers, second.answers, strict=True)) < 1e-3
    assert not same_answers(first.answers, second.answers, SURE)
    assert first.fingerprint != second.fingerprint


def test_probabilities_that_round_alike_are_the_same():
    first = sure(10, 2, 3).answers
    assert same_answers(first, [p + 2e-7 for p in first], SURE)
    assert same_answers([0.0] * 48, [3e-7] * 48, SURE)
    assert not same_answers([0.0] * 48, [1e-5] * 48, SURE)


def test_models_without_any_doubt_cannot_be_told_apart():
    assert same_answers(sure(10, 2, 3, 9).answers, sure(12, 5, 6, 9).answers, SURE)


def test_answers_of_an_earlier_version_are_recognised():
    answers = BlackBox(linear_rows, SPEC).answers
    assert same_answers(answers, answers[:16], SPEC)
    assert not same_answers(answers, [value + 1 for value in answers[:16]], SPEC)
    assert not same_answers(answers, answers[:14], SPEC)
    assert not same_answers((), (), SPEC)


def test_probes_differ_and_lie_in_the_range():
    for channels in (1, 3):
        spec = SPEC.model_copy(update={"channels": channels})
        probes = probe_images(spec)
        assert probes.abs().max() <= 1
        assert torch.equal(probes[:8], waves(spec))
        assert torch.cdist(probes.flatten(1), probes.flatten(1)).fill_diagonal_(9).min() > 0.1


# Every output


@pytest.mark.parametrize(
    ("output", "names", "rows"),
    [
        ("probabilities", ("a", "b"), with_logit(lambda x: 0 * x.mean((1, 2, 3)) + 1)),
        ("binary_logit", ("a", "b"), lambda x: x.mean((1, 2, 3))),
        ("binary_logit", ("a", "b"), lambda x: x.mean((2, 3))),
        ("multilabel_logits", ("a", "b", "c"), lambda x: np.repeat(x.mean((2, 3)), 3, axis=1)),
        ("value", ("grade",), lambda x: 4 * x.mean((1, 2, 3))),
    ],
)
def test_every_output_can_be_had_of_a_function(images, output, names, rows):
    value_range = (0, 4) if output == "value" else None
    spec = ClassifierSpec(size=8, output=output, class_names=names, value_range=value_range)
    assert BlackBox(rows, spec)(images).shape == (5, len(names))


def test_a_specification_may_be_a_mapping_or_a_file(tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(SPEC.model_dump_json())
    assert BlackBox(linear_rows, path).spec == BlackBox(linear_rows, SPEC.model_dump()).spec == SPEC


def test_a_function_itself_can_be_loaded():
    box = load_classifier(linear_rows, spec=SPEC, batch_size=3)
    assert isinstance(box, BlackBox)
    assert box.batch_size == 3
    with pytest.raises(ClassifierError, match="the function needs a specification"):
        load_classifier(linear_rows)
    with pytest.raises(ClassifierError, match="has no use for weights"):
        load_classifier(linear_rows, spec=SPEC, weights="weights.pt")
    with pytest.raises(ClassifierError, match="takes batches of any size; leave out batch_size"):
        load_classifier(linear_module(), spec=SPEC, batch_size=3)
