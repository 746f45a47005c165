import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Generator, nn

from medxgan.classifiers import (
    TorchClassifier,
    area_under_curve,
    evaluate_classifier,
    fit,
    fit_classifier,
    load_classifier,
    save_classifier,
)
from medxgan.classifiers.augmentation import augment, blur, jitter, move
from medxgan.classifiers.objectives import ClassObjective
from medxgan.classifiers.pupil import class_weights, move_towards
from medxgan.classifiers.temperature import best_temperature, divide_last_layer
from medxgan.errors import ClassifierError, DataError
from medxgan.types import ClassifierSpec

TWO = ("healthy", "tumour")
SPEC = ClassifierSpec(size=16, class_names=TWO)


class Arrays:
    """Labelled images in memory."""

    def __init__(self, pictures, labels):
        self.pictures = pictures
        self.labels = np.asarray(labels)

    def __len__(self):
        return len(self.pictures)

    def images(self, indices):
        return self.pictures[torch.from_numpy(indices)]


def bright_or_dark(count, seed=0):
    """Half of the images have a bright square in the middle."""
    pictures = torch.rand(count, 1, 16, 16, generator=Generator().manual_seed(seed)) * 0.4 - 1
    labels = np.arange(count) % 2
    pictures[1::2, :, 4:12, 4:12] += 1.5
    return Arrays(pictures, labels)


class FirstPixels(nn.Module):
    """The first K pixels are the scores."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def forward(self, images):
        return images.flatten(1)[:, : self.outputs]


def with_scores(rows, labels):
    pictures = torch.zeros(len(rows), 1, 8, 8)
    rows = torch.as_tensor(rows)
    pictures.view(len(rows), 64)[:, : rows.shape[1]] = rows
    return Arrays(pictures, labels)


def reader(outputs, output="logits"):
    spec = ClassifierSpec(
        size=8,
        output=output,
        class_names=tuple("abc"[: max(outputs, 2)]),
        intensity_range=(-1.0, 1.0),
    )
    return TorchClassifier(FirstPixels(outputs), spec)


# Figures of merit


@pytest.mark.parametrize("levels", [3, 10, 1000])
def test_area_under_curve_equals_scikit_learn_with_ties(levels):
    generator = Generator().manual_seed(levels)
    scores = torch.randint(levels, (500,), generator=generator) / levels
    positive = torch.rand(500, generator=generator) < 0.2 + 0.5 * scores
    assert area_under_curve(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_area_under_curve_has_its_limits():
    positive = torch.tensor([False, False, True])
    assert area_under_curve(torch.tensor([0.1, 0.2, 0.3]), positive) == 1
    assert area_under_curve(torch.tensor([0.3, 0.2, 0.1]), positive) == 0
    assert area_under_curve(torch.ones(3), positive) == 0.5
    assert np.isnan(area_under_curve(torch.ones(3), torch.ones(3, dtype=torch.bool)))


def test_a_binary_evaluation_has_closed_form_figures():
    rows = [[0.5, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, 0.5], [0.25, 0.0]]
    figures = evaluate_classifier(reader(2), with_scores(rows, [0, 0, 0, 1, 1]))
    assert figures["n"] == 5
    assert figures["confusion"] == [[2, 1], [1, 1]]
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["auc"] == pytest.approx((2 * 2 + 0.5) / 6)


def test_a_binary_logit_is_evaluated_like_two_classes():
    rows = [[-0.5], [0.25], [0.5], [0.1]]
    figures = evaluate_classifier(reader(1, "binary_logit"), with_scores(rows, [0, 0, 1, 1]))
    assert figures["confusion"] == [[1, 1], [0, 2]]
    assert figures["auc"] == pytest.approx(3 / 4)


def test_three_classes_give_the_mean_area_of_one_against_the_rest():
    generator = Generator().manual_seed(0)
    rows = torch.rand(60, 3, generator=generator)
    labels = np.arange(60) % 3
    classifier = reader(3)
    view = with_scores(rows, labels)
    figures = evaluate_classifier(classifier, view)
    expected = roc_auc_score(labels, rows.softmax(1), multi_class="ovr", average="macro")
    assert figures["auc"] == pytest.approx(expected, abs=1e-6)
    assert np.sum(figures["confusion"]) == 60


def test_a_class_without_images_is_left_out():
    rows = [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]
    figures = evaluate_classifier(reader(3), with_scores(rows, [0, 1]))
    assert figures["balanced_accuracy"] == 1
    assert figures["auc"] == 1


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 2, 1], r"must be 0 to 1 \(healthy, tumour\), got 0 to 2"),
        ([0, -1, 1, 1], r"got -1 to 1"),
        ([1, 1, 1, 1], "at least 2 classes, got only 'tumour'"),
        ([0.0, 1.0, 0.5, 1.0], "must be integers, got float64"),
        ([0, 1], "got 4 images and 2 labels"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels, sentence):
    view = Arrays(torch.zeros(4, 1, 16, 16), labels)
    with pytest.raises(DataError, match=f"training set.*{sentence}"):
        fit_classifier(view, bright_or_dark(4), spec=SPEC)


def test_an_empty_set_is_refused():
    with pytest.raises(DataError, match="the validation set must have images"):
        fit_classifier(bright_or_dark(4), Arrays(torch.zeros(0, 1, 16, 16), []), spec=SPEC)


def test_images_of_another_size_are_refused():
    view = Arrays(torch.zeros(2, 1, 8, 8), [0, 1])
    sentence = r"one image of the test set .* \[1, 1, 16, 16\], got \[1, 1, 8, 8\]"
    with pytest.raises(DataError, match=sentence):
        fit_classifier(bright_or_dark(4), bright_or_dark(4), view, spec=SPEC)


# Fitting


def fitted(**settings):
    settings = {"spec": SPEC, "epochs": 4, "batch_size": 8, "seed": 0, **settings}
    return fit_classifier(bright_or_dark(64), bright_or_dark(32, seed=1), **settings)


@pytest.mark.parametrize("output", ["logits", "binary_logit"])
def test_an_easy_task_is_learned(output, tmp_path):
    spec = ClassifierSpec(size=16, output=output, class_names=TWO)
    test = bright_or_dark(32, seed=2)
    classifier = fit_classifier(
        bright_or_dark(64),
        bright_or_dark(32, seed=1),
        test,
        spec=spec,
        epochs=8,
        batch_size=8,
        data_name="squares",
    )
    assert classifier.measured["test"] == evaluate_classifier(classifier, test)
    assert classifier.measured["test"]["auc"] == 1
    assert classifier.measured["data"] == "squares"
    assert classifier.architecture == "cnn"
    save_classifier(tmp_path / "squares.safetensors", classifier)
    loaded = load_classifier(tmp_path / "squares.safetensors")
    assert loaded.measured == classifier.measured


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state_alone():
    torch.manual_seed(123)
    first = fitted()
    after = torch.rand(1)
    torch.manual_seed(123)
    assert torch.equal(torch.rand(1), after)
    assert fitted().fingerprint == first.fingerprint
    assert fitted(seed=1).fingerprint != first.fingerprint


def test_bfloat16_trains_too():
    assert fitted(bf16=True, epochs=1).measured["epochs"] == 1


def test_unequal_classes_and_an_odd_rest_are_trained_on():
    train = bright_or_dark(19)
    few = Arrays(train.pictures[[0, 1, 2, 4, 6, 8, 10]], train.labels[[0, 1, 2, 4, 6, 8, 10]])
    fit_classifier(few, train, spec=SPEC, epochs=1, batch_size=3)


def validation_losses(monkeypatch, losses):
    """Let the validation find these losses, epoch after epoch."""
    queue, learned = iter(losses), ClassObjective.loss

    def loss(objective, rows, truth):
        if rows.requires_grad:
            return learned(objective, rows, truth)
        return torch.tensor(next(queue))

    monkeypatch.setattr(ClassObjective, "loss", loss)


def test_training_stops_when_patience_ends_and_keeps_the_best_epoch(monkeypatch):
    seen = []
    monkeypatch.setattr(fit, "PATIENT_STEPS", 1)
    validation_losses(monkeypatch, [0.9, 0.5, 0.6, 0.7, 0.1])
    stopped = fitted(epochs=8, patience=2, on_epoch=seen.append)
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4]
    assert [epoch.best for epoch in seen] == [True, True, False, False]
    assert (stopped.measured["epochs"], stopped.measured["best_epoch"]) == (4, 2)

    validation_losses(monkeypatch, [0.9, 0.5, 0.6])
    sooner = fitted(epochs=8, patience=1)
    assert sooner.fingerprint == stopped.fingerprint

    validation_losses(monkeypatch, [0.4, 0.5])
    first = fitted(epochs=8, patience=1)
    assert first.measured["best_epoch"] == 1
    assert first.fingerprint != stopped.fingerprint


def test_patience_lasts_a_number_of_steps_on_small_sets(monkeypatch):
    seen = []
    monkeypatch.setattr(fit, "PATIENT_STEPS", 7)
    validation_losses(monkeypatch, [0.5] + [0.9] * 20)
    fitted(epochs=12, patience=1, batch_size=32, on_epoch=seen.append)
    assert len(seen) == 1 + 4  # two steps an epoch


def test_a_loss_that_is_not_finite_is_refused(monkeypatch):
    validation_losses(monkeypatch, [float("nan")])
    with pytest.raises(ClassifierError, match="diverged in epoch 1"):
        fitted()


@pytest.mark.parametrize("setting", ["epochs", "patience", "batch_size"])
def test_settings_below_one_are_refused(setting):
    with pytest.raises(ClassifierError, match=f"{setting} must be at least 1, got 0"):
        fitted(**{setting: 0})


@pytest.mark.parametrize("rate", [0.0, -1e-3])
def test_a_learning_rate_that_is_not_positive_is_refused(rate):
    with pytest.raises(ClassifierError, match="learning_rate must be above 0, got"):
        fitted(learning_rate=rate)


def test_an_output_that_cannot_be_fitted_is_refused():
    spec = ClassifierSpec(size=16, output="multilabel_logits", class_names=("effusion",))
    with pytest.raises(ClassifierError, match="or value, got 'multilabel_logits'"):
        fitted(spec=spec)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ClassifierError, match="did you mean 'cnn'"):
        fitted(arch="cn")


# Parts


def test_class_weights_make_all_classes_count_alike():
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    weight = class_weights(labels, 4)
    counts = labels.bincount(minlength=4)
    torch.testing.assert_close((weight * counts)[[0, 1, 3]], torch.full((3,), 10 / 3))
    assert class_weights(torch.tensor([0, 1, 1, 0]), 2).tolist() == [1.0, 1.0]


def test_move_towards_averages_weights_and_statistics():
    start, end = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(end.weight, 3.0)
    end.running_mean.fill_(8.0)
    end.num_batches_tracked.fill_(5)
    move_towards(start, end, 0.25)
    assert start.weight.tolist() == [1.5, 1.5]
    assert start.running_mean.tolist() == [2.0, 2.0]
    assert start.num_batches_tracked.item() == 5


def test_the_best_temperature_undoes_a_known_factor():
    """Logits ±ln 3 are right in 3 of 4 cases: calibrated, so the factor must come back."""
    calibrated = torch.tensor([[0.0, 3.0]]).log1p().repeat(4, 1) * np.log(3) / np.log(4)
    labels = torch.tensor([1, 1, 1, 0])
    for factor in (0.5, 1.0, 2.0):
        found = best_temperature(calibrated * factor, labels, torch.ones(2))
        assert found == pytest.approx(factor, rel=0.02)


def test_dividing_the_last_layer_divides_the_scores():
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    inputs = torch.linspace(-1, 1, 8).view(2, 4)
    before = module(inputs)
    divide_last_layer(module, 2.5)
    torch.testing.assert_close(module(inputs), before / 2.5)


@pytest.fixture
def pictures():
    return torch.rand(40, 3, 16, 16, generator=Generator().manual_seed(0)) * 2 - 1


def test_augmentation_keeps_shape_and_range_and_repeats_with_its_seed(pictures):
    first = augment(pictures, Generator().manual_seed(5))
    assert first.shape == pictures.shape
    assert first.min() >= -1
    assert first.max() <= 1
    assert torch.equal(first, augment(pictures, Generator().manual_seed(5)))
    assert not torch.equal(first, augment(pictures, Generator().manual_seed(6)))


def test_images_that_are_not_moved_are_exact_copies_or_mirrors(pictures, monkeypatch):
    monkeypatch.setattr("medxgan.classifiers.augmentation.RESAMPLED_SHARE", 0.0)
    moved = move(pictures, Generator().manual_seed(0))
    copies = (moved - pictures).abs().amax((1, 2, 3)) < 1e-5
    mirrors = (moved - pictures.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    assert (copies ^ mirrors).all()
    assert copies.any()
    assert mirrors.any()


def test_moving_and_blurring_leave_a_constant_image_alone():
    flat = torch.full((8, 1, 16, 16), 0.25)
    generator = Generator().manual_seed(0)
    torch.testing.assert_close(move(flat, generator), flat)
    torch.testing.assert_close(blur(flat, generator), flat)


def test_blur_changes_about_its_share_of_the_images(pictures):
    blurred = blur(pictures, Generator().manual_seed(0))
    changed = (blurred != pictures).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 20
    assert (blurred.var((1, 2, 3)) <= pictures.var((1, 2, 3)) + 1e-6).all()


def test_jitter_of_black_stays_near_black():
    black = torch.full((16, 1, 16, 16), -1.0)
    changed = jitter(black, Generator().manual_seed(0))
    assert changed.mean((1, 2, 3)).max() < -1 + 0.1 + 0.05
