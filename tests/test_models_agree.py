"""One network in every kind of file gives one explanation, as far as its kind allows."""

from pathlib import Path

import pytest
import torch

from conftest import SPEC, make_bundle
from medxgan.bundle import Bundle
from medxgan.classifiers import KINDS, BlackBox, TorchClassifier, load_classifier
from medxgan.data import open_dataset
from medxgan.explain import METHODS
from medxgan.explain.abilities import abilities
from medxgan.explainer import Explainer
from medxgan.types import Explanation

TOLERANCE = {"rtol": 0.0, "atol": 1e-4}
CPU = torch.device("cpu")


@pytest.fixture(scope="session")
def images(phantom_archive: Path) -> torch.Tensor:
    return open_dataset(phantom_archive).images()[:4]


def explain(classifier: TorchClassifier, images: torch.Tensor) -> list[Explanation]:
    bundle: Bundle = make_bundle(classifier)
    return Explainer(bundle, CPU).explain(images, methods=METHODS, steps=8)


@pytest.fixture(scope="session")
def expected(balanced_classifier, images) -> list[Explanation]:
    return explain(balanced_classifier(0), images)


@pytest.fixture(scope="session")
def classifiers(model_files, balanced_classifier) -> dict[str, TorchClassifier]:
    module = balanced_classifier(0).module

    def predict(given):
        with torch.no_grad():
            return module(torch.from_numpy(given)).numpy()

    return {
        "module": load_classifier(module, spec=SPEC),
        "exported": load_classifier(model_files.exported, spec=SPEC),
        "torchscript": load_classifier(model_files.torchscript, spec=SPEC),
        "onnx": load_classifier(model_files.onnx, spec=SPEC),
        "function": BlackBox(predict, SPEC, batch_size=3),
    }


@pytest.mark.parametrize("kind", ["module", "exported", "torchscript", "onnx", "function"])
def test_explanations_agree(classifiers, images, expected, kind):
    classifier = classifiers[kind]
    assert classifier.kind == kind
    for found, wanted in zip(explain(classifier, images), expected, strict=True):
        for name, values in found.attributions.items():
            torch.testing.assert_close(values, wanted.attributions[name], **TOLERANCE)
        for part in ("reconstruction", "counterfactual", "transferred", "probabilities"):
            torch.testing.assert_close(getattr(found, part), getattr(wanted, part), **TOLERANCE)
        assert found.scores == pytest.approx(wanted.scores, abs=1e-4)
        possible = {name for name in METHODS if abilities(kind)[name] == "yes"}
        assert set(found.attributions) == possible
        assert set(found.skipped) == set(METHODS) - possible


def test_what_is_missing_is_said_with_its_reason(classifiers, images):
    title = KINDS["exported"].title
    assert explain(classifiers["exported"], images)[0].skipped == {
        "grad-cam": f"{title} shows no layers"
    }
    of_onnx = explain(classifiers["onnx"], images)[0]
    assert set(of_onnx.attributions) == {"difference", "occlusion"}
    assert of_onnx.skipped["lig"] == "an ONNX model gives no gradients"
    assert of_onnx.skipped["grad-cam"] == (
        "an ONNX model gives no gradients; an ONNX model shows no layers"
    )


def test_every_kind_says_of_everything_whether_it_can_be_had():
    for kind, model in KINDS.items():
        words = abilities(kind)
        assert set(METHODS) < set(words)
        assert (words["ig"] == "yes") == model.gradients
        assert (words["grad-cam"] == "yes") == (model.gradients and model.layers)
        assert words["occlusion"] == words["StyleGAN direction"] == words["difference"] == "yes"
        assert bool(model.not_stored) != model.stored
        assert (words["medXGAN"] == "yes") == model.gradients


def test_the_table_in_the_docs_is_that_of_the_code():
    page = (Path(__file__).parent.parent / "docs" / "models.md").read_text("utf-8")
    section = page.partition("## What you will get")[2].partition("## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if "yes" in line]
    in_words = {True: "yes", False: "no"}
    assert rows == [
        [
            model.title,
            in_words[model.gradients],
            in_words[model.gradients and model.layers],
            "yes",
            in_words[model.stored],
        ]
        for model in KINDS.values()
    ]
