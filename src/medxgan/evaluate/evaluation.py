"""``evaluate``: from an explainer and a data set to the content of ``metrics.json``."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medxgan.classifiers import TorchClassifier
from medxgan.data import Dataset
from medxgan.errors import ClassifierError
from medxgan.evaluate.answers import answer_sections, truth_of, why_unknown
from medxgan.evaluate.columns import Columns, joined
from medxgan.evaluate.comparison import compare_with_controls
from medxgan.evaluate.counts import (
    count_failed_maps,
    count_predictions,
    count_statuses,
    note_on_oracle,
    notes_on_size,
)
from medxgan.evaluate.demands import (
    check_images,
    check_names,
    check_numbers,
    check_seed,
    judging_oracle,
)
from medxgan.evaluate.document import SCHEMA, fill, summaries, with_medians
from medxgan.evaluate.explained import MapFunction, has_encoder
from medxgan.evaluate.identity import SHOWN, identity_of, name_of_device
from medxgan.evaluate.parts import Parts
from medxgan.evaluate.passes import measure_codes, measure_negatives, score_all
from medxgan.evaluate.places import places, reasons_for_nulls
from medxgan.evaluate.positives import measure_positives
from medxgan.evaluate.realism import measure_realism
from medxgan.evaluate.redrawn import redrawn_classifier, untrained
from medxgan.evaluate.surrogate import surrogate_remarks, surrogate_section
from medxgan.evaluate.task import Progress, Task, images_at_once, silent
from medxgan.explain import METHODS, check_methods
from medxgan.explain.lig import STEPS
from medxgan.explain.scores import probability
from medxgan.explain.settings import DEFAULT_METHODS
from medxgan.explainer import Explainer
from medxgan.metrics.counterfactual import POSITIVE_FROM
from medxgan.types import Latent, Status

NOTHING_CALLED = "the classifier calls no image positive"


@dataclass(frozen=True)
class Evaluation:
    """What measuring found.

    Attributes:
        document: the content of ``metrics.json``; every value is one that JSON can hold.
        methods: attribution methods that were measured, own maps included.
        rows: of the data set, those images that the classifier calls positive ``[N]``.
        columns: place in ``metrics.json`` -> ``[N]``, one value for each of these images, NaN where
            the figure is not defined for it.
        films: C along the 11 frames of each of them, ``[N, 11]``.
        latent: their codes, from which all was drawn: z1 ``[N, d1]`` and z2 ``[N, d2]``.
        statuses: of the explanation of each of them.
        settings: what the figures depend on, by name: codes, seed, oracle, ...
    """

    document: dict[str, Any]
    methods: tuple[str, ...]
    rows: NDArray[np.int64]
    columns: Columns
    films: Tensor
    latent: Latent
    statuses: tuple[Status, ...]
    settings: dict[str, Any]


def evaluate(
    explainer: Explainer,
    data: Dataset,
    *,
    oracle: TorchClassifier | None = None,
    codes: int = 1000,
    positives_per_code: int = 3,
    methods: Iterable[str] = DEFAULT_METHODS,
    own_maps: Mapping[str, MapFunction] | None = None,
    steps: int = STEPS,
    seed: int = 12345,
    controls: bool = True,
    noise: bool = True,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure an explainer on a data set.

    Positives are the images that the classifier calls positive (score at least 0.5); none is left
    out for its status. A figure is ``{"value", "low", "high", "n", "n_missing"}``: a mean over
    images with its 95 % bootstrap interval, patients resampled as a whole. What cannot be computed
    has the value None and a ``reason``.

    Args:
        explainer: from ``medxgan.load``.
        data: images to explain, with lesion masks and healthy twins where there are any.
        oracle: an independent classifier as second judge; the bundle's own where None.
        codes: structure codes drawn from the prior, for the agreement of each class.
        positives_per_code: pathology codes drawn for each.
        methods: attributions to measure, names of ``medxgan.explain.METHODS``.
        own_maps: further ones, name -> function from a batch of explained images to their maps.
        steps: of latent integrated gradients and of integrated gradients.
        seed: of all that is drawn: codes, noise, controls.
        controls: measure changes and maps that know nothing beside ours?
        noise: measure whether maps stay under noise? Every image is explained three times more
            for it.
        folder: finished batches are kept in its ``parts/``, so that the same call goes on where it
            was interrupted, and takes seconds once all is measured. Own maps are told apart by
            name only.
        progress: told how far it is.

    Raises:
        ConfigError: an unknown method, a name taken twice, a number below 1, or such a seed.
        DataError: no images, none that the classifier calls positive, or images of another size or
            channel count than the explainer takes.
        ClassifierError: the oracle does not know the explained class, takes other images, or is the
            classifier itself.
        OutputError: the folder cannot be written, or holds another measuring; the sentence names
            what differs.
    """
    own = dict(own_maps or {})
    chosen = check_methods(methods)
    check_numbers(codes=codes, positives_per_code=positives_per_code, steps=steps)
    check_seed(seed)
    check_names(own)
    check_images(explainer, data)
    judge, judged_class = judging_oracle(explainer, oracle)
    redrawn, not_redrawn = _redrawn(explainer.classifier, seed)
    settings = {
        "oracle": None if judge is None else judge.fingerprint[:SHOWN],
        "methods": list(chosen),
        "own maps": list(own),
        "codes": codes,
        "positives per code": positives_per_code,
        "integration steps": steps,
        "inversion steps": explainer.inversion_steps,
        "controls": controls,
        "noise": noise,
        "seed": seed,
        "device": name_of_device(explainer.device),
        "images at once": images_at_once(explainer, data),
    }
    task = Task(
        explainer=explainer,
        data=data,
        oracle=None if judge is None else probability(judge, judged_class),
        methods=chosen,
        own_maps=own,
        steps=steps,
        seed=seed,
        redrawn=redrawn,
        untrained=untrained(explainer, seed) if controls and has_encoder(explainer) else None,
        controls=controls,
        noise=noise,
        parts=Parts(folder, identity_of(explainer, data, settings)),
        progress=progress or silent,
    )

    before, of_oracle = score_all(task)
    called = (before >= POSITIVE_FROM).numpy()
    prior = measure_codes(task, codes, positives_per_code)
    realism = measure_realism(task, called)
    negatives, positives = np.flatnonzero(~called), np.flatnonzero(called)
    rebuilt = measure_negatives(task, negatives, before)
    found = measure_positives(task, positives, before)

    groups = data.groups[positives].tolist()
    of_positives = summaries(found.columns, groups)
    of_both = summaries(
        joined(part for part in (rebuilt, found.reconstruction) if part),
        data.groups[np.concatenate([negatives, positives])].tolist(),
    )
    figures = summaries(prior, None) | realism | with_medians(of_positives, found.columns) | of_both
    reasons = reasons_for_nulls(task, found.skipped, not_redrawn)
    surrogate = surrogate_section(task, before)
    truth = truth_of(data, explainer.spec, explainer.target)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "n": len(data),
        "predictions": count_predictions(
            called, truth, 1, why_unknown(data, explainer.spec, explainer.target)
        ),
        "statuses": count_statuses(found.statuses),
        "surrogate": surrogate,
        "notes": [
            *surrogate_remarks(task, surrogate),
            *notes_on_size(found.columns, groups, data.groups.tolist()),
            *note_on_oracle(before, of_oracle),
        ],
        **fill(figures, reasons, places([*METHODS, *own])),
        **answer_sections(explainer, found.columns, figures, NOTHING_CALLED),
        "failed_maps": count_failed_maps(found.columns),
    }
    document["monotonicity"]["paths_of"] = "encoded positives"
    document["monotonicity_prior"]["paths_of"] = "prior samples"
    document["completeness"]["steps"] = steps
    document["controls"] |= compare_with_controls(found.columns, groups)._asdict()
    measured = tuple(name for name in (*chosen, *own) if name not in found.skipped)
    return Evaluation(
        document=document,
        methods=measured,
        rows=positives,
        columns=found.columns,
        films=found.films,
        latent=found.latent,
        statuses=found.statuses,
        settings=settings,
    )


def _redrawn(classifier: TorchClassifier, seed: int) -> tuple[TorchClassifier | None, str]:
    """The classifier drawn anew, or why it cannot be."""
    try:
        return redrawn_classifier(classifier, seed), ""
    except ClassifierError as fault:
        return None, str(fault)
