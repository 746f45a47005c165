"""Distillation: losses in closed form, lessons asked once, and a model that is learned."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from medxgan.classifiers import BlackBox, TorchClassifier, load_classifier, save_classifier
from medxgan.classifiers.distill import answer_weights, check_answers_vary, distill
from medxgan.classifiers.distill_settings import DistillEpoch, DistillSettings
from medxgan.classifiers.distillation_loss import (
    answers_of_rows,
    distillation_loss,
    surrogate_spec,
    taught_rows,
)
from medxgan.classifiers.lessons import Asked, Lessons
from medxgan.classifiers.likeness import likeness, likeness_by_class
from medxgan.classifiers.surrogate import describe_model, true_model_of
from medxgan.errors import ClassifierError, ConfigError, DataError
from medxgan.types import ClassifierSpec

SIZE = 16
CPU = torch.device("cpu")
NAMES = ("dark", "bright")
SPEC = ClassifierSpec(size=SIZE, class_names=NAMES)
BINARY = ClassifierSpec(size=SIZE, class_names=NAMES, output="binary_logit")
LABELS = ClassifierSpec(size=SIZE, class_names=NAMES, output="multilabel_logits")
GRADE = ClassifierSpec(size=SIZE, class_names=("grade",), output="value", value_range=(0.0, 4.0))
PROBABILITIES = ClassifierSpec(size=SIZE, class_names=NAMES, output="probabilities")


class Greys:
    """N noisy images from dark to bright."""

    def __init__(self, count: int, seed: int = 0, size: int = SIZE) -> None:
        random = torch.Generator().manual_seed(seed)
        level = torch.linspace(-0.8, 0.8, count)[torch.randperm(count, generator=random)]
        noise = 0.1 * torch.randn(count, 1, size, size, generator=random)
        self.pixels = (level.view(-1, 1, 1, 1) + noise).clamp(-1, 1)

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices) -> Tensor:
        return self.pixels[torch.as_tensor(np.asarray(indices))]


class Brightness:
    """Log-odds of "bright" rise with the mean; counts the images it is asked about."""

    def __init__(self, spec: ClassifierSpec, slope: float = 10.0) -> None:
        self.spec, self.slope, self.asked = spec, slope, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        logit = self.slope * (images.mean((1, 2, 3)) - 0.5)
        match self.spec.output:
            case "binary_logit":
                return logit
            case "value":
                return 2 + logit / 4
            case "probabilities":
                bright = 1 / (1 + np.exp(-logit))
                return np.stack([1 - bright, bright], 1)
            case _:
                return np.stack([-logit / 2, logit / 2], 1)


def black_box(spec: ClassifierSpec = PROBABILITIES, slope: float = 10.0) -> BlackBox:
    return BlackBox(Brightness(spec, slope), spec)


def learn(model: TorchClassifier, **settings) -> TorchClassifier:
    chosen = DistillSettings(**{"epochs": 2, "batch_size": 16} | settings)
    return distill(
        model,
        Greys(48),
        Greys(24, 1),
        Greys(24, 2),
        target=model.spec.outputs - 1,
        settings=chosen,
        device=CPU,
    )


# The loss.


@pytest.mark.parametrize("output", ["logits", "binary_logit", "multilabel_logits", "value"])
def test_the_same_answers_have_no_loss_and_no_slope(output):
    taught = torch.tensor([[0.3], [-2.0]]) if output == "binary_logit" else torch.randn(2, 3)
    rows = taught.clone().requires_grad_()
    loss = distillation_loss(rows, taught, output, 3.0, torch.ones(2))
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    torch.testing.assert_close(rows.grad, torch.zeros_like(taught), atol=1e-6, rtol=0)


def test_one_logit_is_two_classes():
    ours, theirs = torch.tensor([[1.0], [-2.0]]), torch.tensor([[0.5], [3.0]])
    pad = torch.nn.functional.pad
    two = distillation_loss(pad(ours, (1, 0)), pad(theirs, (1, 0)), "logits", 2.0, torch.ones(2))
    one = distillation_loss(ours, theirs, "binary_logit", 2.0, torch.ones(2))
    torch.testing.assert_close(one, two)


def test_the_divergence_is_that_of_bernoulli():
    """4 KL(p, q) of p = sigmoid(3/2), q = sigmoid(1/2)."""
    p, q = (1 / (1 + math.exp(-x / 2)) for x in (3.0, 1.0))
    expected = 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    rows, taught = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    loss = distillation_loss(rows, taught, "binary_logit", 2.0, torch.ones(1))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_at_a_high_temperature_logits_are_matched_by_their_squares():
    """T² KL -> d² / 8 for two classes whose log-odds differ by d (Hinton et al., section 2.1)."""
    rows, taught = torch.tensor([[1.0]]).double(), torch.tensor([[4.0]]).double()
    loss = distillation_loss(rows, taught, "binary_logit", 1e4, torch.ones(1).double())
    assert loss.item() == pytest.approx(9 / 8, rel=1e-4)


def test_labels_are_separate_questions():
    rows, taught = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    both = distillation_loss(rows, taught, "multilabel_logits", 2.0, torch.ones(1))
    first = distillation_loss(rows[:, :1], taught[:, :1], "binary_logit", 2.0, torch.ones(1))
    torch.testing.assert_close(both, first / 2)


def test_a_value_is_matched_by_its_squares_and_weights_count():
    rows, taught = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [2.0]])
    loss = distillation_loss(rows, taught, "value", 7.0, torch.tensor([2.0, 0.5]))
    assert loss.item() == pytest.approx((2 * 1 + 0.5 * 4) / 2)


@pytest.mark.parametrize(
    ("spec", "answers"),
    [
        (SPEC, [[0.25, 0.75], [0.9, 0.1]]),
        (BINARY, [[0.25, 0.75], [0.9, 0.1]]),
        (LABELS, [[0.25, 0.9], [0.5, 0.5]]),
        (GRADE, [[0.5], [4.5]]),
    ],
)
def test_what_is_taught_would_give_the_answers(spec, answers):
    answers = torch.tensor(answers)
    taught = taught_rows(answers, surrogate_spec(spec))
    torch.testing.assert_close(answers_of_rows(taught, surrogate_spec(spec)), answers)


def test_certainty_beyond_reason_is_cut():
    taught = taught_rows(torch.tensor([[0.0, 1.0]]), SPEC)
    assert (taught[0, 1] - taught[0, 0]).item() == pytest.approx(math.log(1e6), rel=1e-4)


def test_a_surrogate_takes_plain_images_and_keeps_classes_and_range():
    normalised = ClassifierSpec(
        size=SIZE,
        class_names=NAMES,
        output="probabilities",
        intensity_range=(0, 255),
        mean=(9.0,),
        std=(3.0,),
    )
    assert surrogate_spec(normalised) == SPEC
    raised = GRADE.model_copy(update={"positive_from": 1.0})
    assert surrogate_spec(raised) == raised


def test_rare_answers_weigh_more_but_not_all():
    answers = torch.tensor([[0.9, 0.1]] * 99 + [[0.2, 0.8]])
    assert answer_weights(answers, SPEC).tolist() == pytest.approx([100 / 198, 10.0])
    assert answer_weights(answers, LABELS).tolist() == [1.0, 1.0]


# Figures.


def test_likeness_of_opposites_and_of_constants():
    scores = torch.tensor([0.1, 0.2, 0.8, 0.9])
    assert likeness(scores, 1 - scores)["agreement"] == 0.0
    assert likeness(scores, 1 - scores)["correlation"] == -1.0
    same = likeness(scores, scores)
    assert (same["agreement"], same["balanced_agreement"], same["correlation"]) == (1.0, 1.0, 1.0)
    assert same["score_difference"] == 0.0
    assert likeness(scores, torch.full((4,), 0.4))["correlation"] is None
    assert likeness(scores[:1], scores[:1])["correlation"] is None


def test_likeness_of_values_is_on_the_scale_of_scores():
    ours, theirs = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [4.0]])
    found = likeness_by_class(theirs, ours, GRADE)["grade"]
    assert found["score_difference"] == pytest.approx(0.25)
    assert (found["agreement"], found["correlation"]) == (0.5, 1.0)


# Lessons.


def test_each_lesson_is_asked_once_and_comes_again():
    function = Brightness(PROBABILITIES)
    model = BlackBox(function, PROBABILITIES)
    function.asked = 0
    view = Greys(10)
    asked = Asked(model)
    lessons = Lessons(view, asked, most=25, batch_size=8, seed=3, device=CPU)
    first = [lessons.batch(step) for step in range(3)]
    assert sum(len(images) for images, _ in first) == 25 == asked.images == function.asked
    again = [lessons.batch(step) for step in range(3, 9)]
    assert function.asked == 25
    for part in (again[:3], again[3:]):
        assert {images.sum().item() for images, _ in part} == {i.sum().item() for i, _ in first}
    with torch.no_grad():
        for images, answers in [*first, *again]:
            torch.testing.assert_close(answers, model(images))


def test_lessons_depend_on_seed_and_number_alone():
    def images(seed, step):
        asked = Asked(black_box())
        return Lessons(Greys(10), asked, most=20, batch_size=5, seed=seed, device=CPU).batch(step)[
            0
        ]

    assert torch.equal(images(1, 2), images(1, 2))
    assert not torch.equal(images(1, 2), images(2, 2))
    assert not torch.equal(images(1, 0), images(1, 2))


# The whole.


def test_a_function_is_learned():
    """Noise of deviation 0.1 in each of 256 pixels hardly moves the mean that decides."""
    model = black_box()
    epochs: list[DistillEpoch] = []
    surrogate = distill(
        model,
        Greys(96),
        Greys(48, 1),
        Greys(64, 2),
        target=1,
        settings=DistillSettings(epochs=12, batch_size=16, learning_rate=1e-2),
        device=CPU,
        on_epoch=epochs.append,
    )
    figures = surrogate.measured["held_out"]["classes"]["bright"]
    assert figures["agreement"] >= 0.9 and figures["correlation"] >= 0.95
    assert figures["score_difference"] < 0.1
    assert surrogate.measured["held_out"]["images"] == "test"
    best = [epoch.number for epoch in epochs if epoch.best][-1]
    assert surrogate.measured["best_epoch"] == best
    with torch.no_grad():
        recomputed = likeness(
            model(Greys(64, 2).pixels)[:, 1], surrogate(Greys(64, 2).pixels)[:, 1]
        )
    assert recomputed == figures


@pytest.mark.parametrize("spec", [SPEC, BINARY, LABELS, PROBABILITIES, GRADE])
def test_every_output_is_learned_in_its_own_units(spec):
    surrogate = learn(black_box(spec))
    assert surrogate.spec == surrogate_spec(spec)
    assert set(surrogate.measured["held_out"]["classes"]) == set(spec.class_names)
    if spec.output == "value":
        with torch.no_grad():
            answers = surrogate(Greys(24, 2).pixels)
        assert 0 < answers.mean() < 4


def test_the_same_seed_gives_the_same_surrogate():
    first, second, other = (learn(black_box(), seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == second.fingerprint != other.fingerprint


@pytest.mark.parametrize(("queries", "expected"), [(None, 24 + 24 + 96), (100, 100), (130, 130)])
def test_the_model_is_asked_no_more_than_allowed(queries, expected):
    function = Brightness(PROBABILITIES)
    model = BlackBox(function, PROBABILITIES)
    function.asked = 0
    surrogate = learn(model, queries=queries)
    assert surrogate.measured["queries"] == function.asked == expected


def test_few_queries_leave_some_for_learning():
    surrogate = distill(
        black_box(),
        Greys(100),
        Greys(90, 1),
        Greys(80, 2),
        target=1,
        settings=DistillSettings(epochs=1, queries=100),
        device=CPU,
    )
    assert surrogate.measured["queries"] == 100
    assert surrogate.measured["held_out"]["n"] == 25


def test_without_test_images_the_validation_images_are_compared():
    surrogate = distill(
        black_box(),
        Greys(32),
        Greys(24, 1),
        target=1,
        settings=DistillSettings(epochs=1),
        device=CPU,
    )
    assert surrogate.measured["held_out"]["images"] == "validation"


def test_the_file_remembers_the_model(tmp_path):
    model = black_box()
    surrogate = learn(model)
    save_classifier(tmp_path / "surrogate.safetensors", surrogate)
    loaded = load_classifier(tmp_path / "surrogate.safetensors")
    assert loaded.measured == surrogate.measured
    known = true_model_of(loaded.measured)
    assert known == describe_model(model)
    assert known.is_same(black_box()) and not known.is_same(black_box(slope=11.0))
    assert str(known) == f"a Python function (Brightness, {model.fingerprint[:12]})"


@pytest.mark.parametrize("kind", ["onnx", "exported", "torchscript"])
def test_files_of_every_kind_are_distilled(kind, model_files, phantom_archive):
    from conftest import SPEC as PHANTOM_SPEC
    from medxgan.data import open_dataset

    model = load_classifier(getattr(model_files, kind), spec=PHANTOM_SPEC)
    data = open_dataset(phantom_archive)
    surrogate = distill(
        model,
        data.select("train"),
        data.select("val"),
        data.select("test"),
        target=1,
        settings=DistillSettings(epochs=1),
        device=CPU,
    )
    known = true_model_of(surrogate.measured)
    assert (known.kind, known.fingerprint) == (kind, model.fingerprint)
    assert surrogate.differentiable and surrogate.kind == "architecture"


# What is refused.


def test_a_constant_model_is_said():
    with pytest.raises(ClassifierError, match=r"same answer to all 48 images, 0\.500 for 'bright'"):
        learn(black_box(slope=0.0))


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (0.1, 0.4, r"calls all 2 images negative for 'bright' \(scores 0\.100 to 0\.400\)"),
        (0.5, 0.9, r"calls all 2 images positive for 'bright' \(scores 0\.500 to 0\.900\)"),
    ],
)
def test_a_model_that_never_crosses_is_said(low, high, sentence):
    answers = torch.tensor([[1 - low, low], [1 - high, high]])
    with pytest.raises(ClassifierError, match=sentence):
        check_answers_vary(answers, SPEC, 1)


def test_a_constant_value_is_said_in_its_units():
    with pytest.raises(ClassifierError, match=r"same answer to all 9 images, grade 3\.00, so that"):
        check_answers_vary(torch.full((9, 1), 3.0), GRADE, 0)
    with pytest.raises(ClassifierError, match=r"negative for 'grade' \(grade 0\.40 to 1\.60\)"):
        check_answers_vary(torch.tensor([[0.4], [1.6]]), GRADE, 0)


def test_a_surrogate_is_not_distilled_again():
    surrogate = learn(black_box())
    with pytest.raises(ClassifierError, match="a surrogate itself and stands for a Python func"):
        learn(surrogate)


def test_images_of_another_size_are_said():
    with pytest.raises(DataError, match=r"takes images of 16 pixels .* validation set comes as"):
        distill(
            black_box(),
            Greys(8),
            Greys(8, size=8),
            target=1,
            settings=DistillSettings(),
            device=CPU,
        )
    with pytest.raises(DataError, match="the training set must have images, got none"):
        distill(
            black_box(),
            Greys(0),
            Greys(8),
            target=1,
            settings=DistillSettings(),
            device=CPU,
        )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"queries": 99}, "queries must be at least 100, got 99"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0"),
        ({"temperature": math.nan}, "temperature must be above 0, got nan"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0, got -1"),
    ],
)
def test_wrong_settings_are_said(wrong, sentence):
    with pytest.raises(ConfigError, match=sentence):
        DistillSettings(**wrong)


def test_an_unknown_architecture_is_said():
    with pytest.raises(ClassifierError, match="no architecture is named 'cnm'; did you mean 'cnn'"):
        learn(black_box(), arch="cnm")


def test_divergence_is_said():
    with pytest.raises(ClassifierError, match="the loss is not finite; lower learning_rate"):
        learn(black_box(), learning_rate=1e30)
