"""``evaluate``: from an explainer and a data set to the content of ``metrics.json``."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medxgan.classifiers import TorchClassifier
from medxgan.data import Dataset
from medxgan.errors import ConfigError, DataError
from medxgan.evaluate.columns import joined
from medxgan.evaluate.document import SCHEMA, fill, places, summaries, with_medians
from medxgan.evaluate.explained import MapFunction
from medxgan.evaluate.passes import Task, measure_negatives, measure_positives, score_all
from medxgan.evaluate.prior import prior_columns
from medxgan.evaluate.progress import Progress, silent
from medxgan.evaluate.reasons import reasons_for_nulls
from medxgan.explain import METHODS, check_methods
from medxgan.explain.lig import STEPS
from medxgan.explain.scores import Score, probability
from medxgan.explain.settings import DEFAULT_METHODS
from medxgan.explainer import Explainer
from medxgan.metrics.counterfactual import POSITIVE_FROM


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
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure an explainer on a data set.

    Positives are the images that the classifier calls positive (score at least 0.5); failures
    among them count as failures. A figure is ``{"value", "low", "high", "n", "n_missing"}``: a mean
    over images with its 95 % bootstrap interval, patients resampled as a whole. What cannot be
    computed has the value None and a ``reason``.

    Args:
        explainer: from ``medxgan.load``.
        data: images to explain, with lesion masks and healthy twins where there are any.
        oracle: an independent classifier as second judge; the bundle's own where None.
        codes: structure codes drawn from the prior, for the agreement of each class.
        positives_per_code: pathology codes drawn for each.
        methods: attributions to hold against the masks, names of ``medxgan.explain.METHODS``.
        own_maps: further ones, name -> function from a batch of explained images to their maps.
        steps: of latent integrated gradients and of integrated gradients.
        seed: of the codes from the prior.
        progress: told how far it is.

    Returns:
        The content of ``metrics.json``; every value is one that JSON can hold.

    Raises:
        ConfigError: an unknown method, a name taken twice, or a number below 1.
        DataError: no images, or images of another size or channel count than the explainer takes.
        ClassifierError: the oracle does not know the explained class, or takes other images.
    """
    own = dict(own_maps or {})
    chosen = check_methods(methods)
    _check_numbers(codes=codes, positives_per_code=positives_per_code, steps=steps)
    _check_names(own)
    _check_images(explainer, data)
    second = _oracle_score(explainer, oracle)
    task = Task(explainer, data, second, chosen, own, steps, progress or silent)

    prior = prior_columns(
        explainer,
        codes=codes,
        positives_per_code=positives_per_code,
        seed=seed,
        at_once=task.at_once,
        progress=task.progress,
    )
    before = score_all(task)
    called = (before >= POSITIVE_FROM).numpy()
    negatives, positives = np.flatnonzero(~called), np.flatnonzero(called)
    rebuilt = measure_negatives(task, negatives, before)
    found = measure_positives(task, positives, before)

    of_positives = summaries(found.columns, data.groups[positives].tolist())
    both_rows = np.concatenate([negatives, positives])
    of_both = summaries(
        joined(part for part in (rebuilt, found.reconstruction) if part),
        data.groups[both_rows].tolist(),
    )
    figures = summaries(prior, None) | with_medians(of_positives, found.columns) | of_both
    reasons = reasons_for_nulls(task, len(positives), found.skipped)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "n": len(data),
        "predictions": count_predictions(called, data.labels, explainer.target),
        "statuses": found.statuses,
        **fill(figures, reasons, places([*METHODS, *own])),
    }
    document["monotonicity"]["paths_of"] = "encoded positives"
    document["monotonicity_prior"]["paths_of"] = "prior samples"
    document["completeness"]["steps"] = steps
    return document


def count_predictions(
    called: NDArray[np.bool_], labels: NDArray[np.int64], target: int
) -> dict[str, int | str | None]:
    """How the classifier's answers compare with the labels, in images.

    Args:
        called: what the classifier calls positive, ``[N]``.
        labels: class indices ``[N]``, -1 = unlabelled.
        target: index of the explained class.

    >>> counts = count_predictions(np.array([True, True, False]), np.array([1, 0, 1]), target=1)
    >>> counts["detected"], counts["false_alarms"], counts["missed"]
    (1, 1, 1)
    """
    labelled, positive = labels >= 0, labels == target
    counts: dict[str, int | str | None] = {
        "called_positive": int(called.sum()),
        "called_negative": int((~called).sum()),
        "unlabelled": int((~labelled).sum()),
    }
    if not labelled.any():
        unknown = dict.fromkeys(("detected", "missed", "false_alarms"))
        return {**counts, **unknown, "reason": "no image is labelled"}
    return {
        **counts,
        "detected": int((called & positive).sum()),
        "missed": int((~called & positive).sum()),
        "false_alarms": int((called & labelled & ~positive).sum()),
    }


def _oracle_score(explainer: Explainer, oracle: TorchClassifier | None) -> Score | None:
    """The second judge's score of the explained class, found by its name."""
    judge = oracle or explainer.oracle
    if judge is None:
        return None
    return probability(
        judge.to(explainer.device), judge.spec.target_index(explainer.bundle.target_name)
    )


def _check_numbers(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def _check_names(own_maps: Mapping[str, MapFunction]) -> None:
    for name in own_maps:
        if name in METHODS:
            raise ConfigError(f"'{name}' is a method of this program; give yours another name")


def _check_images(explainer: Explainer, data: Dataset) -> None:
    spec = explainer.spec
    if (data.size, data.channels) != (spec.size, spec.channels):
        raise DataError(
            f"the bundle takes images of {spec.size} pixels and {spec.channels} channel(s), the "
            f"data set has {data.size} and {data.channels}; open it with that size"
        )
    if len(data) == 0:
        raise DataError("measuring needs at least one image, got none")
