"""Data that lack something, an oracle that is none, and too few images to say anything."""

import json

import numpy as np
import pytest

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
from medxgan.evaluate.notes import notes_on
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


def test_data_without_positives_has_reasons_instead_of_figures():
    found = evaluate(make_explainer(), make_data(keep=slice(5, 8)), codes=1, steps=2)
    document = found.document
    json.dumps(document, allow_nan=False)
    why = "the classifier calls none of the 3 images positive"
    for section in ("deletion", "noise_robustness", "sanity", "controls", "seconds_per_image"):
        for place, figure in figures_of(document[section]):
            assert (figure["value"], figure["reason"]) == (None, why), place
    assert document["controls"]["not_beaten"] == []
    assert document["failed_maps"] == {}
    assert found.rows.tolist() == []
    assert found.films.shape == (0, 11)
    assert found.columns == {}
    assert found.statuses == ()


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


def test_few_positives_are_noted():
    assert document_of(make_explainer(), make_data(), methods=())["notes"] == [
        "only 5 images are called positive: intervals from fewer than 10 images mean little"
    ]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (["a"], "only 1 image is called positive"),
        ([], "only 0 images are called positive"),
        (list("abcdefghi"), "only 9 images are called positive"),
        (list("abcdefghiabc"), "the 12 images called positive come from 9 patients or groups"),
    ],
)
def test_notes_count_images_and_patients(groups, expected):
    (note,) = notes_on(groups)
    assert note.startswith(f"{expected}: intervals")


def test_ten_patients_need_no_note():
    assert notes_on(list("abcdefghij")) == []


def test_nothing_is_null_without_a_reason_whatever_is_missing():
    for data in (make_data(), make_data(masks=False, twins=False), make_data(keep=slice(5, 8))):
        for asked in ((), ("difference", "grad-cam"), tuple(METHODS)):
            found = document_of(make_explainer(), data, methods=asked, controls=True)
            for place, figure in figures_of(found):
                assert figure["value"] is not None or figure["reason"], place


def test_oracle_that_is_another_classifier_is_welcome():
    found = document_of(make_explainer(), make_data(), methods=(), oracle=brightness_oracle())
    assert found["counterfactual"]["oracle_validity"]["n"] == 5
