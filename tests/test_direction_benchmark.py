"""The benchmark of directions runs on a model without gradients, and says what went wrong."""

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch

from directed_world import CPU
from medxgan.bundle import load_bundle, save_bundle
from medxgan.classifiers import load_classifier
from medxgan.direction_file import generator_fingerprint, save_direction
from medxgan.errors import ConfigError
from medxgan.fitting_direction import fit_direction
from test_stylegan_bundle import make_style_bundle


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    import direction

    return direction


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, model_files) -> Path:
    """One direction, for an ONNX model."""
    folder = tmp_path_factory.mktemp("style") / "brain"
    save_bundle(folder, make_style_bundle())
    spec = folder / "spec.json"
    spec.write_text(json.dumps({"size": 32, "class_names": ["healthy", "lesion"]}))
    model = load_classifier(model_files.onnx, spec=spec)
    fitted = fit_direction(
        load_bundle(folder),
        generator_fingerprint(folder),
        model,
        1,
        name="onnx",
        samples=60,
        device=CPU,
    )
    save_direction(folder / "directions" / "onnx", fitted)
    return folder


def arguments(bundle: Path | str, **changes: object) -> argparse.Namespace:
    given = {"bundle": str(bundle), "direction": None, "classifier": None, "kind": "brain"}
    given |= {"count": 6, "samples": 3, "asked": 40, "seed": 1, "device": "cpu"}
    return argparse.Namespace(**given | changes)


def lengths(explanations) -> list[float]:
    return [float(one.latent.z2.norm()) for one in explanations]


def test_a_model_without_gradients_is_measured(benchmark, bundle):
    document = benchmark.measure(arguments(bundle))
    assert document["classifier"] == "onnx"
    assert set(document["samples"]) == set(benchmark.WAYS)
    assert set(document["phantoms"]) == {*benchmark.WAYS, benchmark.RANDOM, "reconstruction"}
    assert 0 <= document["explained"]["random_mean"] <= document["explained"]["random_most"] <= 1
    json.dumps(document, allow_nan=False)
    assert benchmark.RANDOM in benchmark.table(document)


def test_random_directions_go_as_far_as_explanations(benchmark, bundle):
    import medxgan

    explainer = medxgan.load(bundle, device="cpu")
    data = benchmark.fresh_phantoms("brain", 4, 32, 1)
    explanations = benchmark.explain(explainer, data)
    ours = benchmark.change_of(explanations)
    random = benchmark.random_change(explainer, explanations, seed=2)
    assert random.images.equal(ours.images) and random.start.equal(ours.start)
    assert not random.end.equal(ours.end)
    moves = torch.cat([one.latent.z2 for one in explanations])
    random_moves = benchmark.random_moves(moves, seed=2)
    torch.testing.assert_close(random_moves.norm(dim=1), moves.norm(dim=1))
    assert not torch.allclose(random_moves, moves)
    still = [
        one for one, length in zip(explanations, lengths(explanations), strict=True) if not length
    ]
    for one, end in zip(explanations, random.end, strict=True):
        if any(one is each for each in still):
            assert (end - one.reconstruction).abs().max() < 1e-4


def test_every_direction_is_measured_where_none_is_named(benchmark, bundle, monkeypatch):
    monkeypatch.setattr(benchmark, "measure", lambda chosen: {"of": chosen.direction})
    monkeypatch.setattr(benchmark, "fitted_directions", lambda folder: ["a", "b"])
    assert benchmark.measure_all(arguments(bundle)) == {"a": {"of": "a"}, "b": {"of": "b"}}
    assert benchmark.measure_all(arguments(bundle, direction="b")) == {"b": {"of": "b"}}


def test_what_has_no_direction_is_refused(benchmark, bundle, tiny_bundle):
    with pytest.raises(ConfigError, match="has no style-based generator, and so no direction"):
        benchmark.measure(arguments(tiny_bundle))
    with pytest.raises(ConfigError, match="--count must be at least 2, got 1"):
        benchmark.measure(arguments(bundle, count=1))
