"""Regressions, directions and what they explain, against closed forms and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score

from medxgan.explain.direction import (
    explained_variance,
    least_change,
    linear_regression,
    logistic_regression,
    of_length_1,
    random_directions,
    separation,
)

CODE = 6


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_ridge_is_that_of_scikit_learn(random):
    places = torch.randn(50, CODE, generator=random)
    evidence = places[:, 0] - 2 * places[:, 1] + torch.randn(50, generator=random)
    theirs = Ridge(alpha=0.1 * 50).fit(places.numpy(), evidence.numpy())
    ours = linear_regression(places, evidence, ridge=0.1)
    np.testing.assert_allclose(ours.numpy(), theirs.coef_, atol=1e-5)


def test_logistic_regression_is_that_of_scikit_learn_for_hard_answers(random):
    places = torch.randn(200, CODE, generator=random)
    answers = (places[:, 0] + torch.randn(200, generator=random) > 0).float()
    theirs = LogisticRegression(C=1 / (0.1 * 200), tol=1e-9, max_iter=1000)
    theirs.fit(places.numpy(), answers.numpy())
    ours = logistic_regression(places, answers, ridge=0.1)
    np.testing.assert_allclose(ours.numpy(), theirs.coef_[0], atol=1e-4)


def test_a_linear_model_is_explained_wholly_by_its_own_direction_alone(random):
    places = torch.randn(5000, CODE, generator=random)
    weights = torch.randn(CODE, generator=random)
    evidence = places @ weights + 7
    found = linear_regression(places[:2500], evidence[:2500], ridge=0)
    held_out = places[2500:], evidence[2500:]
    assert explained_variance(*held_out, found) == pytest.approx(1, abs=1e-6)
    others = [
        max(explained_variance(*held_out, sign * d) for sign in (1, -1))
        for d in random_directions(200, CODE, seed=0)
    ]
    assert np.mean(others) == pytest.approx(1 / CODE, abs=0.05)
    # The wrong sense explains nothing.
    assert explained_variance(*held_out, -found) == 0.0


def test_a_constant_model_has_no_direction(random):
    places = torch.randn(100, CODE, generator=random)
    assert np.isnan(explained_variance(places, torch.ones(100), torch.ones(CODE)))


def test_area_is_that_of_scikit_learn(random):
    places = torch.randn(60, CODE, generator=random).round(decimals=1)  # with ties
    positive = places[:, 0] + torch.randn(60, generator=random) > 0
    direction = torch.randn(CODE, generator=random)
    expected = roc_auc_score(positive.numpy(), (places @ direction).numpy())
    assert separation(places, positive, direction) == pytest.approx(expected)


def test_one_side_alone_cannot_be_told_from_the_other(random):
    places = torch.randn(5, CODE, generator=random)
    assert np.isnan(separation(places, torch.ones(5, dtype=torch.bool), torch.ones(CODE)))


def test_least_change_beats_every_other_direction_of_the_same_rise(random):
    root = torch.randn(CODE, CODE, generator=random)
    metric, gradient = root @ root.T, torch.randn(CODE, generator=random)
    best = least_change(gradient, metric, damping=0.0)
    change = (best @ metric @ best) / (gradient @ best).square()
    for other in random_directions(500, CODE, seed=1):
        assert change <= (other @ metric @ other) / (gradient @ other).square() * (1 + 1e-4)


def test_much_damping_leaves_the_gradient_as_it_is(random):
    root, gradient = torch.randn(CODE, CODE, generator=random), torch.randn(CODE, generator=random)
    damped = least_change(gradient, root @ root.T, damping=1e6)
    torch.testing.assert_close(damped, of_length_1(gradient), atol=1e-4, rtol=0)


def test_no_gradient_has_no_direction():
    assert not least_change(torch.zeros(CODE), torch.eye(CODE), damping=0.1).any()
