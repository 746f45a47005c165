"""``medxgan fit-classifier``: from a data set to a classifier, or to a model of a value."""

from collections.abc import Callable

import torch

from medxgan.classifiers import Epoch, TorchClassifier, fit_classifier, read_spec
from medxgan.data import Dataset
from medxgan.errors import ConfigError, DataError
from medxgan.fitted_answer import CLASSES, Answer
from medxgan.image_sizes import SIZES, in_words

SMALLEST_SIZE = 8
CHANCE_BELOW = 0.6
"""Area under the ROC curve; guesses have 0.5, and small held-out sets scatter around that."""

UNEXPLAINED_BELOW = 0.2
"""R²; a constant has 0."""


def check_size(size: int | None) -> None:
    """Refuse a size that ``medxgan train`` would refuse later.

    Raises:
        ConfigError: it is none of ``SIZES``.
    """
    if size is not None and size not in SIZES:
        raise ConfigError(f"--size must be {in_words()} pixels, got {size}")


def size_note(data: Dataset) -> str | None:
    """What to tell of images whose own size can be learned from, but not explained."""
    if data.size in SIZES:
        return None
    return (
        f"the classifier will take images of {data.size} pixels, and medxgan train needs "
        f"{in_words()}; give --size to explain it later"
    )


def chance_note(classifier: TorchClassifier) -> str | None:
    """What to tell of a classifier that has learned next to nothing, by its test images if any."""
    name = "test" if classifier.measured.get("test") else "validation"
    if classifier.spec.output == "value":
        share = classifier.measured[name]["r2"]
        if share >= UNEXPLAINED_BELOW:
            return None
        return (
            f"hardly better than a constant: R² {share:.3f} on the {name} images, and the mean of "
            "all has 0; an explanation would show what a guess depends on, so check the "
            "values, add images, or train for more epochs"
        )
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
    answer: Answer = CLASSES,
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

    It learns on ``train``, stops by ``val``, and is judged on ``test`` where that shows two classes
    or values; ``answer`` comes from ``choose_answer``, and `medxgan.classifiers.fit_classifier`
    says what the other arguments are.

    Raises:
        DataError: there are no labelled images of at least two classes to learn from, no values of
            which two differ, or the images are too small.
        ClassifierError: unknown architecture, or one that cannot take such images; a range of the
            value that does not rise, or a threshold outside it.
    """
    valued = answer.output == "value"
    if valued:
        train, validation = (
            data.select(split, labelled=False).with_values() for split in ("train", "val")
        )
    else:
        train, validation = data.select("train"), data.select("val")
        train.require_classes()
    if data.size < SMALLEST_SIZE:
        raise DataError(
            f"a classifier takes images of at least {SMALLEST_SIZE} pixels, got {data.size}; "
            "give a larger --size"
        )
    spec = read_spec(
        {
            "channels": 1 if data.channels == 1 else 3,
            "size": data.size,
            "output": answer.output,
            "class_names": (answer.name,) if valued else data.class_names,
            "value_range": answer.value_range,
            "positive_from": answer.positive_from,
        }
    )
    return fit_classifier(
        train,
        validation,
        judged_on(data, valued),
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


def judged_on(data: Dataset, valued: bool = False) -> Dataset | None:
    """The labelled test images; None where they do not show two classes, or values, to tell."""
    try:
        if valued:
            test = data.select("test", labelled=False).with_values()
            values = test.values
            return test if values is not None and bool((values != values[0]).any()) else None
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
        f"{epoch.figure} {epoch.validation_figure:.3f}"
    )


MEASURED = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "r2": "R²",
    "mae": "mean error",
    "spearman": "Spearman",
}


def measured_header(classifier: TorchClassifier) -> tuple[str, ...]:
    """Heads of the columns of ``measured_rows``."""
    known = classifier.measured["validation"]
    return ("", "images", *(words for key, words in MEASURED.items() if key in known))


def measured_rows(classifier: TorchClassifier) -> list[tuple[str, ...]]:
    """Rows of a table: one a set that the classifier was judged on."""
    rows = []
    for name in ("validation", "test"):
        figures = classifier.measured.get(name)
        if isinstance(figures, dict):
            values = (figures[key] for key in MEASURED if key in figures)
            rows.append((name, str(figures["n"]), *(f"{value:.3f}" for value in values)))
    return rows
