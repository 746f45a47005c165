"""What must hold before anything is measured."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from medxgan.classifiers import TorchClassifier, fingerprint_of
from medxgan.classifiers.kinds import OPENED_AS_MODULE
from medxgan.data import Dataset
from medxgan.data.split import SPLIT_NAMES
from medxgan.errors import ClassifierError, ConfigError, DataError
from medxgan.evaluate.surrogate import models_of
from medxgan.explain import METHODS
from medxgan.explainer import Explainer
from medxgan.image_sizes import what_to_write
from medxgan.metrics.counterfactual import POSITIVE_FROM

MOST_SEED = 2**32 - 1


def judging_oracle(
    explainer: Explainer, oracle: TorchClassifier | None
) -> tuple[TorchClassifier | None, int]:
    """The second judge, and the index of its class with the name of the explained one.

    Args:
        explainer: its own oracle is taken where none is given.
        oracle: a classifier that never gave feedback.

    Raises:
        ClassifierError: it does not know the explained class, has the classifier's weights, or is
            described for images of another size.
    """
    judge = oracle or explainer.oracle
    if judge is None:
        return None, explainer.target
    for model in models_of(explainer.classifier):
        if _is_same(judge, model):
            raise ClassifierError(
                f"the oracle has the same weights as the explained classifier, "
                f"{model.fingerprint[:12]}, and would agree with it in everything; give one that "
                "was trained on its own, or none"
            )
    size = explainer.spec.size
    if judge.spec.size != size:
        raise ClassifierError(
            f"the explained images have {size} pixels, and the oracle is described for "
            f"{judge.spec.size}; set {what_to_write(judge.spec.taken_size, size)} in its "
            "specification"
        )
    judge.to(explainer.device)
    return check_same_answer(explainer, judge), _judged(explainer, judge)


def _is_same(judge: TorchClassifier, model: TorchClassifier) -> bool:
    """Have both the same weights, or are they the same file or function?"""
    if judge.kind not in OPENED_AS_MODULE:
        return judge.fingerprint == model.fingerprint
    # With the model's own description: other class names do not make it another model.
    return fingerprint_of(judge.module, model.spec) == model.fingerprint


def check_same_answer(explainer: Explainer, judge: TorchClassifier) -> TorchClassifier:
    """The judge; one of a value counts as positive what the explained model does.

    Raises:
        ClassifierError: one of the two gives a value and the other classes, or they give values of
            different ranges.
    """
    spec, judging = explainer.spec, judge.spec
    if (spec.value_range is None) != (judging.value_range is None):
        raise ClassifierError(
            f"the explained model has the output '{spec.output}', the oracle '{judging.output}'; "
            "give an oracle that answers the same question"
        )
    if spec.value_range != judging.value_range:
        raise ClassifierError(
            f"the value of the explained model has the range {list(spec.value_range or ())}, that "
            f"of the oracle {list(judging.value_range or ())}; give one of the same scale"
        )
    return judge if spec.value_range is None else judge.with_threshold(spec.positive_from)


def _judged(explainer: Explainer, judge: TorchClassifier) -> int:
    """Index of what the oracle judges; a value needs no name to be the same."""
    if judge.spec.value_range is not None:
        return 0
    return judge.spec.target_index(explainer.bundle.target_name)


def check_numbers(**numbers: int) -> None:
    """Refuse numbers below 1; the keyword names are used in the sentence.

    Raises:
        ConfigError: one of them is.

    >>> check_numbers(codes=1)
    """
    for name, value in numbers.items():
        if value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}")


def check_seed(seed: int) -> None:
    """Refuse a seed that a random generator does not take.

    Raises:
        ConfigError: it is negative or too large.

    >>> check_seed(12345)
    """
    if not 0 <= seed <= MOST_SEED:
        raise ConfigError(f"seed must be 0 to {MOST_SEED}, got {seed}")


def check_names(own_maps: Iterable[str]) -> None:
    """Refuse names of own maps that are taken.

    Raises:
        ConfigError: a method of this program has that name.

    >>> check_names(["mine"])
    """
    for name in own_maps:
        if name in METHODS:
            raise ConfigError(f"'{name}' is a method of this program; give yours another name")


def check_images(explainer: Explainer, data: Dataset) -> None:
    """Refuse images that the explainer does not take, or none at all.

    Raises:
        DataError: another size, another number of channels, or no image.
    """
    data.check_fits(explainer.spec)
    if len(data) == 0:
        raise DataError("measuring needs at least one image, got none")


def check_positives(explainer: Explainer, data: Dataset, scores: Tensor) -> None:
    """Refuse images none of which the classifier calls positive: nothing could be explained.

    Args:
        explainer: names the explained class.
        data: the images.
        scores: C of each of them, ``[N]``.

    Raises:
        DataError: all are below one half; the sentence says how many are labelled positive.
    """
    if bool((scores >= POSITIVE_FROM).any()):
        return
    name = explainer.bundle.target_name
    labelled = int(np.count_nonzero(data.labels == explainer.target))
    others = [SPLIT_NAMES[split] for split in np.setdiff1d(data.table.split, data.split)]
    remedy = f"give images of that class{' that it recognises' if labelled else ''}"
    if others:
        remedy = f"choose another --split ({', '.join(others)} or all), or {remedy}"
    raise DataError(
        f"the classifier calls none of the {len(data)} images '{name}' ({labelled} are labelled "
        f"so), and only such images are explained; {remedy}"
    )
