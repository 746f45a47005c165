"""Open images over HTTP: explained, redrawn at every setting, and apart from one another."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom.data import get_testdata_file

from directed_world import CPU, SIZE, drawn_images, fitted, linear_bundle, patch_module
from medxgan.data import open_dataset
from medxgan.data.intensity import to_signed
from medxgan.data.phantom import make_phantoms
from medxgan.demo import demo_inputs
from medxgan.directed_explainer import DirectedExplainer
from medxgan.explain.scores import probability
from medxgan.loader import load
from medxgan.viewer.faults import TooLargeError
from medxgan.viewer.live import LiveDesk
from medxgan.viewer.opening import open_desk
from medxgan.viewer.reading import ReadFile
from medxgan.viewer.restoring import restore
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.server import make_app
from medxgan.viewer.sessions import Sessions
from medxgan.viewer.verdicts import VerdictStore
from test_viewer_reading import bomb_png
from viewer_cases import array_of, browser, make_explanation, write_folder

PARTS = ("original", "reconstruction", "counterfactual", "transferred")


def file_of(image: torch.Tensor) -> bytes:
    levels = ((image + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)
    buffer = BytesIO()
    Image.fromarray(levels[0].numpy()).save(buffer, format="PNG")
    return buffer.getvalue()


def file_like(image: torch.Tensor) -> ReadFile:
    return ReadFile(image[None].numpy(), ["scan"], (), [None])


def upload(client, content: bytes, name: str = "scan.png", **fields: str):
    return client.post("/api/live", files={"file": (name, content)}, data=fields)


@pytest.fixture(scope="module")
def phantoms() -> torch.Tensor:
    """Twelve brains of 64 pixels, the first eight with a lesion."""
    return demo_inputs(64, seed=5).images


@pytest.fixture(scope="module")
def desk():
    desk = LiveDesk(load("brain-phantom", device="cpu"))
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, desk, phantoms) -> SavedFolder:
    """What the bundle says of one brain, and an explanation of images that it does not take."""
    root = tmp_path_factory.mktemp("saved") / "out"
    explained = desk.explainer.explain(phantoms[0], methods=("difference",), names=["brain"])
    write_folder(root, explained, make_explanation("small"))
    return SavedFolder(root)


@pytest.fixture(scope="module")
def client(desk, folder, tmp_path_factory):
    verdicts = VerdictStore(tmp_path_factory.mktemp("verdicts") / "verdicts.sqlite")
    return browser(make_app(verdicts=verdicts, folder=folder, desk=desk, title="both"))


@pytest.fixture(scope="module")
def positive(client, phantoms) -> dict:
    answer = upload(client, file_of(phantoms[0]), "Ann Other.png")
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def negative(client, phantoms) -> dict:
    return upload(client, file_of(phantoms[10]), "healthy.png").json()


def render(client, session: dict, alternative=None, **controls: float):
    return client.post(
        f"/api/live/{session['session']}/render",
        json={"controls": controls, "alternative": alternative},
    )


def seek(client, session: dict, goal, **present):
    answer = client.post(f"/api/live/{session['session']}/goal", json={"goal": goal} | present)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_state_describes_the_bundle(client, desk):
    state = client.get("/api/state").json()
    assert state["mode"] == {"saved": True, "live": True}
    bundle = state["bundle"]
    assert bundle["name"] == "brain-phantom" and bundle["method"] == "medxgan"
    assert bundle["class_names"] == ["healthy", "lesion"] and bundle["target_name"] == "lesion"
    assert bundle["size"] == 64 and bundle["value_range"] is None and bundle["resample"]
    assert bundle["caution"] is None
    assert set(bundle["controls"][0]) == {"id", "label", "low", "high", "step", "value"}
    assert bundle["controls"] == [vars(control) for control in desk.controls]


def test_an_opened_image_has_all_that_a_saved_one_has(client, positive):
    assert positive["name"] == "Ann-Other" and positive["status"]["ok"]
    scores = positive["scores"]
    assert scores["image"] > 0.9 and scores["counterfactual"] < 0.1
    ids = [pane["id"] for pane in positive["panes"]]
    assert ids == [*PARTS, "difference", "lig", "grad-cam", "ig"]
    base = f"/api/live/{positive['session']}"
    for pane in positive["panes"]:
        assert pane["array"].startswith(base)
        assert list(array_of(client.get(pane["array"])).shape) == pane["shape"] == [1, 64, 64]
    assert list(array_of(client.get(positive["frames"]["array"])).shape) == [11, 1, 64, 64]
    for path in ("thumbnail.png", "film.gif", "panes/lig.png", "arrays.npz", "report.html"):
        assert client.get(f"{base}/{path}").status_code == 200, path
    assert client.get(base).json() == positive
    assert positive["file"] == {"frame": 1, "frames": 1} and positive["spacing"] is None


def test_the_strength_follows_the_film(client, positive):
    film = array_of(client.get(positive["frames"]["array"]))
    for place in (0, 5, 10):
        drawn = render(client, positive, strength=positive["strengths"][place])
        np.testing.assert_allclose(array_of(drawn), film[place], atol=1e-5)
        assert float(drawn.headers["X-Score"]) == pytest.approx(
            positive["probabilities"][place], abs=1e-4
        )
        answers = json.loads(drawn.headers["X-Answers"])
        assert sum(answers) == pytest.approx(1) and len(answers) == 2
        assert float(drawn.headers["X-Milliseconds"]) >= 0


def test_the_other_sliders_move_what_the_strength_lets_them(client, positive):
    still = array_of(render(client, positive))
    moved = array_of(render(client, positive, **{"z2-1": 4.0}))
    assert np.abs(moved - still).max() > 1e-3
    none = array_of(render(client, positive, strength=0.0))
    np.testing.assert_array_equal(
        array_of(render(client, positive, strength=0.0, **{"z2-1": 4.0})), none
    )


def test_goals_are_reached_and_stay_with_the_other_sliders(client, positive, negative):
    for session in (positive, negative):
        for goal, low, high in (("negative", 0, 0.5), ("positive", 0.5, 1), (0.3, 0.29, 0.31)):
            found = seek(client, session, goal)
            assert found["reached"] and found["sentence"] is None and low <= found["score"] < high
            drawn = render(client, session, found["alternative"], **found["controls"])
            assert float(drawn.headers["X-Score"]) == pytest.approx(found["score"], abs=1e-4)
            assert json.loads(drawn.headers["X-Answers"]) == pytest.approx(found["answers"])
    found = seek(client, positive, 0.7, controls={"z2-2": 3.0})
    assert found["controls"]["z2-2"] == 3.0 and found["score"] == pytest.approx(0.7, abs=0.01)


def test_a_goal_that_no_strength_reaches_says_so(client, positive):
    found = seek(client, positive, 0.000001)
    assert not found["reached"] and found["controls"]["strength"] < 0.1
    assert "is not reached; the nearest is" in found["sentence"]


def test_other_counterfactuals_can_be_drawn_and_chosen(client, negative):
    base = f"/api/live/{negative['session']}"
    answer = client.post(f"{base}/resample", json={"seed": 3}).json()
    assert answer["sentence"] is None and 1 <= len(answer["alternatives"]) <= 4
    for index, each in enumerate(answer["alternatives"]):
        assert each["score"] >= 0.5
        picture = Image.open(BytesIO(client.get(each["image"]).content))
        drawn = render(client, negative, index)
        assert float(drawn.headers["X-Score"]) == pytest.approx(each["score"], abs=1e-4)
        levels = np.floor((array_of(drawn)[0] + 1) / 2 * 255 + 0.5)
        np.testing.assert_allclose(np.asarray(picture, dtype=float), levels, atol=1)
    again = client.post(f"{base}/resample", json={"seed": 3}).json()
    assert again == answer
    beyond = render(client, negative, len(answer["alternatives"]))
    assert beyond.status_code == 400 and "ask for others first" in beyond.json()["error"]
    assert render(client, negative, -1).status_code == 400
    assert client.get(f"{base}/alternatives/99.png").status_code == 404


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "1", True, None])
def test_a_seed_that_is_none_is_refused(client, negative, seed):
    answer = client.post(f"/api/live/{negative['session']}/resample", json={"seed": seed})
    assert answer.status_code == 400 and "a seed is a whole number" in answer.json()["error"]


def test_a_goal_code_is_there_only_after_a_goal(client, positive):
    answer = render(client, positive, "goal")
    assert answer.status_code == 400 and "choose one first" in answer.json()["error"]


def test_a_saved_image_is_opened_with_the_bundle(client, folder, desk):
    brain, small = folder.entries()
    opened = client.post("/api/live", json={"explanation": brain.id})
    assert opened.status_code == 201
    session = opened.json()
    assert session["explanation"] == brain.id and session["file"] is None
    assert session["scores"] == pytest.approx(dict(brain.facts.scores), abs=1e-5)
    refused = client.post("/api/live", json={"explanation": small.id})
    assert refused.status_code == 422
    assert "images must be [N, 1, 64, 64]" in refused.json()["error"]
    for id in ("x", None, 7):
        assert client.post("/api/live", json={"explanation": id}).status_code == 404


def test_verdicts_are_kept_on_open_images_too(client, positive, folder):
    brain = folder.entries()[0]
    session = client.post("/api/live", json={"explanation": brain.id}).json()
    for explanation in (positive["explanation"], session["explanation"]):
        sent = {"explanation": explanation, "reader": "Ann", "verdict": "plausible", "text": ""}
        assert client.post("/api/verdicts", json=sent).json() == {"saved": True}
    lines = client.get("/api/verdicts.csv").text.splitlines()
    assert any('"Ann-Other","live: brain-phantom","Ann","plausible"' in line for line in lines)
    assert any('brain","out","Ann","plausible"' in line for line in lines)


@pytest.mark.parametrize(
    ("content", "name", "status", "words"),
    [
        (b"nothing", "scan.png", 422, "scan.png is not a PNG"),
        (bomb_png(60_000), "bomb.png", 422, "more than 89 megapixels"),
        (b"path,label\n/etc/hosts,0\n", "table.csv", 422, "is of type '.csv'"),
        (b"", "../../../etc/passwd", 422, "passwd"),
    ],
)
def test_a_bad_file_is_one_sentence_and_ends_nothing(client, content, name, status, words):
    answer = upload(client, content, name)
    assert answer.status_code == status
    assert words in answer.json()["error"] and "/tmp" not in answer.json()["error"]
    assert client.get("/api/state").status_code == 200


def test_an_upload_that_is_none_is_refused(client, phantoms):
    image = file_of(phantoms[0])
    for files in ({"image": ("a.png", image)}, {"file": ("", image)}):
        answer = client.post("/api/live", files=files)
        assert answer.status_code == 400 and "error" in answer.json()
    both = [("file", ("a.png", image)), ("file", ("b.png", image))]
    assert client.post("/api/live", files=both).status_code == 400
    assert client.post("/api/live", content=image).status_code == 415
    damaged = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"no parts", b"--x\r\n\r\n"):
        assert client.post("/api/live", content=content, headers=damaged).status_code == 400
    lacking = {"Content-Type": "multipart/form-data"}
    assert client.post("/api/live", content=image, headers=lacking).status_code == 400
    for frame in ("2", "0", "-1", "a", "9" * 30):
        assert upload(client, image, frame=frame).status_code == 400, frame
    assert upload(client, image, frame="1").status_code == 201


def test_sessions_of_two_readers_never_mix(client, positive, negative):
    """Both move their sliders at once; each gets its own image, as if it were alone."""
    settings = [(session, s / 10) for s in range(16) for session in (positive, negative)]
    alone = [array_of(render(client, session, strength=s)) for session, s in settings]
    with ThreadPoolExecutor(8) as threads:
        together = list(
            threads.map(lambda each: render(client, each[0], strength=each[1]), settings)
        )
    for expected, answer in zip(alone, together, strict=True):
        np.testing.assert_array_equal(array_of(answer), expected)


def test_an_unknown_or_dropped_session_says_what_became_of_it(client, desk, phantoms):
    for path in ("render", "resample", "goal"):
        answer = client.post(f"/api/live/none/{path}", json={})
        assert answer.status_code == 404 and "no such open image" in answer.json()["error"]
    own = LiveDesk(desk.explainer)
    own.sessions = Sessions(own.sessions._dropped, most=1)
    verdicts = VerdictStore(Path("unused.sqlite"))
    few = browser(make_app(verdicts=verdicts, desk=own))
    first, second = ({"session": own.open_file(file_like(image), 1)} for image in phantoms[:2])
    answer = render(few, first)
    assert answer.status_code == 410
    assert answer.json()["error"] == (
        "this image was closed to make room for others; open it again"
    )
    assert few.get(f"/api/live/{first['session']}/arrays/image").status_code == 410
    assert render(few, second).status_code == 200
    assert len(images_in(own)) == 1
    own.close()
    assert not own._folder.path.exists()


def images_in(desk: LiveDesk) -> list[Path]:
    """Folders of open images on the disk."""
    return [path for path in desk._folder.path.iterdir() if path.is_dir()]


def test_images_are_opened_though_the_temporary_folder_was_tidied_up(desk, phantoms):
    own = LiveDesk(desk.explainer)
    shutil.rmtree(own._folder.path)
    image = own.sessions.get(own.open_file(file_like(phantoms[0]), None))
    assert image.shown.array("image").shape == phantoms[0].shape
    own.close()
    assert not own._folder.path.exists()


def test_a_session_too_large_is_refused_and_leaves_nothing(desk, phantoms):
    own = LiveDesk(desk.explainer)
    own.sessions = Sessions(own.sessions._dropped, largest=1000)
    with pytest.raises(TooLargeError, match="the viewer gives at most 0 MB to one"):
        own.open_file(file_like(phantoms[0]), None)
    assert images_in(own) == []
    own.close()


def test_of_several_images_the_surest_is_shown_or_the_one_asked_for(desk, phantoms):
    """The one with a lesion, as ``medxgan explain`` takes it."""
    spacings = [(0.5, 0.5), (0.6, 0.7), None]
    file = ReadFile(phantoms[[10, 0, 11]].numpy(), ["a", "b", "c"], ("read",), spacings)
    session = desk.sessions.get(desk.open_file(file, None))
    assert session.file == (2, 3) and session.shown.facts.name == "b"
    assert session.notes == ("read", "shown is image 2 of 3, the model's surest of 'lesion'")
    assert session.shown.facts.spacing == (0.6, 0.7)
    asked = desk.sessions.get(desk.open_file(file, 3))
    assert asked.file == (3, 3) and asked.shown.facts.spacing is None
    assert asked.notes == ("read",)


def test_a_dicom_file_is_opened_with_its_spacing_and_without_its_patient(client):
    """pydicom's own CT of 128 pixels, brought to 64."""
    path = Path(get_testdata_file("CT_small.dcm", download=False))
    answer = upload(client, path.read_bytes(), "CT_small.dcm")
    assert answer.status_code == 201, answer.text
    session = answer.json()
    assert session["spacing"] == pytest.approx([2 * 0.661468, 2 * 0.661468])
    assert "CompressedSamples" not in answer.text  # the patient's name
    assert any("resized" in note for note in session["notes"])
    without_suffix = upload(client, path.read_bytes(), "IM0001").json()
    assert without_suffix["scores"] == session["scores"]


def test_the_server_prepares_and_ends_in_order(tiny_bundle, phantom_archive, tmp_path):
    """With its life around it: the axes are found beforehand, nothing is left behind."""
    desk = LiveDesk(load(tiny_bundle, device="cpu"))
    app = make_app(verdicts=VerdictStore(tmp_path / "v.sqlite"), desk=desk)
    image = open_dataset(phantom_archive).images()[0]
    with browser(app) as client:
        state = client.get("/api/state").json()
        assert state["mode"] == {"saved": False, "live": True}
        assert state["bundle"]["caution"].startswith("This bundle explains badly")
        session = upload(client, file_of(image)).json()
        assert array_of(render(client, session, strength=0.0)).shape == (1, 32, 32)
        assert desk._motion is not None and desk._folder.path.exists()
        assert client.get("/api/explanations").json()["rows"] == []
        assert client.get("/api/report.html").status_code == 404
    assert not desk._folder.path.exists() and desk.reader._process is None


@pytest.fixture(scope="module")
def directed():
    bundle = linear_bundle()
    explainer = DirectedExplainer(bundle, fitted(patch_module(), bundle=bundle), CPU)
    explainer.inversion_steps = 0
    desk = LiveDesk(explainer, {"rest": torch.eye(6)[1]}, ("a note on directions",))
    yield desk
    desk.close()


def test_a_direction_has_a_slider_and_goals_of_its_own(directed, tmp_path):
    client = browser(make_app(verdicts=VerdictStore(tmp_path / "v.sqlite"), desk=directed))
    bundle = client.get("/api/state").json()["bundle"]
    assert not bundle["resample"]
    assert bundle["notes"] == ["a note on directions"]
    id = directed.open_file(file_like(drawn_images(1)[0]), None)
    session = client.get(f"/api/live/{id}").json()
    scores = [
        float(render(client, session, **{"toward-patch": s}).headers["X-Score"])
        for s in (-3, -1, 0, 1, 3)
    ]
    assert scores == sorted(scores) and scores[0] < 0.1 and scores[-1] > 0.9
    none = client.post(f"/api/live/{session['session']}/resample", json={"seed": 0}).json()
    assert none["alternatives"] == [] and "one way only" in none["sentence"]
    for goal in ("negative", "positive", 0.5, 0.02, 0.999):
        found = seek(client, session, goal)
        assert found["reached"], found
        drawn = render(client, session, found["alternative"], **found["controls"])
        assert float(drawn.headers["X-Score"]) == pytest.approx(found["score"], abs=1e-4)
        if not isinstance(goal, str):
            assert found["score"] == pytest.approx(goal, abs=0.01)
    assert seek(client, session, 0.9999)["alternative"] == "goal"
    assert session["panes"][0]["shape"] == [1, SIZE, SIZE]


def test_an_image_is_opened_with_the_steps_of_medxgan_explain():
    """Of a style-based generator, too: what is called trustworthy there is so here."""
    bundle = linear_bundle(plus=True)
    explainer = DirectedExplainer(bundle, fitted(patch_module(), bundle=bundle), CPU)
    explainer.inversion_steps = 4
    with torch.no_grad():
        bundle.encoder.inverse *= 0.5  # it was exact, and left nothing to be improved
    (image,) = drawn_images(1)
    desk = LiveDesk(explainer)
    opened = restore(desk.sessions.get(desk.open_file(file_like(image), None)).shown)
    explained = explainer.explain(image)
    assert torch.equal(opened.reconstruction, explained.reconstruction)
    assert opened.scores == pytest.approx(explained.scores)
    unrefined = explainer.explain(image, refine=0)
    assert not torch.equal(opened.reconstruction, unrefined.reconstruction)
    desk.close()


@pytest.fixture(scope="module")
def shipped():
    """The shipped bundle with two directions, neither of which is named."""
    desk = open_desk("chest-phantom-stylegan", device="cpu")
    desk.explainer.inversion_steps = 0
    for each in desk.choices.values():
        each.explainer.inversion_steps = 0
    yield desk
    desk.close()


def test_all_directions_of_a_bundle_have_sliders_and_can_be_explained(shipped):
    """First the one whose model has all maps; each has the other's slider after its own."""
    assert list(shipped.choices) == ["small-cnn", "onnx"]
    assert shipped.choices["small-cnn"] is shipped
    assert shipped.name == "chest-phantom-stylegan" and shipped.notes == ()
    for own, other in (("onnx", "small-cnn"), ("small-cnn", "onnx")):
        desk = shipped.choices[own]
        sliders = [control.id for control in desk.controls]
        assert sliders[:3] == ["strength", f"toward-{own}", f"toward-{other}"]
        assert desk.explainer.fitted.manifest.name == own
        layers = desk.explainer.generator.generator.layers
        directions = desk.motion().axes[:2].unflatten(1, (layers, -1))
        torch.testing.assert_close(directions[0, 0], desk.explainer.generator.direction)
        expected = shipped.choices[other].explainer.generator.direction
        torch.testing.assert_close(directions[1, 0], expected)
    first, second = (desk.explainer for desk in shipped.choices.values())
    assert first.generator.generator is second.generator.generator, "one generator for both"
    assert first.classifier is not second.classifier


def test_a_direction_that_is_asked_for_comes_first():
    desk = open_desk("chest-phantom-stylegan", direction="onnx", device="cpu")
    assert list(desk.choices) == ["onnx", "small-cnn"]
    desk.close()


def test_an_image_is_explained_by_the_direction_that_its_reader_chose(shipped, tmp_path):
    client = browser(make_app(verdicts=VerdictStore(tmp_path / "v.sqlite"), desk=shipped))
    choices = client.get("/api/state").json()["bundle"]["choices"]
    assert [each["id"] for each in choices] == ["small-cnn", "onnx"]
    assert choices[1]["label"] == "onnx: lesion, onnx 47f5e03f"
    image = make_phantoms("chest", 2, size=64, seed=7).images[:1]
    content = file_of(to_signed(image, (0, 255)))
    sessions = {}
    for name, desk in shipped.choices.items():
        session = sessions[name] = upload(client, content, direction=name).json()
        assert session["bundle"]["direction"] == name and not session["bundle"]["resample"]
        assert session["bundle"]["name"] == f"chest-phantom-stylegan, direction {name}"
        drawn = render(client, session, **{f"toward-{name}": 1.0})
        image = torch.from_numpy(array_of(drawn).copy())[None]
        said = float(probability(desk.explainer.classifier, 1)(image))
        assert float(drawn.headers["X-Score"]) == pytest.approx(said, abs=1e-4), "its own model's"
        assert [each["id"] for each in session["controls"]][1] == f"toward-{name}"
        verdict = {"reader": "Ann", "verdict": "plausible", "explanation": session["explanation"]}
        assert client.post("/api/verdicts", json=verdict).status_code == 200
    assert sessions["onnx"]["explanation"] != sessions["small-cnn"]["explanation"]
    assert upload(client, content).json()["bundle"]["direction"] == "small-cnn"
    unknown = upload(client, content, direction="other")
    assert unknown.status_code == 400 and "no such direction" in unknown.json()["error"]
    sources = {each.source for each in VerdictStore(tmp_path / "v.sqlite").all()}
    assert sources == {f"live: chest-phantom-stylegan, direction {name}" for name in sessions}
