"""An interrupted measuring goes on where it stopped, and with nothing else's parts."""

import json
from pathlib import Path

import pytest
import torch

from known_world import SIZE, brightness_oracle, make_data, make_explainer
from medxgan.errors import OutputError
from medxgan.evaluate import Evaluation, evaluate
from medxgan.evaluate.parts import Part, Parts, finished_before
from medxgan.explain import scores

METHODS = ("difference", "ig")
QUICK = {"codes": 4, "steps": 2, "methods": METHODS}


@pytest.fixture(autouse=True)
def two_images_at_once(monkeypatch):
    monkeypatch.setattr(scores, "CPU_PIXELS_AT_ONCE", 2 * SIZE**2)


class Interrupted(Exception):
    """Somebody pulled the plug."""


def stop_after(stage: str, done: int):
    def progress(at: str, images: int, total: int) -> None:
        if (at, images) == (stage, done):
            raise Interrupted

    return progress


def same(first: Evaluation, second: Evaluation) -> None:
    documents = [dict(one.document, seconds_per_image=None) for one in (first, second)]
    assert documents[0] == documents[1]
    assert first.columns.keys() == second.columns.keys()
    for place, values in first.columns.items():
        if place[0] != "seconds_per_image":
            torch.testing.assert_close(values, second.columns[place], equal_nan=True)
    torch.testing.assert_close(first.films, second.films)
    torch.testing.assert_close(first.latent.z1, second.latent.z1)
    torch.testing.assert_close(first.latent.z2, second.latent.z2)
    assert first.statuses == second.statuses
    assert first.rows.tolist() == second.rows.tolist()


@pytest.mark.parametrize("stage", ["codes", "realism", "negatives", "positives"])
def test_measuring_goes_on_where_it_was_interrupted(tmp_path, stage):
    whole = evaluate(make_explainer(leak=True), make_data(), **QUICK)
    with pytest.raises(Interrupted):
        evaluate(
            make_explainer(leak=True),
            make_data(),
            folder=tmp_path,
            progress=stop_after(stage, 2),
            **QUICK,
        )
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert f"{stage}-00000.safetensors" in kept
    resumed = evaluate(make_explainer(leak=True), make_data(), folder=tmp_path, **QUICK)
    for name, written in kept.items():
        assert (tmp_path / "parts" / name).stat().st_mtime_ns == written
    same(whole, resumed)
    assert len(list((tmp_path / "parts").glob("positives-*"))) == 3


def test_finished_measuring_asks_nothing_anew(tmp_path):
    whole = evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    explainer = make_explainer()
    explainer.encode = None  # would fail if called
    again = evaluate(explainer, make_data(), folder=tmp_path, **QUICK)
    same(whole, again)
    assert again.document == whole.document, "seconds are kept, too"


def test_scores_are_kept_as_a_whole(tmp_path):
    with pytest.raises(Interrupted):
        asked = {"folder": tmp_path, "progress": stop_after("scores", 4), **QUICK}
        evaluate(make_explainer(), make_data(), **asked)
    assert list(tmp_path.iterdir()) == []
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    assert len(list((tmp_path / "parts").glob("scores-*"))) == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"data": make_data(masks=False)}, r"data: 8 images \w{12}, now 8 images \w{12}"),
        ({"data": make_data(twins=False)}, r"data: 8 images \w{12}, now 8 images \w{12}"),
        ({"data": make_data(keep=slice(0, 7))}, r"data: 8 images \w{12}, now 7 images \w{12}"),
        ({"seed": 1}, "seed: 12345, now 1"),
        ({"codes": 5}, "codes: 4, now 5"),
        ({"codes": 5, "seed": 1}, "codes: 4, now 5; seed: 12345, now 1"),
        ({"positives_per_code": 1}, "positives per code: 3, now 1"),
        ({"steps": 3}, "integration steps: 2, now 3"),
        ({"controls": False}, "controls: yes, now no"),
        ({"noise": False}, "noise: yes, now no"),
        ({"methods": ("difference",)}, "methods: difference,ig, now difference"),
        ({"own_maps": {"mine": lambda explained: explained.images}}, "own maps: none, now mine"),
        ({"oracle": brightness_oracle()}, r"oracle: none, now \w{12}"),
    ],
)
def test_another_measuring_is_refused_and_what_differs_named(tmp_path, change, what):
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    asked = {"data": make_data(), "folder": tmp_path, **QUICK, **change}
    with pytest.raises(OutputError, match=rf"holds another evaluation \({what}\); choose another"):
        evaluate(make_explainer(), **asked)


def test_parts_from_before_noise_could_be_left_out_are_taken(tmp_path):
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    path = tmp_path / "parts" / "identity.json"
    kept = json.loads(path.read_text())
    assert kept.pop("noise") is True
    path.write_text(json.dumps(kept))
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    with pytest.raises(OutputError, match="noise: yes, now no"):
        evaluate(make_explainer(), make_data(), folder=tmp_path, noise=False, **QUICK)


def test_parts_of_another_bundle_are_refused(tmp_path, tiny_bundle, balanced_classifier):
    import medxgan
    from medxgan.evaluate.identity import identity_of

    explainer, data = medxgan.load(tiny_bundle, device="cpu"), make_data()
    before = identity_of(explainer, data, {})
    assert identity_of(medxgan.load(tiny_bundle, device="cpu"), data, {}) == before
    next(explainer.generator.parameters()).data.mul_(1.001)
    after = identity_of(explainer, data, {})
    assert [name for name in before if before[name] != after[name]] == ["bundle"]


def test_codes_optimised_for_longer_are_another_measuring(tmp_path):
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    explainer = make_explainer()
    explainer.inversion_steps = 10
    with pytest.raises(OutputError, match=r"\(inversion steps: 0, now 10\)"):
        evaluate(explainer, make_data(), folder=tmp_path, **QUICK)


def test_batches_of_another_size_are_another_measuring(tmp_path, monkeypatch):
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    monkeypatch.setattr(scores, "CPU_PIXELS_AT_ONCE", 3 * SIZE**2)
    with pytest.raises(OutputError, match=r"\(images at once: 2, now 3\)"):
        evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)


def test_finished_evaluation_is_known_by_its_parts(tmp_path):
    assert not finished_before(tmp_path / "nowhere")
    evaluate(make_explainer(), make_data(), folder=tmp_path, **QUICK)
    assert not finished_before(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    assert finished_before(tmp_path)
    (tmp_path / "parts" / "identity.json").unlink()
    with pytest.raises(OutputError, match=r"choose another --out, or remove metrics\.json there"):
        finished_before(tmp_path)


def test_damaged_part_is_measured_again(tmp_path):
    kept = Parts(tmp_path, {"bundle": "a"})
    kept.kept("stage", 0, lambda: Part({("a", "b"): torch.ones(2)}, {"why": "x"}))
    again = kept.kept("stage", 0, lambda: pytest.fail("it is there"))
    assert again.columns["a", "b"].tolist() == [1, 1]
    assert again.beside == {"why": "x"}
    (tmp_path / "parts" / "stage-00000.safetensors").write_bytes(b"half")
    anew = kept.kept("stage", 0, lambda: Part({("a", "b"): torch.zeros(2)}))
    assert anew.columns["a", "b"].tolist() == [0, 0]


def test_damaged_identity_is_explained(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "identity.json").write_text("{")
    with pytest.raises(OutputError, match="cannot be read; remove the folder"):
        Parts(tmp_path, {"bundle": "a"})


def test_parts_of_nobody_knows_what_are_refused(tmp_path):
    Parts(tmp_path, {"bundle": "a"}).kept("stage", 0, lambda: Part({}))
    (tmp_path / "parts" / "identity.json").unlink()
    with pytest.raises(OutputError, match=r"identity\.json cannot be read; remove the folder"):
        Parts(tmp_path, {"bundle": "b"})


def test_folder_that_cannot_be_written_is_explained(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="choose another place"):
        Parts(Path(blocked), {"bundle": "a"}).kept("stage", 0, lambda: Part({}))


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate(make_explainer(), make_data(), **QUICK)
    assert list(tmp_path.iterdir()) == []
