"""Directions and steering on generators and models whose answer is known in closed form."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from medxgan.explain.direction import (
    CodeFrame,
    explained_variance,
    frame_of,
    least_change,
    linear_regression,
    log_odds,
    logistic_regression,
    random_directions,
)
from medxgan.explain.steering import measure_slope, reach_along, steer

CODE, SIZE = 6, 4


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def mixing(random) -> torch.Tensor:
    """A linear generator: code -> pixels ``[CODE, SIZE * SIZE]``."""
    return torch.randn(CODE, SIZE * SIZE, generator=random)


@pytest.fixture
def sensitivity(random) -> torch.Tensor:
    """A linear model: pixels -> evidence ``[SIZE * SIZE]``."""
    return torch.randn(SIZE * SIZE, generator=random)


@pytest.fixture
def world(mixing, sensitivity):
    def draw(codes):
        return (codes @ mixing).view(-1, 1, SIZE, SIZE)

    def evidence(images):
        return images.flatten(1) @ sensitivity

    return draw, evidence


def even_frame() -> CodeFrame:
    return frame_of(torch.zeros(CODE), torch.eye(CODE))


def test_coordinates_of_the_prior_have_mean_0_and_covariance_1(random):
    spread = torch.randn(CODE, CODE, generator=random)
    codes = (torch.randn(20_000, CODE, generator=random) @ spread + 5).double()
    frame = frame_of(codes.mean(dim=0), codes.T.cov())
    coordinates = frame.coordinates(codes)
    torch.testing.assert_close(coordinates.T.cov(), torch.eye(CODE).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(frame.offsets(coordinates) + frame.mean, codes)


def test_axes_are_those_of_greatest_variance():
    frame = frame_of(torch.zeros(3), torch.diag(torch.tensor([1.0, 9.0, 4.0])), most=2)
    expected = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 2.0]])
    torch.testing.assert_close(frame.axes.abs(), expected)


def test_directions_without_variance_are_no_axes():
    assert len(frame_of(torch.zeros(2), torch.diag(torch.tensor([1.0, 0.0]))).axes) == 1


def test_ridge_is_that_of_scikit_learn(random):
    places = torch.randn(50, CODE, generator=random)
    evidence = places[:, 0] - 2 * places[:, 1] + torch.randn(50, generator=random)
    theirs = Ridge(alpha=0.1 * 50).fit(places.numpy(), evidence.numpy())
    ours = linear_regression(places, evidence, ridge=0.1)
    np.testing.assert_allclose(ours.weights.numpy(), theirs.coef_, atol=1e-5)
    assert ours.intercept == pytest.approx(theirs.intercept_, abs=1e-5)


def test_logistic_regression_is_that_of_scikit_learn_for_hard_answers(random):
    places = torch.randn(200, CODE, generator=random)
    answers = (places[:, 0] + torch.randn(200, generator=random) > 0).float()
    theirs = LogisticRegression(C=1 / (0.1 * 200), tol=1e-9, max_iter=1000)
    theirs.fit(places.numpy(), answers.numpy())
    ours = logistic_regression(places, answers, ridge=0.1)
    np.testing.assert_allclose(ours.weights.numpy(), theirs.coef_[0], atol=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_a_linear_model_is_explained_wholly_by_its_own_direction_alone(random):
    places = torch.randn(5000, CODE, generator=random)
    weights = torch.randn(CODE, generator=random)
    evidence = places @ weights + 7
    fit = linear_regression(places[:2500], evidence[:2500], ridge=0)
    held_out = places[2500:], evidence[2500:]
    assert explained_variance(*held_out, fit.weights) == pytest.approx(1, abs=1e-6)
    others = [explained_variance(*held_out, d) for d in random_directions(200, CODE, seed=0)]
    assert np.mean(others) == pytest.approx(1 / CODE, abs=0.05)


def test_a_constant_model_has_no_direction(random):
    places = torch.randn(100, CODE, generator=random)
    assert np.isnan(explained_variance(places, torch.ones(100), torch.ones(CODE)))


def test_log_odds_are_finite_and_odd():
    evidence = log_odds(torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0]))
    assert evidence.isfinite().all()
    torch.testing.assert_close(evidence, -evidence.flip(0), atol=1e-3, rtol=1e-3)


def test_least_change_beats_every_other_direction_of_the_same_rise(random):
    root = torch.randn(CODE, CODE, generator=random)
    metric, gradient = root @ root.T, torch.randn(CODE, generator=random)
    best = least_change(gradient, metric, damping=0.0)
    change = (best @ metric @ best) / (gradient @ best).square()
    for other in random_directions(500, CODE, seed=1):
        assert change <= (other @ metric @ other) / (gradient @ other).square() * (1 + 1e-4)


def test_slope_of_a_linear_world_is_exact(world, mixing, sensitivity):
    slope = measure_slope(*world, torch.zeros(2, CODE), even_frame())
    frame = even_frame()
    gradient = frame.axes @ mixing @ sensitivity
    torch.testing.assert_close(slope.gradient, gradient.expand(2, -1), atol=1e-3, rtol=1e-3)
    change = frame.axes @ mixing
    torch.testing.assert_close(slope.metric[0], change @ change.T, atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("wanted", [-2.0, 3.0])
def test_steering_reaches_what_is_wanted_for_the_least_change(world, mixing, sensitivity, wanted):
    draw, evidence = world
    steered = steer(
        draw,
        evidence,
        torch.zeros(2, CODE),
        torch.full((2,), wanted),
        even_frame(),
        fallback=torch.ones(CODE),
        damping=0.0,
    )
    assert steered.reached.all()
    torch.testing.assert_close(steered.evidence, torch.full((2,), wanted), atol=0.05, rtol=0.05)
    through = mixing @ sensitivity
    shortest = torch.linalg.solve(mixing @ mixing.T, through)
    shortest = shortest * wanted / (through @ shortest)
    torch.testing.assert_close(steered.codes[0], shortest, atol=0.05, rtol=0.05)


def test_steering_out_of_a_flat_place_follows_the_fallback():
    def stepped(images):
        return (images.flatten(1)[:, 0] - 3).clamp_min(0)

    def draw(codes):
        return codes.view(-1, 1, 1, CODE)

    steered = steer(
        draw,
        stepped,
        torch.zeros(1, CODE),
        torch.ones(1),
        even_frame(),
        fallback=torch.eye(CODE)[0],
    )
    assert steered.reached.all()


def test_what_cannot_be_reached_is_said():
    def draw(codes):
        return codes.view(-1, 1, 1, CODE)

    steered = steer(
        draw,
        lambda images: torch.tanh(images.flatten(1).sum(dim=1)),
        torch.zeros(1, CODE),
        torch.full((1,), 2.0),
        even_frame(),
        fallback=torch.ones(CODE),
        steps=3,
    )
    assert not steered.reached.any()


def test_reaching_along_a_direction_finds_where_it_is_crossed(world, mixing, sensitivity):
    direction = torch.eye(CODE)[0] * torch.sign(mixing @ sensitivity)[0]
    rise = float(direction @ mixing @ sensitivity)
    wanted = torch.tensor([2 * rise, -1 * rise, 100 * rise])
    strengths = reach_along(*world, torch.zeros(3, CODE), wanted, direction, farthest=8.0)
    assert strengths[0] == pytest.approx(2.0, abs=0.05)
    assert strengths[1] == pytest.approx(-1.0, abs=0.05)
    assert strengths[2] == 8.0
