"""Saved explanations in the viewer: read right, checked, and none hidden by a bad one."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch

from medxgan.errors import DataError
from medxgan.report import saving
from medxgan.types import ClassifierSpec
from medxgan.viewer import facts as facts_module
from medxgan.viewer import saved as saved_module
from medxgan.viewer.arrays import LARGEST_BYTES, array_shapes, read_array, total_bytes
from medxgan.viewer.facts import PARTS, read_facts
from medxgan.viewer.listing import columns, figures, in_units, row
from medxgan.viewer.plain_files import open_inside
from medxgan.viewer.restoring import restore
from medxgan.viewer.saved import SavedExplanation, SavedFolder, UnreadableExplanation
from medxgan.viewer.server import make_app
from medxgan.viewer.verdicts import VerdictStore
from viewer_cases import (
    NO_FLIP,
    SIDE,
    array_of,
    browser,
    make_explanation,
    ramp,
    viewer_of,
    write_folder,
)


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "explanation.json").read_text("utf-8"))


def change_facts(folder: Path, **changes: object) -> None:
    (folder / "explanation.json").write_text(json.dumps(facts_of(folder) | changes), "utf-8")


def change_arrays(folder: Path, **changes: np.ndarray | None) -> None:
    path = folder / "explanation.npz"
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files} | changes
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})


def sentence_of(folder: Path) -> str:
    (entry,) = SavedFolder(folder).entries()
    assert isinstance(entry, UnreadableExplanation)
    return entry.sentence


def test_names_and_formats_are_those_that_are_written():
    """Format and report are kept twice, so that reading needs no torch."""
    assert saved_module.FACTS_FILE == saving.FACTS_FILE
    assert facts_module.FORMAT_VERSION == saving.FORMAT_VERSION
    assert saved_module.TABLE_FILE == saving.TABLE_FILE
    assert saved_module.REPORT_FILE == saving.REPORT_FILE


def test_torch_is_not_loaded_for_saved_explanations(tmp_path):
    """The list, an explanation, its numbers and pictures: all in a process without torch."""
    write_folder(tmp_path / "out")
    program = """
import asyncio, sys
from pathlib import Path
from medxgan.viewer.exporting import film_gif, pane_png, thumbnail_png
from medxgan.viewer.panes import document
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.server import make_app
from medxgan.viewer.serving import what_to_open
from medxgan.viewer.verdicts import VerdictStore
folder = SavedFolder(what_to_open(sys.argv[1], None)[0])
make_app(verdicts=VerdictStore(folder.root / "verdicts.sqlite"), folder=folder)
(shown,) = folder.entries()
document(shown, "")
thumbnail_png(shown), film_gif(shown), pane_png(shown, "lig", {})
print("torch" in sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "False\n"


def test_list_has_every_explanation_in_the_order_of_the_report(tmp_path):
    names = ("b", "a", "c")
    folder = write_folder(tmp_path / "out", *(make_explanation(name) for name in names))
    answer = viewer_of(folder).get("/api/explanations").json()
    assert [each["name"] for each in answer["rows"]] == list(names)
    assert len({each["id"] for each in answer["rows"]}) == 3
    keys = [column["key"] for column in answer["columns"]]
    assert keys[:3] == ["name", "class", "status"]
    assert set(keys[3:]) == set(answer["rows"][0]["figures"])
    assert all(column["kind"] in ("text", "status", "number") for column in answer["columns"])


def test_row_says_what_the_facts_say(tmp_path):
    folder = write_folder(
        tmp_path / "out",
        make_explanation("yes"),
        make_explanation("no", positive=False, problems=(NO_FLIP,)),
    )
    yes, no = viewer_of(folder).get("/api/explanations").json()["rows"]
    assert (yes["class"], yes["positive"]) == ("lesion", True)
    assert yes["status"] == {"ok": True, "kinds": [], "sentence": None}
    assert yes["flip"] == {"flipped": True, "transfer_flipped": True}
    assert (no["class"], no["positive"]) == ("healthy", False)
    assert no["status"] == {"ok": False, "kinds": ["no flip"], "sentence": NO_FLIP.sentence}
    expected = {"image": 0.9, "reconstruction": 0.9, "counterfactual": 0.2, "transferred": 0.2}
    expected |= {"change": 0.7, "gap": 0.0, "fall": 0.1}
    assert yes["figures"] == pytest.approx(expected, abs=1e-6)


def test_a_value_is_told_in_its_units(tmp_path):
    spec = ClassifierSpec(size=SIDE, output="value", class_names=("grade",), value_range=(0, 4))
    graded = make_explanation(target=0, target_name="grade", spec=spec, answers={})
    (entry,) = write_folder(tmp_path / "out", graded).entries()
    assert columns([entry])[3]["label"] == "grade original"
    values = figures(entry.facts)
    scale = spec.value_scale
    for part, score in graded.scores.items():
        assert values[part] == pytest.approx(scale.value(score))
    assert [in_units(entry.facts, score) for score in (0.0, 0.5, 1.0, None)] == [0, 2, 4, None]
    assert row(entry, [])["class"] == "grade from 2 on"


def test_labels_are_all_named_and_an_unknown_score_is_null(tmp_path):
    spec = ClassifierSpec(size=SIDE, output="multilabel_logits", class_names=("a", "b", "c"))
    scores = {"image": 0.9, "reconstruction": float("nan"), "counterfactual": 0.2}
    many = make_explanation(
        spec=spec,
        answers=dict.fromkeys(PARTS, torch.tensor([0.6, 0.9, 0.1])),
        scores=scores | {"transferred": 0.2},
    )
    (entry,) = write_folder(tmp_path / "out", many).entries()
    shown = row(entry, [])
    assert shown["class"] == "a, b"
    assert shown["figures"]["reconstruction"] is None and shown["figures"]["gap"] is None


def test_document_has_panes_in_their_order_and_their_numbers(tmp_path):
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[2:4, 3] = True
    explanation = make_explanation(
        mask=mask, attributions={"occlusion": ramp(), "ig": ramp() * 3, "lig": ramp() * 2}
    )
    client = viewer_of(write_folder(tmp_path / "out", explanation))
    (shown,) = client.get("/api/explanations").json()["rows"]
    document = client.get(f"/api/explanations/{shown['id']}").json()
    assert [pane["id"] for pane in document["panes"]] == [
        *("original", "reconstruction", "counterfactual", "transferred"),
        *("difference", "lig", "ig", "occlusion", "mask"),
    ]
    assert document["id"] == shown["id"] and "files" not in document
    assert document["scores"] == pytest.approx(explanation.scores)
    assert document["spacing"] is None and document["notes"] == ["a note"]
    tensors = {
        "original": explanation.image,
        "counterfactual": explanation.counterfactual,
        "lig": explanation.attributions["lig"],
        "mask": mask[None].float(),
    }
    for pane in document["panes"]:
        values = array_of(client.get(pane["array"]))
        assert list(values.shape) == pane["shape"]
        if pane["id"] in tensors:
            np.testing.assert_array_equal(values, tensors[pane["id"]].numpy())
    scales = {pane["id"]: pane["scale"] for pane in document["panes"]}
    assert scales["lig"] == pytest.approx(2 * scales["difference"])
    assert scales["original"] is None and scales["mask"] is None
    frames = client.get(document["frames"]["array"])
    np.testing.assert_array_equal(array_of(frames), explanation.frames.numpy())
    assert document["frames"]["shape"] == list(explanation.frames.shape)


def test_spacing_is_passed_on_where_it_is_known(tmp_path):
    folder = write_folder(
        tmp_path / "out", make_explanation("ct", spacing=(0.5, 0.7)), make_explanation("photo")
    )
    client = viewer_of(folder)
    known, unknown = folder.entries()
    assert client.get(f"/api/explanations/{known.id}").json()["spacing"] == [0.5, 0.7]
    assert client.get(f"/api/explanations/{unknown.id}").json()["spacing"] is None
    assert restore(known).spacing == (0.5, 0.7) and restore(unknown).spacing is None


def test_folders_that_were_saved_before_spacing_was_kept_are_read(tmp_path):
    write_folder(tmp_path / "out")
    facts = facts_of(tmp_path / "out" / "scan")
    del facts["spacing"]
    (tmp_path / "out" / "scan" / "explanation.json").write_text(json.dumps(facts), "utf-8")
    (shown,) = SavedFolder(tmp_path / "out").entries()
    assert restore(shown).spacing is None


def test_maps_may_hold_what_is_not_finite_but_images_may_not(tmp_path):
    folder = write_folder(tmp_path / "out")
    broken = ramp().numpy().copy()
    broken[0, 0, 0] = np.nan
    change_arrays(tmp_path / "out" / "scan", **{"attribution-lig": broken, "image": broken})
    (shown,) = folder.entries()
    client, base = viewer_of(folder), f"/api/explanations/{shown.id}"
    assert np.isnan(array_of(client.get(f"{base}/arrays/attribution-lig"))[0, 0, 0])
    answer = client.get(f"{base}/arrays/image")
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "'image' of 'scan' holds values that are not finite; explain the image again"
    }


def test_one_bad_explanation_never_hides_the_others(tmp_path):
    names = ("good", "cut", "newer", "gone", "link", "empty")
    root = tmp_path / "out"
    write_folder(root, *(make_explanation(name) for name in names))
    (root / "cut" / "explanation.json").write_text('{"format_version": 1, "name"')
    change_facts(root / "newer", format_version=2)
    (root / "gone" / "explanation.json").unlink()
    (root / "empty" / "explanation.json").write_bytes(b"")
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(facts_of(root / "good")))
    (root / "link" / "explanation.json").unlink()
    (root / "link" / "explanation.json").symlink_to(secret)
    client = viewer_of(SavedFolder(root))
    rows = {each["name"]: each for each in client.get("/api/explanations").json()["rows"]}
    assert list(rows) == list(names)
    assert rows["good"]["status"]["ok"]
    sentences = {
        "cut": "explanation.json of 'cut' is damaged; explain the image again",
        "newer": "explanation.json of 'newer' has format 2, this program reads up to 1; update "
        "medxgan",
        "gone": "explanation.json of 'gone' cannot be read (No such file or directory)",
        "link": "explanation.json of 'link' leads out of the opened folder; it is not read",
        "empty": "explanation.json of 'empty' is damaged; explain the image again",
    }
    for name, sentence in sentences.items():
        bad = rows[name]
        assert bad["status"] == {"ok": False, "kinds": ["not readable"], "sentence": sentence}
        assert bad["class"] is bad["positive"] is bad["thumbnail"] is None
        assert set(bad["figures"].values()) == {None}
        answer = client.get(f"/api/explanations/{bad['id']}")
        assert (answer.status_code, answer.json()) == (422, {"error": sentence})
    assert client.get("/api/state").json()["count"] == 6
    assert client.get("/api/report.html").status_code == 200


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes, links and names that are bytes")
def test_nothing_that_a_folder_can_hold_hides_the_others_or_keeps_the_viewer(tmp_path):
    names = ("good", "extra", "infinite", "key", "pipe", "loop", "folder", "huge")
    root = tmp_path / "out"
    write_folder(root, *(make_explanation(name) for name in names))
    (root / "explanations.csv").unlink()
    change_facts(root / "extra", extra="\ud800")
    change_facts(root / "key", **{"\ud800": 1})
    facts = (root / "infinite" / "explanation.json").read_text()
    (root / "infinite" / "explanation.json").write_text(facts.rstrip()[:-1] + ', "extra": 1e999}')
    huge = dict.fromkeys(PARTS, 1e308) | {"image": -1e308}
    change_facts(root / "huge", scores=huge, probabilities=[1e308, -1e308], strengths=[0, 1])
    for name in ("pipe", "loop", "folder"):
        (root / name / "explanation.json").unlink()
    os.mkfifo(root / "pipe" / "explanation.json")
    (root / "loop" / "explanation.json").symlink_to("explanation.json")
    (root / "folder" / "explanation.json").mkdir()
    (root / "ring").symlink_to("ring")
    (root / "folder").rename(root / os.fsdecode(b"M\xfcller"))
    client = viewer_of(SavedFolder(root))
    rows = {each["name"]: each for each in client.get("/api/explanations").json()["rows"]}
    assert set(rows) == {*names, "M?ller"} - {"folder"}
    damaged = "explanation.json of '{}' is damaged; explain the image again"
    plain = "explanation.json of '{}' should be a plain file and is none; it is not read"
    sentences = {
        **{name: damaged.format(name) for name in ("extra", "key", "infinite")},
        **{name: plain.format(name) for name in ("pipe", "M?ller")},
        "loop": "explanation.json of 'loop' cannot be read (Too many levels of symbolic links)",
    }
    for name, sentence in sentences.items():
        assert rows[name]["status"]["sentence"] == sentence
        answer = client.get(f"/api/explanations/{rows[name]['id']}")
        assert (answer.status_code, answer.json()) == (422, {"error": sentence})
    assert rows["good"]["status"]["ok"]
    assert rows["huge"]["figures"]["change"] is rows["huge"]["figures"]["fall"] is None


def test_a_fault_of_our_own_with_one_explanation_hides_no_other(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", make_explanation("a"), make_explanation("b"))
    read = saved_module.read_facts

    def faulty(path: Path, root: Path):
        return 1 / 0 if path.parent.name == "a" else read(path, root)

    monkeypatch.setattr(saved_module, "read_facts", faulty)
    bad, good = SavedFolder(tmp_path / "out").entries()
    assert bad.sentence == "explanation.json of 'a' cannot be read (ZeroDivisionError)"
    assert isinstance(good, SavedExplanation)


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_a_folder_whose_name_is_no_text_is_opened(tmp_path):
    write_folder(tmp_path / "out")
    folder = SavedFolder((tmp_path / "out").rename(tmp_path / os.fsdecode(b"st\xfcdy")))
    store = VerdictStore(folder.root / os.fsdecode(b"\xfc.sqlite"))
    client = browser(make_app(verdicts=store, folder=folder, title=folder.name))
    assert client.get("/api/state").json()["verdicts"] == {"file": "?.sqlite", "problem": None}
    (shown,) = client.get("/api/explanations").json()["rows"]
    for address in ("", "/arrays/image", "/thumbnail.png", "/film.gif", "/arrays.npz"):
        assert client.get(f"/api/explanations/{shown['id']}{address}").status_code == 200
    sent = {"explanation": shown["id"], "reader": "Ann", "verdict": "plausible", "text": ""}
    assert client.post("/api/verdicts", json=sent).status_code == 200
    assert folder.name == "st?dy" and "st?dy" in client.get("/api/verdicts.csv").text


def test_a_folder_that_goes_away_is_one_sentence(tmp_path):
    folder = write_folder(tmp_path / "out")
    client = viewer_of(folder)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    answer = client.get("/api/explanations")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("the folder 'out' cannot be read (No such file")


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and links")
@pytest.mark.parametrize("name", ["explanations.csv", "report.html"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path, name):
    write_folder(tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    os.mkfifo(tmp_path / "out" / name)
    client = viewer_of(SavedFolder(tmp_path / "out"))
    assert client.get("/api/explanations").json()["rows"][0]["status"]["ok"]
    assert "scan" in client.get("/api/report.html").text


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_numbers_are_never_taken_from_outside_the_folder(tmp_path):
    """Neither where the explanation's folder is a link, nor where it becomes one later."""
    write_folder(tmp_path / "secret")
    root = tmp_path / "out"
    write_folder(root, make_explanation("a"), make_explanation("b"))
    (root / "explanations.csv").unlink()
    (tmp_path / "secret" / "scan" / "explanation.json").unlink()
    (tmp_path / "secret" / "scan" / "explanation.json").symlink_to(root / "a" / "explanation.json")
    (root / "linked").symlink_to(tmp_path / "secret" / "scan")
    folder = SavedFolder(root)
    client = viewer_of(folder)
    found = {entry.folder.name: entry.id for entry in folder.entries()}
    shutil.rmtree(root / "b")
    (root / "b").symlink_to(tmp_path / "secret" / "scan")
    for name in ("linked", "b"):
        for address in ("", "/arrays/image", "/arrays.npz", "/thumbnail.png", "/report.html"):
            answer = client.get(f"/api/explanations/{found[name]}{address}")
            assert answer.status_code == 422
            assert answer.json()["error"].endswith("leads out of the opened folder; it is not read")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_links_inside_a_folder_are_followed(tmp_path):
    write_folder(tmp_path / "out", make_explanation("a"), make_explanation("b"))
    (tmp_path / "out" / "b" / "explanation.npz").unlink()
    (tmp_path / "out" / "b" / "explanation.npz").symlink_to("../a/explanation.npz")
    first, second = SavedFolder(tmp_path / "out").entries()
    np.testing.assert_array_equal(first.array("image"), second.array("image"))
    content = viewer_of(SavedFolder(tmp_path / "out")).get(
        f"/api/explanations/{second.id}/arrays.npz"
    )
    assert content.content == (tmp_path / "out" / "a" / "explanation.npz").read_bytes()
    assert content.headers["content-length"] == str(len(content.content))
    assert content.headers["content-disposition"].startswith('attachment; filename="b.npz"')


@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="needs openat")
def test_a_link_that_comes_after_the_look_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "out" / "a").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    for folder in (tmp_path / "out" / "a", tmp_path / "secret"):
        (folder / "file").write_text(folder.name)
    path = tmp_path / "out" / "a" / "file"
    realpath = os.path.realpath

    def exchanged(asked: Path) -> str:
        found = realpath(asked)
        if asked == path:
            path.parent.rename(tmp_path / "out" / "before")
            path.parent.symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(os.path, "realpath", exchanged)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        open_inside(tmp_path / "out", path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strengths": [0, 1]}, "strengths and probabilities must be of one length"),
        ({"scores": {"image": "high"}}, "is damaged at scores.image"),
        ({"status": None}, "is damaged at status"),
        ({"target": 7}, "target must be the index of a class"),
        ({"methods": ["../../secret"]}, "is damaged at methods.0"),
        ({"colour_scales": {"lig": 0}}, "is damaged at colour_scales.lig"),
        ({"scores": {"image": 0.9}}, "scores lack reconstruction, counterfactual, transferred"),
        ({"answers": {"image": [0.1, 0.9]}}, "answers lack reconstruction"),
        (
            {"answers": {part: [1.0] for part in PARTS}},
            "answers must have one number for each class",
        ),
        ({"format_version": "1"}, "has no format version"),
    ],
)
def test_facts_that_do_not_fit_are_one_sentence(tmp_path, changes, words):
    write_folder(tmp_path / "out")
    change_facts(tmp_path / "out" / "scan", **changes)
    assert words in sentence_of(tmp_path / "out")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format_version": 1, "name": NaN}', "[]", "7"])
def test_json_that_is_no_explanation_is_one_sentence(tmp_path, text):
    write_folder(tmp_path / "out")
    (tmp_path / "out" / "scan" / "explanation.json").write_text(text)
    assert "explanation.json of 'scan'" in sentence_of(tmp_path / "out")


def test_huge_facts_are_not_read(tmp_path, monkeypatch):
    write_folder(tmp_path / "out")
    monkeypatch.setattr(facts_module, "LARGEST_BYTES", 2**10)
    with pytest.raises(DataError, match="is larger than 0 MB"):
        read_facts(tmp_path / "out" / "scan" / "explanation.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": None}, "lacks the arrays frames"),
        ({"transferred": np.zeros((1, 4, 4))}, "'transferred' of 'scan' should have the shape"),
        ({"frames": np.zeros((2, 1, SIDE, SIDE))}, "'frames' of 'scan' should have the shape"),
        ({"image": np.zeros(5)}, "should be [C, H, W] with C of 1 or 3"),
        ({"image": np.zeros((1, 0, 0))}, "should be [C, H, W] with C of 1 or 3"),
        ({"mask": np.zeros(5)}, "'mask' of 'scan' should have the shape"),
        ({"difference": np.zeros(())}, "'difference' of 'scan' should have the shape"),
        ({"image": np.zeros((2, SIDE, SIDE))}, "should be [C, H, W] with C of 1 or 3"),
        ({"image": np.array(["x"])}, "it holds <U1 where numbers were expected"),
    ],
)
def test_arrays_that_do_not_fit_are_one_sentence(tmp_path, changes, words):
    folder = write_folder(tmp_path / "out")
    change_arrays(tmp_path / "out" / "scan", **changes)
    (shown,) = folder.entries()
    client = viewer_of(folder)
    answer = client.get(f"/api/explanations/{shown.id}")
    assert answer.status_code == 422
    assert words in answer.json()["error"]
    for address in ("thumbnail.png", "film.gif", "panes/original.png", "report.html"):
        again = client.get(f"/api/explanations/{shown.id}/{address}")
        assert (again.status_code, again.json()) == (422, answer.json())


def test_a_film_without_frames_is_one_sentence(tmp_path):
    write_folder(tmp_path / "out")
    change_facts(tmp_path / "out" / "scan", strengths=[], probabilities=[])
    change_arrays(tmp_path / "out" / "scan", frames=np.zeros((0, 1, SIDE, SIDE)))
    folder = SavedFolder(tmp_path / "out")
    (shown,) = folder.entries()
    answer = viewer_of(folder).get(f"/api/explanations/{shown.id}/film.gif")
    assert answer.status_code == 422 and "has no frames" in answer.json()["error"]


@pytest.mark.parametrize("damage", ["cut", "text", "gone", "link", "objects", "pipe"])
def test_damaged_archive_is_one_sentence(tmp_path, damage):
    folder = write_folder(tmp_path / "out")
    path = tmp_path / "out" / "scan" / "explanation.npz"
    content = path.read_bytes()
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "text":
            path.write_text("no archive")
        case "link":
            (tmp_path / "elsewhere.npz").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere.npz")
        case "pipe":
            os.mkfifo(path)
        case "objects":
            np.savez(path, image=np.array([{}], dtype=object))
    (shown,) = folder.entries()
    client, base = viewer_of(folder), f"/api/explanations/{shown.id}"
    for address in ("", "/arrays/image", "/thumbnail.png", "/film.gif", "/report.html"):
        answer = client.get(base + address)
        assert answer.status_code == 422, address
        assert set(answer.json()) == {"error"} and "explanation.npz" in answer.json()["error"]
    assert client.get("/api/explanations").status_code == 200


def test_huge_arrays_are_refused_before_they_take_memory(tmp_path):
    """A few kB of zeros that say they are 40 GB, and some that are."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (100_000, 100_000)}
    path = tmp_path / "scan" / "explanation.npz"
    path.parent.mkdir()
    with ZipFile(path, "w", ZIP_DEFLATED) as archive, archive.open("image.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(DataError, match="should take 40000000000 bytes, it has 0"):
        read_array(path, "image")
    count = LARGEST_BYTES // 4 + 1
    with ZipFile(path, "w", ZIP_DEFLATED) as archive, archive.open("image.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count,)})
        for start in range(0, count, 2**20):
            file.write(bytes(4 * min(2**20, count - start)))
    assert path.stat().st_size < 2**20
    for read in (array_shapes, lambda place: read_array(place, "image")):
        with pytest.raises(DataError, match="an array of 256 MB is larger than 256 MB"):
            read(path)


def test_arrays_of_any_number_type_and_order_are_read_alike(tmp_path):
    values = np.arange(6).reshape(2, 3)
    path = tmp_path / "scan" / "explanation.npz"
    path.parent.mkdir()
    np.savez(
        path,
        plain=values.astype(np.float64),
        columns=np.asfortranarray(values),
        big=values.astype(">i2"),
        truth=values > 2,
    )
    for name in ("plain", "columns", "big"):
        read = read_array(path, name)
        np.testing.assert_array_equal(read, values)
        assert read.dtype == np.float32 and read.flags.c_contiguous
    assert read_array(path, "truth").tolist() == [[0, 0, 0], [1, 1, 1]]
    assert total_bytes(array_shapes(path)) == 4 * 24
    with pytest.raises(DataError, match="holds no array 'absent'"):
        read_array(path, "absent")


def test_ids_stay_after_a_restart_and_change_with_the_content(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("a"), make_explanation("b"))
    before = [entry.id for entry in folder.entries()]
    assert [entry.id for entry in SavedFolder(tmp_path / "out").entries()] == before
    write_folder(tmp_path / "out", make_explanation("a", positive=False), make_explanation("b"))
    folder.refresh()
    after = [entry.id for entry in folder.entries()]
    assert after[0] != before[0] and after[1] == before[1]


def test_list_follows_the_folder(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("a"))
    client = viewer_of(folder)
    (first,) = client.get("/api/explanations").json()["rows"]
    write_folder(tmp_path / "out", make_explanation("a"), make_explanation("b"))
    assert len(client.get("/api/explanations").json()["rows"]) == 2
    write_folder(tmp_path / "out", make_explanation("b"))
    rows = client.get("/api/explanations").json()["rows"]
    assert [each["name"] for each in rows] == ["b"]
    assert client.get(f"/api/explanations/{first['id']}").status_code == 404
    notes = client.get("/api/state").json()["notes"]
    assert notes == ["not shown, as explanations.csv does not name them: a"]


def test_a_folder_may_be_one_explanation_or_have_no_table(tmp_path):
    write_folder(tmp_path / "out", make_explanation("b"), make_explanation("a"))
    (alone,) = SavedFolder(tmp_path / "out" / "a").entries()
    assert isinstance(alone, SavedExplanation) and alone.facts.name == "a"
    (tmp_path / "out" / "explanations.csv").unlink()
    folder = SavedFolder(tmp_path / "out")
    assert [entry.folder.name for entry in folder.entries()] == ["a", "b"]
    (tmp_path / "out" / "explanations.csv").write_text("name\nb\n")
    folder.refresh()
    assert [entry.folder.name for entry in folder.entries()] == ["a", "b"]
    assert folder.notes == ("explanations.csv cannot be read; all folders are shown, by name",)


def test_a_table_cannot_name_anything_outside(tmp_path):
    write_folder(tmp_path / "secret")
    write_folder(tmp_path / "out")
    with (tmp_path / "out" / "explanations.csv").open("a", newline="") as file:
        for name in ("../secret/scan", str(tmp_path / "secret" / "scan"), "..", "", "a/b", "\0"):
            csv.writer(file).writerow(["x", name])
    folder = SavedFolder(tmp_path / "out")
    assert [entry.folder.name for entry in folder.entries()] == ["scan"]
    (tmp_path / "out" / "linked").symlink_to(tmp_path / "secret" / "scan")
    with (tmp_path / "out" / "explanations.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["x", "linked"])
    folder.refresh()
    bad = folder.entries()[1]
    assert isinstance(bad, UnreadableExplanation)
    assert bad.sentence.endswith("leads out of the opened folder; it is not read")


@pytest.mark.skipif(os.name != "posix", reason="needs links")
def test_report_of_all_is_the_written_one_unless_it_leads_elsewhere(tmp_path):
    folder = write_folder(tmp_path / "out")
    client = viewer_of(folder)
    written = tmp_path / "out" / "report.html"
    answer = client.get("/api/report.html")
    assert answer.content == written.read_bytes()
    assert answer.headers["content-disposition"].startswith("attachment")
    (tmp_path / "secret").write_text("secret")
    written.unlink()
    written.symlink_to(tmp_path / "secret")
    anew = client.get("/api/report.html")
    assert "secret" not in anew.text and "scan" in anew.text
    (tmp_path / "out" / "scan" / "explanation.json").unlink()
    client.get("/api/explanations")
    assert client.get("/api/report.html").status_code == 422


def test_state_without_a_bundle(tmp_path):
    state = viewer_of(write_folder(tmp_path / "out")).get("/api/state").json()
    assert state["mode"] == {"saved": True, "live": False}
    assert state["bundle"] is None and state["count"] == 1
    assert state["methods"] == ["lig", "ig", "difference"]
    assert state["limits"] == {"upload_bytes": 64 * 2**20, "pixels": 89_478_485}


def test_live_addresses_say_that_there_is_no_bundle(tmp_path):
    client = viewer_of(write_folder(tmp_path / "out"))
    for address in ("/api/live", "/api/live/x/render"):
        answer = client.post(address, json={})
        assert answer.status_code == 404
        assert "--bundle" in answer.json()["error"]
