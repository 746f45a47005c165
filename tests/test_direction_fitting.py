"""Fitting a direction in a world where it is known."""

import numpy as np
import pytest
import torch
from torch import nn

from directed_world import (
    CODE,
    CPU,
    SPEC,
    brightness,
    fitted,
    linear_bundle,
    patch_black_box,
    patch_module,
)
from medxgan.classifiers import BlackBox, TorchClassifier
from medxgan.classifiers.surrogate import STANDS_FOR, describe_model
from medxgan.direction_figures import (
    NEAREST_END,
    RANDOM_DIRECTIONS,
    direction_notes,
    ends_of,
    evidence_of,
    figure_rows,
)
from medxgan.direction_file import FARTHEST_ENDS
from medxgan.errors import ClassifierError, ConfigError
from medxgan.fitting_direction import directed, fit_direction


class Mean(nn.Module):
    def forward(self, images):
        return images.mean(dim=(1, 2, 3))


def small_module() -> TorchClassifier:
    return TorchClassifier(Mean(), SPEC.model_copy(update={"size": 8}))


@pytest.fixture(scope="module")
def found():
    return fitted(patch_black_box(), samples=1000)


def test_a_model_of_one_place_has_the_direction_of_that_place(found):
    cosine = torch.nn.functional.cosine_similarity(
        found.direction, directed(linear_bundle(), None).places(torch.eye(CODE)[:1])[0], dim=0
    )
    assert cosine > 0.999
    assert found.direction.norm() == pytest.approx(1.0)


def test_it_explains_all_and_random_directions_one_in_k(found):
    fit = found.manifest.fit
    assert fit["explained"] == pytest.approx(1.0, abs=1e-4)
    assert fit["explained_by_direction"] == pytest.approx(1.0, abs=1e-2)
    assert fit["area_under_roc"] == pytest.approx(1.0, abs=1e-4)
    spread = (2 / CODE) / RANDOM_DIRECTIONS**0.5
    assert fit["explained_by_random_mean"] == pytest.approx(1 / CODE, abs=3 * spread)
    assert fit["reached_along"] == fit["reached"] == 1.0
    assert fit["flipped_down"] == fit["flipped_up"] == 1.0


def test_limits_are_those_of_held_out_samples(found):
    manifest = found.manifest
    # Reconstructions are all but exact: the narrowest gap that is kept.
    assert manifest.prediction_gap == pytest.approx(0.1)
    assert manifest.fit["prediction_match"] == 1.0
    # Evidence is twice the first place, which is N(0, 1); films end at log-odds of ±2.944. In one
    # layer the move is along that place alone: 99 of 100 are shorter than (2.944 + 2 · 2.576) / 2.
    assert manifest.step_length * CODE**0.5 == pytest.approx((2.944 + 2 * 2.576) / 2, rel=0.1)
    assert manifest.fit["called_positive"] == pytest.approx(0.5, abs=0.06)


def test_films_end_at_answers_that_the_model_gives(found):
    # The evidence is so wide here that the farthest ends are within what is drawn...
    assert found.manifest.ends == FARTHEST_ENDS
    # ... and those of a narrow one are nearer.
    evidence = torch.cat([torch.linspace(-1, -0.1, 91), torch.linspace(0, 0.5, 101)])
    assert ends_of(evidence) == pytest.approx((-0.91, 0.45))
    # On a handful of images it is not known how sure the model gets, and no end is a coin's toss.
    assert ends_of(torch.tensor([1e-4] + [-1.0] * 30)) == pytest.approx((-1.0, FARTHEST_ENDS[1]))
    assert ends_of(evidence / 100) == pytest.approx((-NEAREST_END, NEAREST_END))


def test_an_unsure_model_is_not_followed_beyond_its_answers():
    def unsure(images):
        return 0.15 * brightness(images)

    direction = fitted(BlackBox(unsure, SPEC), samples=1000)
    low, high = direction.manifest.ends
    # A tenth of normal places on either side are beyond 1.645.
    assert low == pytest.approx(-0.493, abs=0.05) and high == pytest.approx(0.493, abs=0.05)
    assert direction.manifest.fit["reached"] > 0.95
    assert dict(figure_rows(direction))["Films end at the answers"] == (
        f"{torch.tensor(low).sigmoid():.2f} and {torch.tensor(high).sigmoid():.2f}"
    )


def test_a_module_and_a_function_have_the_same_direction(found):
    module = fitted(patch_module(), samples=1000)
    torch.testing.assert_close(module.direction, found.direction)
    assert module.manifest.fit == pytest.approx(found.manifest.fit)


@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_same_seed_same_direction(kind):
    first, again = (fitted(patch_black_box(), kind=kind, seed=4) for _ in range(2))
    assert torch.equal(first.direction, again.direction)
    assert first.manifest == again.manifest
    other = fitted(patch_black_box(), kind=kind, seed=5)
    assert not torch.equal(first.direction, other.direction)
    assert torch.nn.functional.cosine_similarity(first.direction, other.direction, dim=0) > 0.98


def test_the_other_class_has_the_opposite_direction(found):
    bundle, model = linear_bundle(), patch_black_box()
    other = fit_direction(bundle, "0" * 64, model, 0, name="dark", samples=1000, device=CPU)
    torch.testing.assert_close(other.direction, -found.direction, atol=1e-5, rtol=0)


def test_progress_never_falls_and_ends_at_all():
    told: list[float] = []
    fitted(patch_black_box(), progress=lambda share, text: told.append(share))
    assert told == sorted(told) and told[-1] == 1.0


def test_figures_are_said_in_words(found):
    rows = dict(figure_rows(found))
    assert rows["Variance of the evidence explained, held out"] == "1.000"
    assert rows["The others, called positive when moved up"] == "1.000"


def test_evidence_is_the_models_log_odds():
    images = torch.full((2, 1, 32, 32), 0.1)
    evidence = evidence_of(patch_black_box(), 1)(images)
    torch.testing.assert_close(evidence, torch.full((2,), 2.0))


def test_a_value_has_a_direction():
    spec = SPEC.model_copy(
        update={"output": "value", "class_names": ("grade",), "value_range": (-4.0, 4.0)}
    )
    found = fit_direction(
        linear_bundle(), "0" * 64, patch_black_box(spec), 0, name="grade", samples=200, device=CPU
    )
    assert found.manifest.fit["explained"] == pytest.approx(1.0, abs=1e-3)
    assert found.manifest.fit["reached"] == 1.0


# Refused.


def test_a_constant_model_has_no_direction():
    model = BlackBox(lambda images: 0 * images[:, :, 0, 0], SPEC)
    with pytest.raises(ClassifierError, match=r"same answer .* 0.500 for 'bright', so that no dir"):
        fitted(model)


@pytest.mark.parametrize(("level", "dust"), [(0.5, 1e-7), (1 - 1e-5, 1e-6)])
def test_a_model_whose_answers_are_dust_has_no_direction(level, dust):
    spec = SPEC.model_copy(update={"output": "probabilities"})

    def predict(images: np.ndarray) -> np.ndarray:
        bright = np.float32(level) + np.float32(dust) * images.mean((1, 2, 3))
        return np.stack([1 - bright, bright], axis=1)

    with pytest.raises(ClassifierError, match="the same answer, but for rounding, to all 200 draw"):
        fitted(BlackBox(predict, spec))


def test_answers_that_depend_on_the_batch_are_not_explained():
    """Every second image of a batch gets evidence of 0.0005: too little for the probes to mind."""

    def predict(images: np.ndarray) -> np.ndarray:
        return 5e-4 * (np.arange(len(images)) % 2)[:, None]

    with pytest.raises(ClassifierError, match="the same answer, but for rounding, to all 200 draw"):
        fitted(BlackBox(predict, SPEC))


def test_a_model_of_another_size_does_not_fit():
    spec = SPEC.model_copy(update={"size": 64})
    with pytest.raises(ClassifierError, match=r"draws images of 32 pixels .* the model takes 64"):
        fitted(patch_black_box(spec))


def test_answers_that_vary_on_held_out_images_alone_are_refused():
    network = directed(linear_bundle(), None)
    for seed in range(99):
        first = network.sample(254, seed)[:, 0]
        between = (first[:204].max() + first[204:].max()) / 2
        if first[:204].max() < between:
            break

    def rarely(images):
        return np.where(brightness(images) > 2 * float(between), 1.0, -1.0)

    with pytest.raises(ClassifierError, match="the same answer to all 200 drawn images"):
        fitted(BlackBox(rarely, SPEC), samples=200, seed=seed)


def test_a_model_that_says_no_to_all_is_told():
    direction = fitted(BlackBox(lambda images: brightness(images) - 100, SPEC), samples=100)
    notes = direction_notes(direction)
    assert "calls none of the" in notes[0] and "could be moved to the other side" in notes[1]


def test_a_direction_for_a_surrogate_is_told(found):
    assert direction_notes(found) == []
    stand_in = patch_module()
    stand_in.measured = {STANDS_FOR: describe_model(patch_black_box()).model_dump(mode="json")}
    (note,) = direction_notes(fitted(stand_in))
    assert "give the model itself" in note


@pytest.mark.parametrize(
    ("oracle", "message"),
    [
        (small_module(), "the oracle takes images of 8 pixels"),
        (patch_module(), "the oracle is the explained model itself"),
        (patch_black_box(), "cannot be kept beside a direction"),
    ],
)
def test_an_oracle_that_cannot_judge_is_refused(oracle, message):
    with pytest.raises(ClassifierError, match=message):
        fitted(patch_module(), oracle=oracle)


def test_too_few_samples_are_refused():
    with pytest.raises(ConfigError, match="6 dimensions needs at least 12 samples, got 11"):
        fitted(patch_black_box(), samples=11)
