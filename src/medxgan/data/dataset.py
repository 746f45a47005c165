"""Labelled images: one table of stored arrays, and views of its rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medxgan.data.intensity import Limits, limits_note, to_signed
from medxgan.data.labels import UNLABELLED
from medxgan.data.origin import Origin
from medxgan.data.presentation import Spacing
from medxgan.data.split import SPLIT_NAMES
from medxgan.errors import DataError, nearest
from medxgan.types import ClassifierSpec

SplitName = Literal["train", "val", "test", "all"]
Indices = Sequence[int] | NDArray[np.integer[Any]] | Tensor | slice


@dataclass(frozen=True, eq=False)
class Table:
    """What is stored, M rows, once in memory, shared by all views.

    Attributes:
        pixels: ``[M, C, S, S]`` uint8, uint16 or float32.
        limits: stored values that become -1 and +1.
        labels: int64 ``[M]``, index into ``class_names``; -1 = unlabelled or ambiguous.
        class_names: the healthy class first where there is one.
        split: uint8 ``[M]``: 0 train, 1 val, 2 test.
        groups: ``[M]`` text, the patient or source; never in two splits that we made.
        names: ``[M]`` text, the file or row an image came from.
        masks: bool ``[M, S, S]``, true on the lesion; ``None`` where no image has one.
        has_mask: bool ``[M]``: false where the lesion is unknown (its mask is then empty).
        twins: like ``pixels``, the healthy twin of each image; ``None`` where there are none.
        values: float32 ``[M]``, a number that a model is to give, NaN = unknown; ``None`` where no
            image has one.
        spacing: float32 ``[M, 2]``, distance of the rows and columns of each image in the patient,
            mm, NaN = unknown; ``None`` where it is known of no image.
        origins: ``[M]`` files that the images lie in; ``None`` where they lie in none of their own.
    """

    pixels: NDArray[Any]
    limits: Limits
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    split: NDArray[np.uint8]
    groups: NDArray[np.str_]
    names: NDArray[np.str_]
    masks: NDArray[np.bool_] | None
    has_mask: NDArray[np.bool_]
    twins: NDArray[Any] | None
    values: NDArray[np.float32] | None = None
    spacing: NDArray[np.float32] | None = None
    origins: tuple[Origin, ...] | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of a table. Indices count within the view; only what is asked for becomes float.

    Attributes:
        table: the stored arrays, never copied.
        rows: int64 ``[N]``, the rows of the table in this view.
        notes: what the user must be told once: splits made, images resized, ...

    >>> from medxgan.data import build_dataset
    >>> pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 1, 8, 8)
    >>> data = build_dataset(pixels, labels=[0, 1, 1, -1], split=[0, 0, 2, 2])
    >>> len(data), data.channels, data.size, data.class_names
    (4, 1, 8, ('negative', 'positive'))
    >>> test = data.select("test")
    >>> test.labels, tuple(test.images([0]).shape)
    (array([1]), (1, 1, 8, 8))
    """

    table: Table
    rows: NDArray[np.int64]
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def channels(self) -> int:
        """C: 1 grey, 3 colour."""
        return int(self.table.pixels.shape[1])

    @property
    def size(self) -> int:
        """Height and width, pixels."""
        return int(self.table.pixels.shape[2])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names by index; empty where nothing is labelled."""
        return self.table.class_names

    def check_fits(self, spec: ClassifierSpec) -> None:
        """Refuse images that a bundle for classifiers of this kind does not take.

        Raises:
            DataError: another size, or another number of channels.
        """
        if (self.size, self.channels) != (spec.size, spec.channels):
            raise DataError(
                f"the bundle takes images of {spec.size} pixels and {spec.channels} channel(s), "
                f"the data set has {self.size} and {self.channels}; open it with that size"
            )

    @property
    def limits(self) -> Limits:
        """Stored values that became -1 and +1; hand them to `read_image` for 16-bit images."""
        return self.table.limits

    def on_scale(self, limits: Limits) -> "Dataset":
        """A 16-bit data set with these limits in place of those found in it; others as they are."""
        if self.table.pixels.dtype != np.uint16:
            return self
        guessed = limits_note(self.table.pixels.dtype, self.limits)
        return replace(
            self,
            table=replace(self.table, limits=limits),
            notes=tuple(note for note in self.notes if note not in guessed),
        )

    @property
    def labels(self) -> NDArray[np.int64]:
        """``[N]``; -1 = unlabelled or ambiguous."""
        return self.table.labels[self.rows]

    @property
    def values(self) -> Tensor | None:
        """A number for each image, such as its severity: float32 ``[N]``, NaN = unknown.

        ``None`` where the data set has none. Labels, where there are some, stand beside them.
        """
        values = self.table.values
        return None if values is None else torch.from_numpy(values[self.rows])

    @property
    def spacings(self) -> list[Spacing | None]:
        """Distance of the rows and columns of each image in the patient, mm; None = unknown.

        >>> from medxgan.data import build_dataset
        >>> pixels = np.eye(8)[None, None].repeat(2, 0)
        >>> build_dataset(pixels, [0, 1], spacing=np.array([[0.5, 0.5], [np.nan] * 2])).spacings
        [(0.5, 0.5), None]
        """
        if self.table.spacing is None:
            return [None] * len(self)
        pairs = self.table.spacing[self.rows].tolist()
        return [None if np.isnan(row) else (row, column) for row, column in pairs]

    @property
    def origins(self) -> list[Origin | None]:
        """``[N]`` file that each image lies in; None of images out of an archive."""
        if self.table.origins is None:
            return [None] * len(self)
        return [self.table.origins[row] for row in self.rows.tolist()]

    @property
    def groups(self) -> NDArray[np.str_]:
        """``[N]`` patients or sources."""
        return self.table.groups[self.rows]

    @property
    def names(self) -> NDArray[np.str_]:
        """``[N]`` names of the images; a file's path within its folder, slashes included."""
        return self.table.names[self.rows]

    @property
    def split(self) -> NDArray[np.uint8]:
        """``[N]``: 0 train, 1 val, 2 test."""
        return self.table.split[self.rows]

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """``[N]``: is it known where the lesion is (nowhere, if the mask is empty)?"""
        return self.table.has_mask[self.rows]

    @property
    def has_twins(self) -> bool:
        """Does every image have a healthy twin?"""
        return self.table.twins is not None

    def images(self, indices: Indices = slice(None)) -> Tensor:
        """Images at ``indices`` of this view: float32 ``[n, C, S, S]`` in [-1, 1]."""
        return to_signed(self.table.pixels[self._rows(indices)], self.table.limits)

    def mask_images(self, indices: Indices = slice(None)) -> tuple[Tensor, Tensor]:
        """Lesion masks, bool ``[n, S, S]``, and whether each is known, bool ``[n]``."""
        rows = self._rows(indices)
        if self.table.masks is None:
            masks = np.zeros((len(rows), self.size, self.size), dtype=np.bool_)
        else:
            masks = self.table.masks[rows]
        return torch.from_numpy(masks), torch.from_numpy(self.table.has_mask[rows])

    def twin_images(self, indices: Indices = slice(None)) -> Tensor:
        """Healthy twins: float32 ``[n, C, S, S]`` in [-1, 1]; a healthy image is its own twin.

        Raises:
            DataError: the data set has no twins.
        """
        if self.table.twins is None:
            raise DataError("the data set has no healthy twins; only phantoms have them")
        return to_signed(self.table.twins[self._rows(indices)], self.table.limits)

    def select(self, split: SplitName, *, labelled: bool = True) -> "Dataset":
        """The view of one split, or of ``"all"``; only its labelled images unless told.

        A GAN may train on unlabelled images too (``labelled=False``); whatever compares with
        labels may not. Where no image has a class, those with a value count as labelled.

        Raises:
            DataError: there are none, or no such split.
        """
        if split != "all" and split not in SPLIT_NAMES:
            raise DataError(f"no split is named '{split}'; {nearest(split, (*SPLIT_NAMES, 'all'))}")
        keep = np.ones(len(self), dtype=np.bool_)
        if split != "all":
            keep &= self.split == SPLIT_NAMES.index(split)
        if labelled:
            keep &= self._labelled()
        if not keep.any():
            kind = ("labelled " if labelled else "") + ("" if split == "all" else f"'{split}' ")
            raise DataError(
                f"the data set has no {kind}images among {len(self)} from "
                f"{len(np.unique(self.groups))} group(s); add some, or change the split"
            )
        return self.take(np.flatnonzero(keep))

    def with_values(self) -> "Dataset":
        """The view of the images whose value is known, for whatever learns or judges a number.

        Raises:
            DataError: there are none.

        >>> from medxgan.data import build_dataset
        >>> pixels = np.eye(8)[None, None].repeat(3, 0)
        >>> data = build_dataset(pixels, labels=[0, 1, 1], values=[0.0, np.nan, 2.5])
        >>> data.with_values().values
        tensor([0.0000, 2.5000])
        """
        values = self.values
        known = torch.zeros(len(self), dtype=torch.bool) if values is None else values.isfinite()
        if not known.any():
            raise DataError(
                f"none of the {len(self)} images has a value; give one to each, in a column "
                "'value' of a table or an array 'values' of an archive"
            )
        return self.take(known.nonzero().flatten())

    def take(self, indices: Indices) -> "Dataset":
        """The view of some images of this view, in the order given."""
        return replace(self, rows=self._rows(indices))

    def class_counts(self) -> dict[str, int]:
        """Class name -> number of images of this view.

        >>> from medxgan.data import build_dataset
        >>> data = build_dataset(np.eye(8)[None, None].repeat(3, 0), labels=[0, 1, 1])
        >>> data.class_counts()
        {'negative': 1, 'positive': 2}
        """
        counts = Counter(self.labels.tolist())
        return {name: counts[index] for index, name in enumerate(self.class_names)}

    def require_classes(self, minimum: int = 2) -> None:
        """Refuse a view that cannot teach a classifier anything.

        Raises:
            DataError: images of fewer than ``minimum`` classes.
        """
        counts = {name: count for name, count in self.class_counts().items() if count}
        if len(counts) < minimum:
            came = ", ".join(f"{count} '{name}'" for name, count in counts.items())
            raise DataError(
                f"images of at least {minimum} classes are needed, got {came or 'no labelled ones'}"
                "; add images of the other class"
            )

    def _labelled(self) -> NDArray[np.bool_]:
        """Which images ``[N]`` have a class, or a value where the data set knows no classes."""
        values = self.table.values
        known: NDArray[np.bool_] = self.table.labels != UNLABELLED
        if values is not None and not known.any():
            known = np.isfinite(values)
        return np.asarray(known[self.rows])

    def _rows(self, indices: Indices) -> NDArray[np.int64]:
        """Rows of the table for indices of this view."""
        if isinstance(indices, slice):
            return self.rows[indices]
        if isinstance(indices, Tensor):
            indices = indices.cpu().numpy()
        return self.rows[np.asarray(indices, dtype=np.int64)]
