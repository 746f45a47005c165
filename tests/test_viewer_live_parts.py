"""Sessions, sliders, goals and directions: each by its closed form, without a server."""

import asyncio
import threading

import pytest
import torch

from directed_world import CPU, LAYERS, fitted, linear_bundle, patch_module
from medxgan.directed_explainer import DirectedExplainer
from medxgan.loader import load
from medxgan.types import ClassifierSpec
from medxgan.viewer.controls import (
    PATHOLOGY_REACH,
    STRONGEST,
    axis_control,
    parse_setting,
    strength_control,
)
from medxgan.viewer.faults import DroppedError, RequestError, TooLargeError, UnknownError
from medxgan.viewer.goals import Wish, parse_wish, strength_for
from medxgan.viewer.motion import Motion, controls_of, motion_of, pathology_axes
from medxgan.viewer.sessions import Sessions
from medxgan.viewer.single_thread import SingleThread

CONTROLS = (strength_control(), axis_control("a", "a", 3.0), axis_control("b", "b", 3.0))


def directed_explainer() -> DirectedExplainer:
    return DirectedExplainer(linear_bundle(plus=True), fitted(patch_module()), CPU)


TWO = ClassifierSpec(size=8, class_names=("no", "yes"))
GRADE = ClassifierSpec(size=8, output="value", class_names=("grade",), value_range=(0, 4))


def test_the_longest_unused_session_goes_first():
    dropped: list[str] = []
    sessions = Sessions[str](dropped.append, most=2)
    first, second = sessions.add("first", 1), sessions.add("second", 1)
    assert sessions.get(first) == "first"
    third = sessions.add("third", 1)
    assert dropped == ["second"] and sessions.items() == ["first", "third"]
    with pytest.raises(DroppedError, match="closed to make room for others"):
        sessions.get(second)
    sessions.clear()
    assert dropped == ["second", "first", "third"]
    with pytest.raises(UnknownError, match="no such open image"):
        sessions.get(third)


def test_sessions_are_dropped_for_memory_too():
    dropped: list[str] = []
    sessions = Sessions[str](dropped.append, total=10, largest=8)
    sessions.add("a", 6)
    sessions.add("b", 4)
    sessions.add("c", 5)
    assert dropped == ["a"]
    with pytest.raises(TooLargeError, match="the viewer gives at most 0 MB to one"):
        sessions.add("d", 9)
    assert sessions.items() == ["b", "c"]


def test_ids_cannot_be_guessed():
    sessions = Sessions[int](lambda item: None)
    ids = {sessions.add(number, 0) for number in range(50)}
    assert len(ids) == 50 and all(len(id) >= 20 for id in ids)


def test_sliders_left_out_stand_where_they_begin():
    setting = parse_setting({"controls": {"a": 2}, "alternative": 1}, CONTROLS)
    assert setting.controls() == {"strength": 1.0, "a": 2.0, "b": 0.0}
    assert setting.alternative == 1
    assert parse_setting({}, CONTROLS).controls() == {"strength": 1.0, "a": 0.0, "b": 0.0}
    assert parse_setting({"alternative": "goal"}, CONTROLS).alternative == "goal"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"controls": {"c": 0}}, "no such slider; choose from: strength, a, b"),
        ({"controls": {"a": 3.1}}, "'a' takes a number from -3 to 3"),
        ({"controls": {"strength": -0.1}}, "'strength' takes a number from 0 to 1.5"),
        ({"controls": {"a": float("nan")}}, "'a' takes a number"),
        ({"controls": {"a": 10**400}}, "'a' takes a number"),
        ({"controls": {"a": "1"}}, "'a' takes a number"),
        ({"controls": {"a": True}}, "'a' takes a number"),
        ({"controls": {"a": None}}, "'a' takes a number"),
        ({"controls": [1]}, "controls must be an object of numbers"),
        ({"alternative": "x"}, "an alternative is a number, 'goal' or null"),
        ({"alternative": True}, "an alternative is"),
        ({"alternative": 1.5}, "an alternative is"),
    ],
)
def test_a_setting_that_is_none_is_refused(body, words):
    with pytest.raises(RequestError) as refused:
        parse_setting(body, CONTROLS)
    assert words in str(refused.value)


@pytest.mark.parametrize("goal", [None, "up", 0, 1, -1, 1.5, True, float("nan"), [0.5], 10**400])
def test_a_goal_that_is_none_is_refused(goal):
    with pytest.raises(RequestError, match="a goal is 'negative', 'positive', or a probability"):
        parse_wish({"goal": goal}, TWO)


def test_a_value_is_wanted_in_its_units():
    wish = parse_wish({"goal": 3}, GRADE)
    assert (wish.side, wish.score, wish.answer) == (None, 0.75, 3.0)
    assert parse_wish({"goal": 4}, GRADE).score == 1.0, "as medxgan explain --to takes it"
    with pytest.raises(RequestError, match="or a grade between 0 and 4"):
        parse_wish({"goal": 4.1}, GRADE)


@pytest.mark.parametrize("wanted", [0.01, 0.3, 0.5, 0.77, 0.99])
def test_the_strength_of_a_monotone_film_is_found(wanted):
    def scores_at(strengths: torch.Tensor) -> torch.Tensor:
        return (10 * strengths - 5).sigmoid()

    found = strength_for(scores_at, Wish(None, wanted), present=1.0)
    exact = float((torch.logit(torch.tensor(wanted)) + 5) / 10)
    assert found.reached and found.strength == pytest.approx(exact, abs=1e-3)
    falling = strength_for(lambda strengths: 1 - scores_at(strengths), Wish(None, 1 - wanted), 1.0)
    assert falling.reached and falling.strength == pytest.approx(exact, abs=1e-3)


def test_of_several_strengths_the_nearest_is_taken():
    def scores_at(strengths: torch.Tensor) -> torch.Tensor:
        return 1 - (strengths - 0.75).abs()  # 0.5 at 0.25 and at 1.25

    assert strength_for(scores_at, Wish(None, 0.5), 0.0).strength == pytest.approx(0.25, abs=1e-3)
    assert strength_for(scores_at, Wish(None, 0.5), 1.5).strength == pytest.approx(1.25, abs=1e-3)
    beyond = strength_for(lambda strengths: scores_at(strengths) / 2, Wish(None, 0.8), 0.0)
    assert not beyond.reached and beyond.strength == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    ("slope", "side", "strength", "reached"),
    [
        (1.0, False, 0.0, True),
        (1.0, True, 1.0, True),
        (0.4, True, 1.25, True),
        (0.2, True, STRONGEST, False),
        (-1.0, True, 1.0, False),
    ],
)
def test_a_side_is_the_end_of_the_film_where_that_will_do(slope, side, strength, reached):
    found = strength_for(lambda strengths: slope * strengths + 0.0, Wish(side), 1.0)
    assert found.reached == reached
    if reached or slope > 0:
        assert found.strength == pytest.approx(strength, abs=0.03)
    else:
        assert found.strength == 0.0  # the least negative place of the film


def test_a_strength_that_scales_the_sliders_makes_every_film_begin_negative():
    axes, end = torch.eye(2), torch.tensor([[1.0, 2.0]])
    z1 = torch.tensor([[5.0, 5.0]])
    within = Motion(axes, ("a", "b"), within=True).film(z1, end, {"a": 3.0})
    assert within[0].equal(z1) and within[1].tolist() == [[4.0, 2.0]]
    beside = Motion(axes, ("a", "b"), within=False).film(z1, end, {"a": 3.0})
    assert beside[0].tolist() == [[8.0, 5.0]] and beside[1].equal(end)


class DarkStripes:
    """Its evidence falls with the brightness of the first stripe and rises with the second's."""

    spec = ClassifierSpec(size=32, class_names=("no", "yes"))

    def log_odds(self, images: torch.Tensor, target: int) -> torch.Tensor:
        return images[:, 0, 8:16].mean((1, 2)) - images[:, 0, :8].mean((1, 2))


def test_pathology_axes_change_the_image_most_and_raise_the_evidence(tiny_bundle):
    """Of a generator that shows three coordinates of z2 as three stripes, these three."""
    explainer = load(tiny_bundle, device="cpu")

    def generator(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
        images = torch.zeros(len(z1), 1, 32, 32)
        for place, (coordinate, weight) in enumerate(((2, 0.03), (0, -0.02), (3, 0.01))):
            images[:, 0, 8 * place : 8 * place + 8] = weight * z2[:, coordinate, None, None]
        return images

    explainer.generator, explainer.classifier = generator, DarkStripes()
    axes = pathology_axes(explainer, 3)
    torch.testing.assert_close(axes[:2], -torch.eye(4)[[2, 0]], atol=1e-4, rtol=0)
    torch.testing.assert_close(axes[2].abs(), torch.eye(4)[3], atol=1e-4, rtol=0)


def test_sliders_of_each_kind_of_bundle(tiny_bundle):
    controls = controls_of(load(tiny_bundle, device="cpu"))
    assert [control.id for control in controls] == ["strength", *(f"z2-{i}" for i in range(1, 5))]
    assert controls[1].low == -PATHOLOGY_REACH and controls[1].value == 0
    directed = directed_explainer()
    controls = controls_of(directed, ("other",))
    assert [control.id for control in controls[:3]] == ["strength", "toward-patch", "toward-other"]
    assert controls[1].label == "toward bright (patch)"
    assert controls[2].label == "direction other", "which may be of another model, or class"
    assert controls_of(directed)[1].label == "toward bright"


def test_sliders_of_a_direction_move_all_layers_alike():
    explainer = directed_explainer()
    controls = controls_of(explainer)
    motion = motion_of(explainer, controls, {})
    z1, end = torch.zeros(1, motion.axes.shape[1]), torch.zeros(1, motion.axes.shape[1])
    moved, unmoved = motion.film(z1, end, {"toward-patch": 2.0})
    direction = explainer.generator.direction
    torch.testing.assert_close(moved.view(LAYERS, -1), 2 * direction.expand(LAYERS, -1))
    assert unmoved.equal(end)
    first, _ = motion.film(z1, end, {"w-1": 1.5})
    assert first.view(LAYERS, -1)[:, 0].tolist() == [1.5] * LAYERS
    assert first.count_nonzero() == LAYERS


def test_work_of_the_model_never_overlaps_and_never_holds_the_loop():
    thread, inside, seen = SingleThread("model"), [0], []

    def work(number: int) -> int:
        inside[0] += 1
        seen.append((inside[0], threading.current_thread().name))
        inside[0] -= 1
        return number

    async def many() -> list[int]:
        return await asyncio.gather(*(thread.run(work, number) for number in range(50)))

    assert asyncio.run(many()) == list(range(50))
    assert {overlap for overlap, _ in seen} == {1}
    assert len({name for _, name in seen}) == 1
    thread.close()
