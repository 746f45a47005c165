"""One class against the rest, where there are three or where several hold at once."""

import csv
import json

import numpy as np
import pytest
import torch
from torch import nn

import medxgan as package
from conftest import SIZE
from medxgan.classifiers import TorchClassifier, build_architecture, save_classifier
from medxgan.data import open_dataset, write_phantoms
from medxgan.data.phantom import make_phantoms
from medxgan.evaluate import evaluate
from medxgan.evaluate.answers import masks_of_target, truth_of, why_unknown
from medxgan.explain.scores import probability
from medxgan.report.classes import became_text, class_rows, named_by
from medxgan.scoretext import words_for
from medxgan.types import ClassifierSpec

THREE = ClassifierSpec(size=SIZE, class_names=("healthy", "focal", "ring"))
LABELS = ClassifierSpec(
    size=SIZE, output="multilabel_logits", class_names=("edema", "mass", "effusion")
)
TINY = ("--preset", "tiny", "--set", "run.images=32", "--set", "run.log_every=16")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """150 brain phantoms of three classes."""
    path = tmp_path_factory.mktemp("three") / "three.npz"
    phantoms = make_phantoms("brain", 150, size=SIZE, seed=5, task="three-class")
    write_phantoms(phantoms, path, "brain", 5)
    return path


def model_of(spec, images):
    """An untrained network, each of whose classes is positive for some of the images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_architecture("cnn", 1, SIZE, 3)
    rows = TorchClassifier(module, LABELS).module((images + 1) / 2)
    last = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(3 / rows.std(0)[:, None])
        last.bias.copy_(3 * (last.bias - rows.median(0).values) / rows.std(0))
    return TorchClassifier(module, spec, "cnn")


@pytest.fixture(scope="module", params=[THREE, LABELS], ids=["classes", "labels"])
def bundle(request, tmp_path_factory, archive):
    """Hardly trained, for the class in the middle, by its name."""
    from medxgan.cli import main

    folder = tmp_path_factory.mktemp("bundle")
    save_classifier(
        folder / "model.safetensors", model_of(request.param, open_dataset(archive).images())
    )
    command = ["train", archive, "--classifier", folder / "model.safetensors"]
    command += ["--out", folder / "run", "--target", request.param.class_names[1], *TINY]
    with pytest.raises(SystemExit) as ended:
        main([*map(str, command), "--quiet"])
    assert not ended.value.code
    return folder / "run"


def test_positive_is_more_likely_than_all_others_together():
    """Log-odds against the rest change sign where the probability is one half, not at the top."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 3))
    with torch.no_grad():
        module[1].weight.zero_()
        module[1].bias.copy_(torch.tensor([0.3, 0.45, 0.25]).log())
    model = TorchClassifier(module, THREE)
    images = torch.zeros(2, 1, SIZE, SIZE)
    assert model(images).argmax(1).tolist() == [1, 1]
    assert probability(model, 1)(images).tolist() == pytest.approx([0.45, 0.45])
    torch.testing.assert_close(model.log_odds(images, 1).sigmoid(), torch.full((2,), 0.45))
    assert named_by([0.3, 0.45, 0.25], THREE) == ("focal",)


def test_every_label_is_judged_alone():
    assert named_by([0.6, 0.2, 0.9], LABELS) == ("edema", "effusion")
    assert "whatever the other labels say" in words_for("mass", LABELS).rule
    assert "against all others" in words_for("focal", THREE).rule


def test_any_class_can_be_the_target_from_training_to_the_report(bundle, archive, tmp_path):
    explainer = package.load(bundle)
    data = open_dataset(archive)
    images = data.images(slice(0, 6))
    assert explainer.target == 1
    explanations = explainer.explain(images, methods=("difference", "lig"))
    expected = explainer.classifier(images)
    names = explainer.spec.class_names
    for number, explanation in enumerate(explanations):
        torch.testing.assert_close(explanation.answers["image"], expected[number])
        assert explanation.scores["image"] == pytest.approx(float(expected[number, 1]))
        rows = class_rows(explanation)
        assert [row.name for row in rows] == list(names)
        assert [row.explained for row in rows] == [False, True, False]
        assert " → " in became_text(explanation)
    page = explanations.save(tmp_path / "report").read_text()
    assert page.count('<table class="classes">') == 6
    assert f"{names[1]} (explained)" in page
    with (tmp_path / "report" / "explanations.csv").open() as file:
        row = next(csv.DictReader(file))
    assert set(row["class_counterfactual"].split("; ")) <= {*names, ""}
    facts = json.loads((tmp_path / "report" / row["folder"] / "explanation.json").read_text())
    assert facts["class_names"] == list(names)
    assert facts["answers"]["image"] == pytest.approx(expected[0].tolist())


def test_measuring_counts_what_images_became(bundle, archive):
    explainer, data = package.load(bundle), open_dataset(archive)
    found = evaluate(explainer, data, codes=4, methods=("difference",), steps=4)
    called = explainer.classifier(data.images())[:, 1] >= 0.5
    predictions = found.document["predictions"]
    assert predictions["called_positive"] == int(called.sum())
    if explainer.spec.output == "multilabel_logits":
        assert "classes" not in found.document
        return
    truly = torch.from_numpy(data.labels == 1)
    assert predictions["detected"] == int((called & truly).sum())
    assert predictions["false_alarms"] == int((called & ~truly).sum())
    counts = found.document["classes"]
    named = explainer.classifier(data.images()[called]).argmax(1)
    assert counts["image"] == dict(
        zip(THREE.class_names, named.bincount(minlength=3).tolist(), strict=True)
    )
    assert sum(counts["counterfactual"].values()) == int(called.sum())
    # Only lesions of the explained class are to be found.
    masked = data.mask_images()[0].flatten(1).any(1)
    of_target = int((called & truly & masked).sum())
    assert found.document["localization"]["difference"]["iou"]["n"] == of_target


def test_masks_of_other_classes_are_left_empty(archive):
    data = open_dataset(archive)
    rows = np.arange(len(data))
    masks = masks_of_target(data, rows, truth_of(data, THREE, 2), THREE)
    assert (masks.flatten(1).any(1).numpy() == (data.labels == 2)).all()
    two = ClassifierSpec(size=SIZE, class_names=("healthy", "lesion"))
    assert torch.equal(masks_of_target(data, rows, data.labels * 0, two), data.mask_images()[0])


def test_truth_goes_by_the_name_of_the_class(archive, phantom_archive):
    data = open_dataset(archive)
    turned = ClassifierSpec(size=SIZE, class_names=("ring", "healthy", "focal"))
    assert (truth_of(data, turned, 0) == (data.labels == 2)).all()
    renamed = ClassifierSpec(size=SIZE, class_names=("a", "b", "c"))
    assert (truth_of(data, renamed, 1) == (data.labels == 1)).all()
    binary = open_dataset(phantom_archive)
    assert (truth_of(binary, THREE, 2) == -1).all()
    assert why_unknown(binary, THREE, 2) == "the data set has no class 'ring'"


def test_a_class_that_does_not_exist_is_answered_with_names(medxgan, archive, tmp_path):
    save_classifier(tmp_path / "m.safetensors", model_of(THREE, open_dataset(archive).images()))
    command = ("train", archive, "--classifier", tmp_path / "m.safetensors", "--out", tmp_path)
    outcome = medxgan(*command, "--target", "rings", *TINY)
    assert outcome.code == 2
    assert "no class is named 'rings'; did you mean 'ring'?" in outcome.err
    assert "class index must be 0 to 2" in medxgan(*command, "--target", "3", *TINY).err
