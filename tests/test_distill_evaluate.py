"""Measuring with the model that a surrogate stands for."""

import json

import pytest
import torch

from known_world import (
    SPEC,
    contrast_classifier,
    linear_classifier,
    make_data,
    make_explainer,
    patch,
)
from medxgan.classifiers import BlackBox, TorchClassifier
from medxgan.classifiers.surrogate import WithSurrogate, describe_model
from medxgan.errors import ClassifierError
from medxgan.evaluate import evaluate
from medxgan.evaluate.identity import identity_of
from medxgan.evaluate.output import write_evaluation

QUICK = {"codes": 1, "steps": 2, "controls": False, "methods": ("ig", "occlusion")}


@pytest.fixture
def model() -> BlackBox:
    """Positive where the patch is brighter than its surroundings by 0.25, as a function."""
    module = contrast_classifier().module

    def predict(images):
        with torch.no_grad():
            return module(torch.from_numpy(images)).numpy()

    return BlackBox(predict, SPEC, source="contrast")


@pytest.fixture
def surrogate(model) -> TorchClassifier:
    """Positive where the patch itself is brighter than -0.08: of the eight images, three."""
    found = linear_classifier(100 * patch() / patch().sum(), 8.0)
    figures = {"n": 8, "agreement": 0.75, "balanced_agreement": 0.7, "score_difference": 0.25}
    found.measured = {
        "stands_for": describe_model(model).model_dump(mode="json"),
        "held_out": {"images": "test", "n": 8, "classes": {"lesion": figures}},
    }
    return found


def test_every_figure_is_the_models(model, surrogate):
    explainer = make_explainer(classifier=surrogate)
    alone = evaluate(explainer, make_data(), **QUICK)
    explainer.classifier = WithSurrogate(model, surrogate)
    both = evaluate(explainer, make_data(), **QUICK)
    of_model = evaluate(make_explainer(classifier=model), make_data(), **QUICK)
    assert both.document["predictions"] == of_model.document["predictions"]
    assert both.document["predictions"] != alone.document["predictions"]
    for section in ("agreement", "counterfactual", "monotonicity", "reconstruction", "deletion"):
        for name, figure in of_model.document[section].items():
            if name != "ig":  # which the model alone cannot have
                assert both.document[section][name] == figure
    assert both.methods == ("ig", "occlusion") and of_model.methods == ("occlusion",)
    torch.testing.assert_close(both.films, of_model.films)


def test_agreement_is_measured_on_these_images(model, surrogate):
    data = make_data()
    explainer = make_explainer(classifier=surrogate)
    explainer.classifier = WithSurrogate(model, surrogate)
    document = evaluate(explainer, data, **QUICK).document
    with torch.no_grad():
        theirs, ours = (c(data.images())[:, 1] >= 0.5 for c in (model, surrogate))
    section = document["surrogate"]
    assert section["answers"] == "model"
    assert section["here"]["agreement"] == (theirs == ours).double().mean().item() < 1
    assert section["held_out"]["agreement"] == 0.75
    (note,) = [note for note in document["notes"] if note.startswith("on the 8 images here")]
    assert f"{section['here']['score_difference']:.3f}" in note


def test_without_the_model_it_is_said(surrogate, tmp_path):
    explainer = make_explainer(classifier=surrogate)
    measured = evaluate(explainer, make_data(), **QUICK)
    section = measured.document["surrogate"]
    assert (section["answers"], section["here"]) == ("surrogate", None)
    assert section["stands_for"].startswith("a Python function (contrast, ")


def test_the_page_and_the_figures_say_so(model, surrogate, tmp_path):
    explainer = make_explainer(classifier=surrogate)
    explainer.classifier = WithSurrogate(model, surrogate)
    explainer.notes = ("who answered",)
    measured = evaluate(explainer, make_data(), **QUICK)
    page = write_evaluation(measured, explainer, make_data(), tmp_path / "out", settings={})
    assert "<li>who answered</li>" in page.read_text()
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["surrogate"]["answers"] == "model"
    assert metrics["measured"]["the classifier stands for"].startswith("a Python function")


def test_an_ordinary_classifier_has_no_such_section():
    document = evaluate(make_explainer(), make_data(), **QUICK).document
    assert document["surrogate"] is None


def test_measuring_with_and_without_the_model_are_different_runs(model, surrogate):
    explainer, data = make_explainer(classifier=surrogate), make_data()
    alone = identity_of(explainer, data, {})
    explainer.classifier = WithSurrogate(model, surrogate)
    assert identity_of(explainer, data, {})["bundle"] != alone["bundle"]


def test_neither_of_the_two_may_be_the_oracle(model, surrogate):
    explainer = make_explainer(classifier=surrogate)
    explainer.classifier = WithSurrogate(model, surrogate)
    for oracle in (model, surrogate):
        with pytest.raises(
            ClassifierError, match=f"oracle has the same .* {oracle.fingerprint[:12]}"
        ):
            evaluate(explainer, make_data(), oracle=oracle, **QUICK)
