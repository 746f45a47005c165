"""``medxgan distill``: from a model and a data set to a surrogate of the model."""

import torch

from medxgan.classifiers import TorchClassifier
from medxgan.classifiers.distill import OnEpoch, distill
from medxgan.classifiers.distill_settings import DistillEpoch, DistillSettings
from medxgan.classifiers.surrogate import HELD_OUT
from medxgan.data import Dataset
from medxgan.errors import DataError
from medxgan.image_sizes import SIZES, in_words, what_to_write

LIKENESS_HEADER = (
    "",
    "images",
    "called positive",
    "agreement",
    "balanced agreement",
    "difference of scores",
    "correlation",
)


def size_note(model: TorchClassifier) -> str | None:
    """What to tell of a model whose surrogate medXGAN cannot be trained against."""
    if model.spec.size in SIZES:
        return None
    return (
        f"the model is described for images of {model.spec.size} pixels, and so will its surrogate "
        f"be; medxgan train needs {in_words()}: set {what_to_write(model.spec.taken_size)} in the "
        "model's specification"
    )


def distill_on_dataset(
    model: TorchClassifier,
    data: Dataset,
    *,
    target: int,
    settings: DistillSettings,
    device: torch.device,
    data_name: str,
    on_epoch: OnEpoch = lambda epoch: None,
) -> TorchClassifier:
    """Distil a model on the images of a data set; labels are not needed.

    It is asked about ``train``, varied; stops by ``val``; surrogate and model are compared on
    ``test``, or on ``val`` where there are no test images. See ``medxgan.classifiers.distill``.

    Raises:
        DataError: there are no images to train on or to hold out, or they do not fit the model.
        ClassifierError: the model cannot be distilled.
    """
    return distill(
        model,
        data.select("train", labelled=False),
        data.select("val", labelled=False),
        _test_images(data),
        target=target,
        settings=settings,
        device=device,
        data_name=data_name,
        on_epoch=on_epoch,
    )


def _test_images(data: Dataset) -> Dataset | None:
    try:
        return data.select("test", labelled=False)
    except DataError:
        return None


def epoch_text(epoch: DistillEpoch) -> str:
    """What an epoch reached, in words.

    >>> epoch_text(DistillEpoch(3, 0.51, 0.42, 0.875, best=True, queries=1200))
    'loss 0.510, validation loss 0.420 (best so far), agreement 0.875, 1200 queries'
    """
    best = " (best so far)" if epoch.best else ""
    return (
        f"loss {epoch.train_loss:.3f}, validation loss {epoch.validation_loss:.3f}{best}, "
        f"agreement {epoch.agreement:.3f}, {epoch.queries} queries"
    )


def likeness_rows(surrogate: TorchClassifier) -> list[tuple[str, ...]]:
    """Rows under ``LIKENESS_HEADER``: one a class, of two that exclude each other only the last."""
    classes = dict(surrogate.measured[HELD_OUT]["classes"])
    if surrogate.spec.outputs == 2 and surrogate.spec.output != "multilabel_logits":
        del classes[surrogate.spec.class_names[0]]
    keys = ("agreement", "balanced_agreement", "score_difference", "correlation")
    return [
        (
            name,
            str(figures["n"]),
            str(figures["called_positive"]),
            *("-" if figures[key] is None else f"{figures[key]:.3f}" for key in keys),
        )
        for name, figures in classes.items()
    ]
