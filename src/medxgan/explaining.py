"""``medxgan explain``: from a bundle and images to a report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import torch

from medxgan.classifiers.likeness import likeness
from medxgan.classifiers.surrogate import WithSurrogate, true_model_of
from medxgan.data import Inputs
from medxgan.explain.scores import evaluate, probability
from medxgan.explain.series import Series
from medxgan.explain.settings import DEFAULT_METHODS, ExplainSettings, make_settings
from medxgan.explained import check_replaced
from medxgan.explainer import IMAGES_AT_ONCE, Explainer
from medxgan.explanations import Explanations
from medxgan.quality import poorness, share_text
from medxgan.report.saving import unique_folder_names
from medxgan.scoretext import words_for
from medxgan.surrogate_notes import here_text
from medxgan.types import ProblemKind
from medxgan.version import __version__

FIGURES_SHOWN = {
    "agreement_negative": "Generated negatives called negative",
    "agreement_positive": "Generated positives called positive",
    "prediction_match": "Reconstructions called as their images are",
    "validity": "Positives whose counterfactual is called negative",
    "transfer_validity": "Positives called negative after the change on the original",
}
"""Of the figures measured at the end of training, those that say how far to trust a report."""


def parse_settings(methods: str | None, *, start: str, **settings: int | None) -> ExplainSettings:
    """Settings as the command line has them.

    Args:
        methods: names with commas between; the usual ones where None.
        start: ``encoder`` or ``cold``.
        settings: further fields of ``ExplainSettings``.

    Raises:
        ConfigError: an unknown name, or a number out of range.

    >>> parse_settings("lig, ig", start="encoder", frames=5).methods
    ('lig', 'ig')
    """
    names = DEFAULT_METHODS if methods is None else [name.strip() for name in methods.split(",")]
    return make_settings(names, settings | {"start": start})


def explain_inputs(
    explainer: Explainer,
    inputs: Inputs,
    settings: ExplainSettings,
    on_done: Callable[[int], None] = lambda done: None,
    *,
    target: str | None = None,
) -> Explanations:
    """Explain all images of ``inputs``; ``on_done`` hears how many are finished.

    Raises:
        ConfigError: the bundle does not explain the class ``target``.
    """
    options = asdict(settings)
    methods = options.pop("methods")
    explanations = Explanations()
    for start in range(0, len(inputs), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        explained = explainer.explain(
            inputs.images[part],
            target,
            methods,
            names=inputs.names[part],
            masks=inputs.masks[part],
            spacings=inputs.spacings[part],
            **options,
        )
        assert isinstance(explained, Explanations)
        explanations += explained
        on_done(len(explanations))
    return explanations


def check_folders(out: Path, inputs: Inputs) -> None:
    """Refuse to write explanations of ``inputs`` beside others that would stay.

    Raises:
        OutputError: ``out`` holds an explanation of an image that is not among ``inputs``.
    """
    folders = unique_folder_names(inputs.names)
    check_replaced(out, dict(zip(folders, inputs.images.numpy(), strict=True)))


def write_explanations(
    explanations: Explanations,
    explainer: Explainer,
    out: Path,
    *,
    shown: Mapping[str, str] = MappingProxyType({}),
    series: Sequence[Series] = (),
) -> Path:
    """Write report, table and pictures, with what the bundle says of itself; path of the report.

    ``shown`` is what the user chose of how DICOM and NIfTI files are shown; ``series`` are of the
    same images to a requested answer.

    Raises:
        OutputError: ``out`` cannot be written; no file is left half-written.
    """
    manifest = explainer.bundle
    words = words_for(manifest.target_name, manifest.spec)
    held_out = manifest.metrics.get("held_out", {})
    return explanations.save(
        out,
        title=f"What raises and lowers the {words.target} of these images"
        if manifest.spec.value_scale
        else f"What makes these images '{manifest.target_name}'",
        summary={
            words: share_text(held_out[name])
            for name, words in FIGURES_SHOWN.items()
            if held_out.get(name) is not None
        },
        measured_on="images that the generator drew itself"
        if manifest.method == "stylegan"
        else "held-out images",
        caution=poorness(held_out),
        notes=_agreement_here(explanations, explainer),
        footer_facts={
            "bundle": manifest.name,
            "method": manifest.method,
            "explained": manifest.target_name,
            "decision": words.rule.removesuffix("."),
            "classifier": manifest.classifier.fingerprint[:12],
            **_stands_for(manifest.classifier.measured),
            "trained on": manifest.training.get("data"),
            "licence of the training data": manifest.data_licence,
            **shown,
            "written by": f"medxgan {__version__}",
        },
        series=series,
    )


def _stands_for(measured: Mapping[str, Any]) -> dict[str, str]:
    known = true_model_of(measured)
    return {} if known is None else {"the classifier stands for": str(known)}


def _agreement_here(explanations: Explanations, explainer: Explainer) -> list[str]:
    """How alike the surrogate, where there is one, and the model call the explained images."""
    classifier = explainer.classifier
    if not isinstance(classifier, WithSurrogate):
        return []
    images = torch.stack([explanation.image for explanation in explanations])
    ours = evaluate(
        probability(classifier.surrogate, explainer.target), images.to(explainer.device)
    )
    theirs = torch.tensor([explanation.scores["image"] for explanation in explanations])
    return [here_text(likeness(theirs, ours.cpu()))]


def summary_rows(explanations: Explanations) -> list[tuple[str, str]]:
    """What came out, counted: rows of a table."""
    total = len(explanations)
    positive = sum(explanation.positive for explanation in explanations)
    called = words_for(explanations[0].target_name, explanations[0].spec).positive
    kinds = {
        kind: sum(
            any(problem.kind == kind for problem in explanation.status.problems)
            for explanation in explanations
        )
        for kind in get_args(ProblemKind)
    }
    return [
        ("images", str(total)),
        (f"called '{called}'", str(positive)),
        ("flipped", f"{sum(e.flipped for e in explanations)} of {total}"),
        ("flipped, transferred", f"{sum(e.transfer_flipped for e in explanations)} of {total}"),
        ("status ok", f"{sum(e.status.ok for e in explanations)} of {total}"),
        *((f"status: {kind}", str(count)) for kind, count in kinds.items() if count),
        *((f"skipped: {name}", reason) for name, reason in explanations[0].skipped.items()),
    ]
