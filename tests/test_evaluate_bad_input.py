"""Data that lack something, an oracle that is none, and too few images to say anything."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from known_world import (
    SPEC,
    brightness_oracle,
    contrast_classifier,
    document_of,
    figures_of,
    make_data,
    make_explainer,
)
from medxgan.data import build_dataset
from medxgan.errors import ClassifierError, DataError
from medxgan.evaluate import evaluate
from medxgan.evaluate.counts import note_on_oracle, notes_on_size
from medxgan.explain import METHODS


def test_masks_of_another_size_are_refused():
    with pytest.raises(DataError, match="masks must be as large as their images, 16 x 16"):
        build_dataset(
            np.zeros((2, 1, 16, 16), dtype=np.uint8), labels=[0, 1], masks=np.zeros((2, 8, 8))
        )


def test_masks_of_some_images_are_used_where_they_are():
    whole = make_data()
    known = np.array([True, True, False, False, True, True, True, True])
    masks = whole.table.masks & known[:, None, None]
    some = build_dataset(
        whole.table.pixels,
        whole.labels,
        limits=whole.limits,
        class_names=whole.class_names,
        split=whole.split,
        groups=whole.groups,
        masks=masks,
        has_mask=known,
    )
    found = evaluate(make_explainer(), some, codes=1, steps=2, methods=("difference",))
    for section in ("localization", "localization_smoothed"):
        for name, figure in found.document[section]["difference"].items():
            assert (figure["n"], figure["n_missing"]) == (2, 3), name
    document = found.document
    assert document["counterfactual"]["outside_mask_mae"]["n"] == 2
    assert document["controls"]["random_map"]["localization"]["iou"]["n"] == 2
    assert document["noise_robustness"]["difference"]["iou_ratio"]["0.05"]["n"] == 2
    assert document["noise_robustness"]["difference"]["spearman"]["0.05"]["n"] == 5
    assert document["deletion"]["difference"]["blur"]["0.05"]["n"] == 5


def test_data_without_positives_are_refused_before_anything_is_measured(tmp_path):
    stages: list[str] = []
    asked = {"folder": tmp_path / "out", "progress": lambda stage, *_: stages.append(stage)}
    with pytest.raises(DataError) as refused:
        evaluate(make_explainer(), make_data(keep=slice(6, 8)), codes=1, steps=2, **asked)
    assert str(refused.value) == (
        "the classifier calls none of the 2 images 'lesion' (0 are labelled so), and only such "
        "images are explained; give images of that class"
    )
    assert set(stages) == {"scores"}
    assert not (tmp_path / "out").exists()


def test_positives_that_the_classifier_misses_are_counted_in_the_refusal():
    with pytest.raises(DataError, match=r"\(1 are labelled so\).*that class that it recognises$"):
        evaluate(make_explainer(), make_data(keep=slice(5, 8)), codes=1, steps=2)


def test_refusal_names_the_other_splits():
    whole = make_data()
    splits = np.array([0, 0, 0, 1, 1, 2, 2, 2], dtype=np.uint8)
    data = replace(whole, table=replace(whole.table, split=splits)).select("test")
    with pytest.raises(DataError, match=r"choose another --split \(train, val or all\), or give"):
        evaluate(make_explainer(), data, codes=1, steps=2)


def test_false_alarms_alone_are_explained():
    found = evaluate(make_explainer(), make_data(keep=slice(4, 5)), codes=1, steps=2)
    assert found.document["predictions"]["false_alarms"] == 1


@pytest.mark.parametrize("names", [SPEC.class_names, ("lesion", "healthy")])
def test_oracle_with_the_weights_of_the_classifier_is_refused(names):
    """Also under other class names, which make another fingerprint."""
    oracle = contrast_classifier()
    oracle.spec = oracle.spec.model_copy(update={"class_names": names})
    with pytest.raises(ClassifierError, match="same weights as the explained classifier, "):
        evaluate(make_explainer(), make_data(), oracle=oracle)


def test_bundles_own_oracle_is_refused_likewise():
    with pytest.raises(ClassifierError, match="same weights"):
        evaluate(make_explainer(oracle=contrast_classifier()), make_data())


def test_few_positives_are_noted_and_what_rests_on_fewer():
    found = document_of(make_explainer(oracle=brightness_oracle()), make_data(), methods=("ig",))
    assert found["notes"] == [
        "only 5 images are called positive: intervals from fewer than 10 images mean little",
        "the oracle's verdict rests on 2 images: its intervals mean little",
        "the change outside the lesion, the comparison with healthy twins, localisation and the "
        "overlap that some maps keep under noise rest on 4 images: their intervals mean little",
        "reconstruction rests on 8 images: its intervals mean little",
    ]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["a"], "only 1 image is called positive: intervals"),
        (list("abcdefghi"), "only 9 images are called positive: intervals"),
        (
            list("abcdefghiabc"),
            "there are 12 images from 9 patients or groups among those called positive: intervals",
        ),
    ],
)
def test_notes_count_images_and_patients(groups, expected):
    (note,) = notes_on_size({}, groups, list("abcdefghij"))
    assert note.startswith(expected)


def test_ten_patients_need_no_note():
    ten = list("abcdefghij")
    assert notes_on_size({("localization", "ig", "iou"): torch.ones(10)}, ten, ten) == []


@pytest.mark.parametrize(
    ("place", "defined", "expected"),
    [
        (("localization", "ig", "iou"), 3, "localisation rests on 3 images: its"),
        (("localization", "ig", "iou"), 1, "localisation rests on 1 image: its"),
        (("localization", "ig", "iou"), 0, None),
        (("localization", "ig", "iou"), 10, "localisation rests on 10 images from 5 patients or"),
        (("localization", "ig", "iou"), 20, None),
        (("counterfactual", "oracle_validity"), 4, "the oracle's verdict rests on 4 images: its"),
        (("counterfactual", "twin_psnr"), 4, "the comparison with healthy twins rests on 4 images"),
        (("noise_robustness", "ig", "iou_ratio", "0.1"), 4, "the overlap that some maps keep"),
        (("noise_robustness", "ig", "spearman", "0.1"), 4, None),
        (("controls", "random_map", "localization", "iou"), 4, None),
    ],
)
def test_what_rests_on_few_images_or_patients_is_noted(place, defined, expected):
    """Of twelve patients with two images each, the first few images have a value."""
    values = torch.ones(24)
    values[defined:] = torch.nan
    groups = [patient for patient in "abcdefghijkl" for _ in range(2)]
    notes = notes_on_size({place: values}, groups, groups)
    assert len(notes) == (expected is not None)
    assert expected is None or notes[0].startswith(expected)


def test_oracle_that_says_what_the_classifier_says_is_noted():
    """Its weights differ by a hair, and so does its fingerprint."""
    oracle = contrast_classifier()
    with torch.no_grad():
        oracle.module[1].weight[1, 0] += 1e-6
    found = document_of(make_explainer(), make_data(), methods=(), oracle=oracle)
    assert any("hardly an independent judge" in note for note in found["notes"])
    found = document_of(make_explainer(), make_data(), methods=(), oracle=brightness_oracle())
    assert not any("independent" in note for note in found["notes"])


def test_one_image_that_tells_them_apart_makes_an_oracle_independent():
    scores = torch.tensor([0.1, 0.2, 0.9])
    assert len(note_on_oracle(scores, scores + 9e-5)) == 1
    assert note_on_oracle(scores, scores + torch.tensor([0, 0, 2e-4])) == []
    assert note_on_oracle(scores, scores + torch.tensor([0, torch.nan, 0])) == []
    assert note_on_oracle(scores, None) == []


def test_nothing_is_null_without_a_reason_whatever_is_missing():
    for data in (make_data(), make_data(masks=False, twins=False), make_data(keep=slice(4, 8))):
        for asked in ((), ("difference", "grad-cam"), tuple(METHODS)):
            found = document_of(make_explainer(), data, methods=asked, controls=True)
            for place, figure in figures_of(found):
                assert figure["value"] is not None or figure["reason"], place


def test_oracle_that_is_another_classifier_is_welcome():
    found = document_of(make_explainer(), make_data(), methods=(), oracle=brightness_oracle())
    assert found["counterfactual"]["oracle_before"]["n"] == 5
