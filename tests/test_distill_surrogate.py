"""A model with its surrogate: answers of the one, gradients of the other."""

import json

import numpy as np
import pytest
import torch

from conftest import SIZE, SPEC, make_bundle
from medxgan.bundle import MANIFEST_NAME, load_bundle, save_bundle
from medxgan.classifiers import BlackBox, TorchClassifier, load_classifier
from medxgan.classifiers.surrogate import WithSurrogate, describe_model, true_model_of
from medxgan.data import open_dataset
from medxgan.errors import ClassifierError
from medxgan.explain.abilities import abilities, unmet_needs
from medxgan.explain.baselines import integrated_gradients
from medxgan.loader import load
from medxgan.surrogate_notes import here_text, surrogate_notes, weakness

ALIKE = {
    "n": 20,
    "called_positive": 9,
    "agreement": 0.95,
    "balanced_agreement": 0.94,
    "score_difference": 0.05,
    "correlation": 0.9,
}


def stand_in(classifier: TorchClassifier, model: TorchClassifier, **alike) -> TorchClassifier:
    """A classifier that says it stands for a model."""
    figures = ALIKE | alike
    classifier.measured = {
        "stands_for": describe_model(model).model_dump(mode="json"),
        "held_out": {
            "images": "test",
            "n": 20,
            "classes": dict.fromkeys(SPEC.class_names, figures),
        },
    }
    return classifier


class Counted:
    """A network as a function that counts the images it is asked about."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module, self.asked = module, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.asked += len(images)
        with torch.no_grad():
            return self.module(torch.from_numpy(images)).numpy()


@pytest.fixture
def images(phantom_archive) -> torch.Tensor:
    return open_dataset(phantom_archive).images()[:6]


@pytest.fixture
def function(balanced_classifier) -> Counted:
    return Counted(balanced_classifier(0).module)


@pytest.fixture
def model(function) -> BlackBox:
    return BlackBox(function, SPEC)


@pytest.fixture
def surrogate(balanced_classifier, model) -> TorchClassifier:
    return stand_in(balanced_classifier(1), model)


@pytest.fixture
def folder(tmp_path, surrogate):
    save_bundle(tmp_path / "bundle", make_bundle(surrogate))
    return tmp_path / "bundle"


def test_answers_are_the_models_and_gradients_the_surrogates(model, surrogate, function, images):
    both = WithSurrogate(model, surrogate)
    torch.testing.assert_close(both(images), model(images))
    torch.testing.assert_close(both.log_odds(images, 1), model.log_odds(images, 1))
    function.asked = 0
    leaf = images.clone().requires_grad_()
    with torch.no_grad():
        assert torch.equal(both(leaf), model(images))
    function.asked = 0
    found, expected = (
        torch.autograd.grad(classifier.log_odds(leaf, 1).sum(), leaf)[0]
        for classifier in (both, surrogate)
    )
    assert torch.equal(found, expected) and found.any()
    torch.testing.assert_close(
        integrated_gradients(both, images, 1, 4), integrated_gradients(surrogate, images, 1, 4)
    )
    assert function.asked == 0


def test_it_has_what_a_surrogate_has(model, surrogate):
    both = WithSurrogate(model, surrogate)
    assert both.differentiable and both.kind == "surrogate"
    assert unmet_needs(both) == {}
    assert set(abilities("surrogate").values()) == {
        "yes",
        "no, given again: the bundle holds the surrogate alone",
    }
    assert both.fingerprint == model.fingerprint
    assert both.to("cpu") is both


def test_an_explanation_is_the_models_with_the_maps_of_the_surrogate(
    folder, model, surrogate, images
):
    methods = ("lig", "ig", "grad-cam", "occlusion")
    options = {"methods": methods, "steps": 4, "frames": 3}
    alone = load(folder, device="cpu").explain(images, **options)
    both = load(folder, classifier=model, device="cpu").explain(images, **options)
    with torch.no_grad():
        expected = model(images)[:, 1].tolist()
    assert [one.scores["image"] for one in both] == pytest.approx(expected, abs=1e-6)
    assert [one.scores["image"] for one in alone] != pytest.approx(expected, abs=1e-3)
    for one, of_surrogate in zip(both, alone, strict=True):
        for name in ("ig", "grad-cam"):
            torch.testing.assert_close(one.attributions[name], of_surrogate.attributions[name])
        with torch.no_grad():
            for part, score in one.scores.items():
                assert score == pytest.approx(
                    model(getattr(one, part)[None])[0, 1].item(), abs=1e-5
                )
            frames = model(one.frames)[:, 1]
        torch.testing.assert_close(one.probabilities, frames, atol=1e-5, rtol=0)
        assert set(one.attributions) == set(methods) and not one.skipped


def test_without_the_model_the_report_says_that_it_is_a_stand_in(folder, model, images):
    explainer = load(folder, device="cpu")
    name = model.fingerprint[:12]
    (note,) = explainer.notes
    assert note == (
        "what is explained here is a surrogate that stands in for a Python function (Counted, "
        f"{name}), not that model itself; it calls 95 % of 20 held-out images as the model does; "
        "give that model with --classifier (Python: medxgan.load(path, classifier=...)), and "
        "everything is measured with it"
    )
    one = explainer.explain(images[0], methods=("difference",))
    assert one.notes == (note,)
    assert "What is explained here is a surrogate" in one.to_html()


def test_with_the_model_the_report_says_whose_gradients_they_are(folder, model, images, tmp_path):
    explainer = load(folder, classifier=model, device="cpu")
    explained = explainer.explain(images, methods=("difference",))
    page = explained.to_html(notes=["and more"])
    assert page.count("All answers here (scores, flips, statuses) are those of a Python func") == 1
    assert "those of its surrogate, which calls 95 % of 20 held-out images as the model" in page
    assert "And more." in page
    explained.save(tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "image-1" / "explanation.json").read_text())
    assert facts["notes"] == list(explainer.notes)


def test_an_ordinary_classifier_needs_no_notes(balanced_classifier, tiny_bundle, images):
    assert surrogate_notes(balanced_classifier(0), "lesion") == ()
    one = load(tiny_bundle, device="cpu").explain(images[0], methods=("difference",))
    assert one.notes == () and "surrogate" not in one.to_html()


def test_the_surrogate_itself_may_be_given(folder, surrogate):
    given = load_bundle(folder, surrogate).classifier
    assert given is surrogate


def test_another_model_is_refused(folder, function, balanced_classifier):
    function.module = balanced_classifier(2).module
    with pytest.raises(
        ClassifierError, match=r"stands for a Python function \(Counted, \w{12}\), got"
    ):
        load_bundle(folder, BlackBox(function, SPEC))


def test_a_classifier_that_stands_for_nothing_lends_nothing(model, balanced_classifier):
    with pytest.raises(ClassifierError, match="no surrogate: it stands for no other model"):
        WithSurrogate(model, balanced_classifier(1))


def test_damage_is_said(folder, model):
    path = folder / MANIFEST_NAME
    content = json.loads(path.read_text())
    del content["classifier"]["measured"]["stands_for"]["spec"]["size"]
    path.write_text(json.dumps(content))
    with pytest.raises(ClassifierError, match=r"damaged at spec\.size .* distil it again"):
        load_bundle(folder, model)


def test_functions_may_round_differently(model, function):
    known = describe_model(model)
    inexact = BlackBox(lambda images: function(images) + 1e-4, SPEC)
    assert inexact.fingerprint != model.fingerprint
    assert known.is_same(inexact)
    assert not known.is_same(BlackBox(lambda images: function(images) + 0.1, SPEC))


def test_the_threshold_of_a_value_is_that_of_the_bundle():
    spec = {"size": SIZE, "output": "value", "class_names": ["grade"], "value_range": [0, 4]}
    model = BlackBox(lambda images: 4 * images.mean((1, 2, 3)), spec)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIZE * SIZE, 1))
    surrogate = TorchClassifier(network, model.spec, "cnn")
    surrogate.measured = {"stands_for": describe_model(model).model_dump(mode="json")}
    raised = surrogate.with_threshold(1.0)
    for given in (model, model.with_threshold(3.0)):
        both = WithSurrogate(given, raised)
        assert both.spec.positive_from == both.model.spec.positive_from == 1.0
        moved = both.with_threshold(2.5)
        assert moved.model.spec.positive_from == moved.surrogate.spec.positive_from == 2.5


def test_weak_surrogates_are_said_to_be(balanced_classifier, model):
    strong = stand_in(balanced_classifier(1), model)
    assert weakness(strong.measured, "lesion") is None
    weak = stand_in(balanced_classifier(1), model, balanced_agreement=0.89)
    assert weakness(weak.measured, "lesion") == (
        "the surrogate stands badly for its model: on 20 held-out images it agrees about 'lesion' "
        "on 95 %, and on 89 % with positives and negatives weighted alike, and should on 90 % or "
        "more; distil with more images, more queries, more epochs or a larger --arch"
    )
    assert len(surrogate_notes(weak, "lesion")) == 2
    unknown = stand_in(balanced_classifier(1), model)
    del unknown.measured["held_out"]
    assert weakness(unknown.measured, "lesion") is None
    assert "nobody knows how often" in surrogate_notes(unknown, "lesion")[0]


def test_one_image_is_one_image():
    assert here_text({"n": 1, "agreement": 1.0, "score_difference": 0.0}).startswith(
        "on the 1 image here the surrogate calls 100 % as the model does"
    )


def test_a_file_is_the_same_model_wherever_it_lies(model_files, tmp_path, balanced_classifier):
    first = load_classifier(model_files.onnx, spec=SPEC)
    moved = tmp_path / "moved.onnx"
    moved.write_bytes(model_files.onnx.read_bytes())
    known = true_model_of(stand_in(balanced_classifier(1), first).measured)
    assert known.is_same(load_classifier(moved, spec=SPEC))
