"""Series of images to a requested answer, in a world where each answer has its place."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from directed_world import (
    CODE,
    CPU,
    SIZE,
    SPEC,
    brightness,
    drawn_images,
    fitted,
    linear_bundle,
    patch_black_box,
)
from medxgan.classifiers import BlackBox
from medxgan.data import Inputs
from medxgan.directed_explainer import DirectedExplainer
from medxgan.directed_series import check_series, series_of
from medxgan.errors import ConfigError, DataError
from medxgan.explain.series import Levels, Series, draw_levels, evidence_for
from medxgan.explain.settings import ExplainSettings
from medxgan.explain.steering import Ways
from medxgan.fitting_direction import directed, fit_direction
from medxgan.report.series import captions_of, series_picture, write_series
from medxgan.types import ClassifierSpec


@pytest.fixture(scope="module")
def explainer():
    bundle = linear_bundle()
    return DirectedExplainer(bundle, fitted(patch_black_box(), bundle=bundle), CPU)


@pytest.fixture(scope="module")
def images():
    return drawn_images(4)


def mean_of_patch(frames: torch.Tensor) -> torch.Tensor:
    """The model's log-odds over 20, in closed form."""
    return frames[..., 0, 8:16, 12:20].mean(dim=(-2, -1))


def test_series_are_called_as_explanations_of_the_same_images_are(explainer):
    """Or a report would not show them together."""
    images = drawn_images(10)
    names = [one.name for one in explainer.toward(images, 0.9, frames=2, refine=0)]
    explained = explainer.explain(images, methods=["difference"], frames=2, refine=0)
    assert names == [one.name for one in explained] and names[0] == "image-01"


@pytest.mark.parametrize("answer", [0.9, 0.2])
def test_frames_have_the_answers_that_were_asked_for(explainer, images, answer):
    for one in explainer.toward(images, answer, frames=5):
        expected = torch.linspace(-1, 1, 5) * evidence_for(answer, SPEC)
        torch.testing.assert_close(torch.logit(one.wanted), expected, atol=1e-4, rtol=0)
        assert one.reached.all()
        torch.testing.assert_close(torch.logit(one.answers), expected, atol=0.02, rtol=0)
        torch.testing.assert_close(20 * mean_of_patch(one.frames), expected, atol=0.02, rtol=0)


def test_answers_rise_or_fall_all_the_way(explainer, images):
    for one, other in zip(
        explainer.toward(images, 0.9), explainer.toward(images, 0.1), strict=True
    ):
        assert (one.answers.diff() > 0).all() and (other.answers.diff() < 0).all()
        torch.testing.assert_close(one.frames, other.frames.flip(0), atol=5e-3, rtol=0)


def test_an_even_answer_begins_at_the_images_own(explainer, images):
    for one in explainer.toward(images, 0.5, frames=3):
        assert one.answers[0] == pytest.approx(one.own[1], abs=1e-3)
        assert one.answers[-1] == pytest.approx(0.5, abs=5e-3)


def test_both_ends_may_lie_on_one_side_of_the_image(explainer, images):
    bright = images[:1] * 0 + 0.3  # log-odds 6
    (one,) = explainer.toward(bright, 0.8, frames=4)
    assert one.own[0] > 0.99
    torch.testing.assert_close(one.answers, one.wanted, atol=0.01, rtol=0)


def test_a_value_goes_to_a_value_of_its_range(images):
    spec = SPEC.model_copy(
        update={"output": "value", "class_names": ("grade",), "value_range": (-4.0, 6.0)}
    )
    bundle, model = linear_bundle(), patch_black_box(spec)
    found = fit_direction(bundle, "0" * 64, model, 0, name="grade", samples=100, device=CPU)
    for one in DirectedExplainer(bundle, found, CPU).toward(images, 3.0, frames=3):
        assert one.wanted.tolist() == pytest.approx([-1.0, 1.0, 3.0])  # 1 is the middle
        assert captions_of(one)[-1] == f"{one.answers[-1].item():.1f}"
        torch.testing.assert_close(one.answers, one.wanted, atol=0.05, rtol=0)
    with pytest.raises(ConfigError, match="must lie in the model's range, -4 to 6, got 7"):
        evidence_for(7.0, model.spec)


def test_what_is_not_reached_is_said(images):
    bounded = ClassifierSpec(
        size=SIZE, class_names=("dark", "bright"), intensity_range=(-1, 1), output="probabilities"
    )

    def predict(given: np.ndarray) -> np.ndarray:
        bright = 0.5 + 0.2 * np.tanh(5 * given[:, 0, 8:16, 12:20].mean((1, 2)))
        return np.stack([1 - bright, bright], axis=1)

    bundle = linear_bundle()
    explainer = DirectedExplainer(bundle, fitted(BlackBox(predict, bounded), bundle=bundle), CPU)
    (one,) = explainer.toward(0 * images[:1], 0.9, frames=9)  # its own answer is 0.5
    assert one.reached.tolist() == [0.3 < wanted < 0.7 for wanted in one.wanted.tolist()]
    torch.testing.assert_close(one.answers[one.reached], one.wanted[one.reached], atol=0.01, rtol=0)
    torch.testing.assert_close(one.frames[-1], one.frames[one.reached][-1])
    torch.testing.assert_close(one.frames[0], one.frames[one.reached][0])


def levels_of(score: Callable[[torch.Tensor], torch.Tensor], place: float, frames: int) -> Levels:
    """Levels to log-odds 2 from a code at a place along the patch, its log-odds twice that.

    Their moves, too, are said as places along the patch.
    """
    along = directed(linear_bundle(), None).places(torch.eye(CODE)[:1])
    generator = directed(linear_bundle(), along[0])
    levels = draw_levels(
        generator, lambda x: score(brightness(x)), place * along, 2.0, frames, Ways(local=False)
    )
    return replace(levels, z2=levels.z2 @ along[0])


def test_a_way_that_gets_nowhere_is_not_followed_to_its_end():
    """Evidence e rises to 1 and then by a trace: 12 deviations away, at e = 24, it is 1.023."""

    def flattening(e: torch.Tensor) -> torch.Tensor:
        return torch.where(e < 1, e, 1 + 0.001 * (e - 1))

    levels = levels_of(flattening, place=0.0, frames=9)
    assert levels.reached.tolist() == [[True] * 7 + [False] * 2]
    moves = levels.z2[0]
    torch.testing.assert_close(
        moves, torch.tensor([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.5, 0.5]), atol=0.02, rtol=0
    )
    torch.testing.assert_close(levels.frames[0, 8], levels.frames[0, 6])


def test_where_no_level_is_reached_the_image_itself_stays():
    """Evidence that never falls below 4, of an image whose evidence is 6."""
    levels = levels_of(lambda e: e.clamp_min(4.0), place=3.0, frames=5)
    assert not levels.reached.any() and not levels.z2.any()
    torch.testing.assert_close(20 * mean_of_patch(levels.frames), torch.full((1, 5), 6.0))


def test_levels_on_one_side_are_held_in_their_order():
    """Evidence that never falls below 0.5: of the levels 2 to -2, 2 and 1 are had."""
    levels = levels_of(lambda e: e.clamp_min(0.5), place=3.0, frames=5)
    assert levels.reached.tolist() == [[False, False, False, True, True]]
    torch.testing.assert_close(
        levels.z2[0], torch.tensor([-2.5, -2.5, -2.5, -2.5, -2]), atol=0.02, rtol=0
    )


@pytest.mark.parametrize("answer", [0.0, 1.0, 1.5, float("nan")])
def test_no_probability_is_refused(explainer, images, answer):
    with pytest.raises(ConfigError, match="must be above 0 and below 1, a probability, got"):
        explainer.toward(images, answer)


def test_names_and_shapes_are_checked(explainer, images):
    with pytest.raises(DataError, match="4 images need 4 names, got 1"):
        explainer.toward(images, 0.9, names=["one"])
    with pytest.raises(DataError, match=r"images must be \[N, 1, 32, 32\]"):
        explainer.toward(images[:, :, :8], 0.9)
    with pytest.raises(ConfigError, match="frames must be at least 2, got 1"):
        explainer.toward(images, 0.9, frames=1)


def test_an_explainer_without_a_direction_has_no_series(tiny_bundle):
    import medxgan

    with pytest.raises(ConfigError, match=r"tiny has no direction .* leave out --to"):
        check_series(medxgan.load(tiny_bundle, device="cpu"), 0.9)


def one_series(
    answers: list[float], wanted: list[float], spec: ClassifierSpec | None = None
) -> Series:
    images = torch.zeros(2, 1, 8, 8)
    return Series(
        name="one",
        image=images[0],
        reconstruction=images[1],
        frames=images,
        wanted=torch.tensor(wanted),
        answers=torch.tensor(answers),
        reached=torch.tensor([True, False]),
        own=(answers[0], answers[1]),
        target_name="x",
        spec=spec,
    )


def test_captions_never_pretend_to_be_certain():
    assert captions_of(one_series([0.9996, 0.0001], [0.5, 0.9])) == [
        "image >0.999",
        "redrawn <0.001",
        ">0.999",
        "<0.001, not 0.900",
    ]


@pytest.mark.parametrize(
    ("high", "texts"),
    [
        (4.0, ["image 1.00", "redrawn 3.10", "1.00", "3.10, not 3.50"]),
        (100.0, ["image 1", "redrawn 3", "1", "3, not 4"]),
    ],
)
def test_captions_of_a_value_are_in_its_units(high, texts):
    spec = ClassifierSpec(size=8, class_names=("x",), output="value", value_range=(0.0, high))
    assert captions_of(one_series([1.0, 3.1], [1.0, 3.5], spec)) == texts


def test_a_frame_that_repeats_another_is_faded():
    """Black frames: what was reached stays black, what was not is 60 % white."""
    one = replace(one_series([0.5, 0.5], [0.5, 0.9]), frames=-torch.ones(2, 1, 8, 8))
    pixels = np.asarray(series_picture(one))
    assert pixels[0, 2 * 100].tolist() == [0, 0, 0]
    assert pixels[0, 3 * 100].tolist() == [153, 153, 153]


def test_series_are_written_beside_a_report(explainer, images, tmp_path):
    inputs = Inputs(images, ["a b.png", "c", "d", "e"], [None] * 4, [None] * 4, ())
    told: list[int] = []
    series = series_of(explainer, inputs, 0.9, ExplainSettings(frames=3), told.append)
    assert told == [4]
    table = write_series(series, tmp_path / "out")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 12 and rows[0]["folder"] == "a-b.png"
    assert float(rows[2]["wanted"]) == pytest.approx(0.9)
    facts = json.loads((tmp_path / "out" / "a-b.png" / "series.json").read_text())
    assert facts["reached"] == [True] * 3 and facts["target_name"] == "bright"
    with np.load(tmp_path / "out" / "c" / "series.npz", allow_pickle=False) as arrays:
        assert arrays["frames"].shape == (3, 1, SIZE, SIZE)
    with Image.open(tmp_path / "out" / "d" / "series.png") as picture:
        assert picture.size == series_picture(series[2]).size
    series[3].save(tmp_path / "one")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "series.json",
        "series.npz",
        "series.png",
    ]
