"""Exports: pictures as in the report, films, arrays and reports that say what was saved."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from medxgan.errors import DataError
from medxgan.report import figures
from medxgan.report.figures import (
    BRIGHTNESS,
    EVIDENCE,
    difference_map,
    evidence_map,
    intensity_picture,
    map_picture,
)
from medxgan.report.html import render_report
from medxgan.viewer import exporting
from medxgan.viewer.panes import Pane
from medxgan.viewer.pictures import (
    BLUE_RED,
    LONGEST_FILM_SIDE,
    PURPLE_ORANGE,
    THUMBNAIL_SIDE,
    colour_table,
    gif_bytes,
    pane_picture,
    thumbnail,
)
from medxgan.viewer.restoring import restore
from viewer_cases import FRAMES, NO_FLIP, SIDE, make_explanation, viewer_of, write_folder

INTENSITY = Pane("original", "Original", "intensity", "image")
DIFFERENCE = Pane("difference", "Difference", "difference", "difference", 0.5)
LIG = Pane("lig", "LIG", "evidence", "attribution-lig", 0.5)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), dtype=int)


def opened(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content))


@pytest.mark.parametrize(("ours", "theirs"), [(PURPLE_ORANGE, BRIGHTNESS), (BLUE_RED, EVIDENCE)])
def test_colours_are_those_of_the_report(ours, theirs):
    table = colour_table(ours).astype(int)
    assert np.abs(table - figures.colour_table(theirs)).max() <= 1
    assert np.ptp(table[127]) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_panes_are_those_of_the_report(channels):
    values = torch.linspace(-1.2, 1.2, channels * 36).view(channels, 6, 6)
    values[:, 0, 0] = torch.nan
    image = values.nan_to_num().clamp(-1, 1)
    for pane, array, picture in (
        (INTENSITY, image, intensity_picture(image)),
        (DIFFERENCE, values, map_picture(difference_map(values), 0.5, BRIGHTNESS)),
        (LIG, values, map_picture(evidence_map(values), 0.5, EVIDENCE)),
    ):
        np.testing.assert_allclose(
            pixels(pane_picture(pane, array.numpy())), pixels(picture), atol=1
        )


def test_window_makes_its_ends_black_and_white():
    ramp = np.linspace(-1, 1, 5, dtype=np.float32).reshape(1, 1, 5)
    picture = pane_picture(INTENSITY, ramp, low=-0.5, high=0.5)
    assert pixels(picture)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    with pytest.raises(DataError, match="the window must rise from low to high, got 1 to 1"):
        pane_picture(INTENSITY, ramp, low=1, high=1)
    with pytest.raises(DataError, match="the end of a colour scale must be above 0, got -1"):
        pane_picture(LIG, ramp, scale=-1)


def test_thumbnails_are_small():
    wide = np.zeros((1, 300, 600), dtype=np.float32)
    assert max(thumbnail(wide).size) <= THUMBNAIL_SIDE
    assert thumbnail(wide[:, :8, :8]).size == (8, 8)


def test_pane_is_exported_as_asked_for(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("scan.png", channels=3))
    (shown,) = folder.entries()
    client, base = viewer_of(folder), f"/api/explanations/{shown.id}/panes"
    answer = client.get(f"{base}/original.png", params={"low": "-0.5", "high": "0.5", "zoom": "3"})
    picture = opened(answer.content)
    assert picture.size == (3 * SIDE, 3 * SIDE) and picture.mode == "RGB"
    assert answer.headers["content-disposition"].startswith(
        'attachment; filename="scan-original.png"'
    )
    assert picture.text["Description"] == "Original of scan.png. Not for clinical use."
    strong = opened(client.get(f"{base}/lig.png", params={"scale": "0.01"}).content)
    assert pixels(strong)[0, 0].tolist() == colour_table(BLUE_RED)[0].tolist()


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("nothing.png", 404, "no pane of that name"),
        ("mask.png", 404, "no pane of that name"),
        ("lig.png?scale=inf", 400, "scale must be a number, got 'inf'"),
        ("lig.png?scale=0", 422, "must be above 0"),
        ("original.png?low=a", 400, "low must be a number, got 'a'"),
        ("original.png?low=1&high=0", 422, "must rise"),
        ("original.png?zoom=17", 400, "zoom must be a whole number from 1 to 16, got 17"),
        ("original.png?zoom=1.5", 400, "zoom must be a whole number"),
    ],
)
def test_pane_that_cannot_be_exported(tmp_path, address, status, words):
    folder = write_folder(tmp_path / "out")
    (shown,) = folder.entries()
    answer = viewer_of(folder).get(f"/api/explanations/{shown.id}/panes/{address}")
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "out")
    (shown,) = folder.entries()
    client, base = viewer_of(folder), f"/api/explanations/{shown.id}/panes/original.png"
    monkeypatch.setattr(exporting, "MOST_PIXELS", 4 * SIDE * SIDE)
    assert client.get(base, params={"zoom": "2"}).status_code == 200
    answer = client.get(base, params={"zoom": "3"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("a picture of 24 x 24 pixels is larger than")
    monkeypatch.setattr(exporting, "MOST_PIXELS", 0)
    assert client.get(base).status_code == 200, "as it is, it is in the memory already"


def test_film_plays_there_and_back(tmp_path):
    folder = write_folder(tmp_path / "out")
    (shown,) = folder.entries()
    answer = viewer_of(folder).get(f"/api/explanations/{shown.id}/film.gif")
    film = opened(answer.content)
    assert film.n_frames == 2 * FRAMES - 2
    assert film.size == (SIDE * (LONGEST_FILM_SIDE // (2 * SIDE)),) * 2
    film.seek(FRAMES - 1)
    last = pixels(film)
    assert abs(last[0, 0, 0] - 0) <= 2 and abs(last[-1, -1, 0] - 255) <= 2
    assert b"Not for clinical use" in answer.content


def test_a_film_in_colour_keeps_its_size_where_it_is_large():
    frames = np.linspace(-1, 1, 2 * 3 * 300 * 300, dtype=np.float32).reshape(2, 3, 300, 300)
    assert opened(gif_bytes(frames, "film")).size == (300, 300)


def test_arrays_are_those_that_were_saved(tmp_path):
    folder = write_folder(tmp_path / "out")
    (shown,) = folder.entries()
    answer = viewer_of(folder).get(f"/api/explanations/{shown.id}/arrays.npz")
    assert answer.content == (tmp_path / "out" / "scan" / "explanation.npz").read_bytes()


@pytest.mark.parametrize("mask", [None, torch.eye(SIDE, dtype=torch.bool)])
def test_restored_explanation_is_the_one_that_was_saved(tmp_path, mask):
    saved = make_explanation(problems=(NO_FLIP,), mask=mask, skipped={"grad-cam": "no layers"})
    (shown,) = write_folder(tmp_path / "out", saved).entries()
    restored = restore(shown)
    assert restored.status == saved.status and restored.spec == saved.spec
    assert restored.skipped == saved.skipped and restored.notes == saved.notes
    for name in ("image", "frames", "difference", "alternatives", "strengths", "probabilities"):
        torch.testing.assert_close(getattr(restored, name), getattr(saved, name))
    torch.testing.assert_close(restored.attributions, saved.attributions)
    torch.testing.assert_close(restored.latent.z2, saved.latent.z2)
    torch.testing.assert_close(restored.answers, saved.answers)
    assert restored.scores == pytest.approx(saved.scores)
    assert (restored.mask is None) == (mask is None)
    assert render_report([restored]) == render_report([saved])


def test_report_of_one(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("<b>scan</b>"))
    (shown,) = folder.entries()
    answer = viewer_of(folder).get(f"/api/explanations/{shown.id}/report.html")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "&lt;b&gt;scan" in answer.text and "<b>scan" not in answer.text


def test_facts_that_no_model_can_have_are_one_sentence(tmp_path):
    spec = make_explanation().spec.model_copy(update={"class_names": ("same", "same")})
    (shown,) = write_folder(tmp_path / "out", make_explanation(spec=spec)).entries()
    with pytest.raises(DataError, match="do not fit together: class names must differ"):
        restore(shown)
