"""``medxgan fit-classifier``: from a data set to a classifier."""

from collections.abc import Callable

import torch

from medxgan.classifiers import Epoch, TorchClassifier, fit_classifier
from medxgan.data import Dataset
from medxgan.errors import ConfigError, DataError
from medxgan.networks.blocks import SIZES
from medxgan.types import ClassifierSpec

SMALLEST_SIZE = 8
CHANCE_BELOW = 0.6
"""Area under the ROC curve; guesses have 0.5, and small held-out sets scatter around that."""

_SIZES_IN_WORDS = f"{', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]}"


def check_size(size: int | None) -> None:
    """Refuse a size that ``medxgan train`` would refuse later.

    Raises:
        ConfigError: it is none of ``SIZES``.
    """
    if size is not None and size not in SIZES:
        raise ConfigError(f"--size must be {_SIZES_IN_WORDS} pixels, got {size}")


def size_note(data: Dataset) -> str | None:
    """What to tell of images whose own size can be learned from, but not explained."""
    if data.size in SIZES:
        return None
    return (
        f"the classifier will take images of {data.size} pixels, and medxgan train needs "
        f"{_SIZES_IN_WORDS}; give --size to explain it later"
    )


def chance_note(classifier: TorchClassifier) -> str | None:
    """What to tell of a classifier that has learned next to nothing, by its test images if any."""
    name = "test" if classifier.measured.get("test") else "validation"
    area = classifier.measured[name]["auc"]
    if not area < CHANCE_BELOW:
        return None
    return (
        f"hardly better than chance: AUC {area:.3f} on the {name} images, and guessing has 0.5; "
        "an explanation would show what a guess depends on, so check the labels, add images, or "
        "train for more epochs"
    )


def fit_on_dataset(
    data: Dataset,
    *,
    arch: str,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float | None,
    seed: int,
    device: torch.device,
    bf16: bool,
    data_name: str,
    on_epoch: Callable[[Epoch], None],
) -> TorchClassifier:
    """Fit a classifier to the labelled images of a data set, for images as they are there.

    It learns on ``train``, stops by ``val``, and is judged on ``test`` where that shows two
    classes; see `medxgan.classifiers.fit_classifier` for the arguments.

    Raises:
        DataError: there are no labelled images of at least two classes to learn from, or they are
            too small.
        ClassifierError: unknown architecture, or one that cannot take such images.
    """
    train, validation = data.select("train"), data.select("val")
    train.require_classes()
    if data.size < SMALLEST_SIZE:
        raise DataError(
            f"a classifier takes images of at least {SMALLEST_SIZE} pixels, got {data.size}; "
            "give a larger --size"
        )
    spec = ClassifierSpec(
        channels=1 if data.channels == 1 else 3, size=data.size, class_names=data.class_names
    )
    return fit_classifier(
        train,
        validation,
        judged_on(data),
        spec=spec,
        arch=arch,
        epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        device=device,
        bf16=bf16,
        data_name=data_name,
        on_epoch=on_epoch,
    )


def judged_on(data: Dataset) -> Dataset | None:
    """The labelled test images; None where they do not show two classes to tell apart."""
    try:
        test = data.select("test")
        test.require_classes()
    except DataError:
        return None
    return test


def epoch_text(epoch: Epoch) -> str:
    """What an epoch reached, in words.

    >>> epoch_text(Epoch(3, 0.51, 0.42, 0.875, best=True))
    'loss 0.510, validation loss 0.420 (best so far), accuracy 0.875'
    """
    best = " (best so far)" if epoch.best else ""
    return (
        f"loss {epoch.train_loss:.3f}, validation loss {epoch.validation_loss:.3f}{best}, "
        f"accuracy {epoch.validation_accuracy:.3f}"
    )


MEASURED_HEADER = ("", "images", "accuracy", "balanced accuracy", "AUC")


def measured_rows(classifier: TorchClassifier) -> list[tuple[str, ...]]:
    """Rows of a table under ``MEASURED_HEADER``: one a set that the classifier was judged on."""
    rows = []
    for name in ("validation", "test"):
        figures = classifier.measured.get(name)
        if isinstance(figures, dict):
            values = (figures[key] for key in ("accuracy", "balanced_accuracy", "auc"))
            rows.append((name, str(figures["n"]), *(f"{value:.3f}" for value in values)))
    return rows
