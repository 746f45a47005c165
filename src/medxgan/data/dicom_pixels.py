"""DICOM's grey scale and colour pipelines, as pure functions on arrays.

The order is that of the standard (PS3.4 N.2, PS3.3 C.11.1, C.11.2, C.7.6.3.1)::

    stored values -> modality LUT, or rescale slope and intercept -> VOI LUT, or window
                  -> inverted where MONOCHROME1 -> 0 (black) to 1 (white)

Pixels that only pad the image to a rectangle (PS3.3 C.7.5.1.1.2) are black in the end.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medxgan.data.presentation import Window

Shown = NDArray[np.float32]
"""Pixels from 0 (black) to 1 (white)."""


class Lut(NamedTuple):
    """A lookup table: ``entries`` ``[n]`` for the inputs ``first``, ``first`` + 1, ...

    ``bits`` is the depth of its outputs: 2^bits - 1 is the greatest that they can be.
    """

    first: int
    entries: NDArray[Any]
    bits: int


class Rescale(NamedTuple):
    """From stored values to the units of the modality."""

    slope: float
    intercept: float


class FileWindow(NamedTuple):
    """A window and the function that goes with it: LINEAR, LINEAR_EXACT or SIGMOID."""

    window: Window
    function: str = "LINEAR"


class Span(NamedTuple):
    """The least and greatest value shown, in the units of the modality, for want of a window."""

    low: float
    high: float


class Padding(NamedTuple):
    """The stored values, both ends included, that are no part of the image."""

    low: float
    high: float


class GreyScale(NamedTuple):
    """All that the pipeline of a grey image needs to know."""

    modality: Lut | Rescale | None
    voi: Lut | FileWindow | Span
    inverted: bool = False
    padding: Padding | None = None


def show_grey(stored: NDArray[Any], scale: GreyScale) -> Shown:
    """Stored values of any shape -> 0 to 1.

    >>> scale = GreyScale(Rescale(2, -10), Span(0, 8), inverted=True, padding=Padding(99, 99))
    >>> show_grey(np.array([5, 6, 9, 20, 99]), scale)
    array([1.  , 0.75, 0.  , 0.  , 0.  ], dtype=float32)
    """
    with np.errstate(over="ignore"):  # of absurd values, which end at black or white
        values = to_modality(stored, scale.modality)
        match scale.voi:
            case Lut() as lut:
                shown = look_up(values, lut) / (2.0**lut.bits - 1)
            case FileWindow(window, function):
                shown = WINDOW_FUNCTIONS[function](values.astype(np.float64), window)
            case Span(low, high):
                shown = stretch(values, low, high)
    shown = np.clip(shown, 0, 1)
    if scale.inverted:
        shown = 1 - shown
    if scale.padding is not None:
        shown = np.where(_is_padding(stored, scale.padding), 0, shown)
    return np.asarray(shown, dtype=np.float32)


def to_modality(stored: NDArray[Any], modality: Lut | Rescale | None) -> NDArray[Any]:
    """Stored values -> those of the modality (PS3.3 C.11.1); unchanged where nothing is said.

    >>> to_modality(np.array([0, 1024]), Rescale(1, -1024))
    array([-1024.,     0.])
    """
    match modality:
        case Lut() as lut:
            return look_up(stored, lut)
        case Rescale(slope, intercept):
            return np.asarray(stored.astype(np.float64) * slope + intercept)
        case None:
            return stored


def look_up(values: NDArray[Any], lut: Lut) -> NDArray[Any]:
    """Values through a table; below and beyond it, its first and last entry (PS3.3 C.11.1.1.1).

    >>> look_up(np.array([-7, 10, 11.6, 99]), Lut(10, np.array([3, 5, 8]), bits=4))
    array([3, 3, 8, 8])
    """
    places = np.rint(values.astype(np.float64) - lut.first)
    return np.asarray(lut.entries[np.clip(places, 0, len(lut.entries) - 1).astype(np.intp)])


def window_linear(values: NDArray[Any], window: Window) -> NDArray[Any]:
    """The function LINEAR (PS3.3 C.11.2.1.2.1), for a width of at least 1.

    ``width`` is the number of whole values from black to white: with a width of 1, values up to
    ``centre`` - 1/2 are black, all others white. Below that DICOM has no such function, and the
    values are shown as by `window_linear_exact`.

    >>> window_linear(np.array([-160.0, 39.5, 239.0]), Window(40, 400))
    array([0. , 0.5, 1. ])
    """
    centre, width = window
    if width < 1:
        return window_linear_exact(values, window)
    if width == 1:
        return np.asarray(values > centre - 0.5, dtype=np.float64)
    return np.asarray(((values - (centre - 0.5)) / (width - 1) + 0.5).clip(0, 1))


def window_linear_exact(values: NDArray[Any], window: Window) -> NDArray[Any]:
    """The function LINEAR_EXACT (PS3.3 C.11.2.1.3.2), for a width above 0.

    >>> window_linear_exact(np.array([-160.0, 40.0, 240.0]), Window(40, 400))
    array([0. , 0.5, 1. ])
    """
    centre, width = window
    return np.asarray(((values - centre) / width + 0.5).clip(0, 1))


def window_sigmoid(values: NDArray[Any], window: Window) -> NDArray[Any]:
    """The function SIGMOID (PS3.3 C.11.2.1.3.1): soft ends, 1/2 at the centre.

    >>> window_sigmoid(np.array([40.0, 140.0]), Window(40, 400)).round(4)
    array([0.5   , 0.7311])
    """
    centre, width = window
    exponent = (-4 * (values - centre) / width).clip(-500, 500)
    return np.asarray(1 / (1 + np.exp(exponent)))


WINDOW_FUNCTIONS: dict[str, Callable[[NDArray[Any], Window], NDArray[Any]]] = {
    "LINEAR": window_linear,
    "LINEAR_EXACT": window_linear_exact,
    "SIGMOID": window_sigmoid,
}


def stretch(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """``low`` to 0 and ``high`` to 1; all 0 where they are the same.

    >>> stretch(np.array([10.0, 15.0, 20.0]), 10, 20)
    array([0. , 0.5, 1. ])
    """
    if not high > low:
        return np.zeros(values.shape)
    # halves, for the whole difference of absurd values may not fit
    halves = values.astype(np.float64) / 2 - low / 2
    return np.asarray((halves / (high / 2 - low / 2)).clip(0, 1))


def value_span(
    stored: NDArray[Any], modality: Lut | Rescale | None, padding: Padding | None
) -> Span | None:
    """The least and greatest modality value that is no padding; None where all is padding.

    >>> value_span(np.array([3, 4, 99]), Rescale(-1, 0), Padding(99, 99))
    Span(low=-4.0, high=-3.0)
    """
    kept = stored if padding is None else stored[~_is_padding(stored, padding)]
    if not kept.size:
        return None
    values = to_modality(np.array([kept.min(), kept.max()]), modality)
    if isinstance(modality, Lut):  # need not rise
        values = to_modality(kept, modality)
    return Span(float(values.min()), float(values.max()))


def show_palette(stored: NDArray[Any], palette: tuple[Lut, Lut, Lut]) -> Shown:
    """Stored values ``[H, W]`` -> red, green and blue ``[3, H, W]`` (PS3.3 C.7.6.3.1.5).

    >>> red, none = Lut(0, np.array([0, 255]), 8), Lut(0, np.array([0, 0]), 8)
    >>> show_palette(np.array([[0, 1]]), (red, none, none)).tolist()
    [[[0.0, 1.0]], [[0.0, 0.0]], [[0.0, 0.0]]]
    """
    planes = [look_up(stored, lut) / (2.0**lut.bits - 1) for lut in palette]
    return np.stack(planes).clip(0, 1).astype(np.float32)


def show_colour(stored: NDArray[Any], bits: int) -> Shown:
    """Red, green and blue ``[H, W, 3]`` of ``bits`` bits -> ``[3, H, W]``.

    >>> show_colour(np.array([[[0, 51, 255]]]), bits=8)[:, 0, 0]
    array([0. , 0.2, 1. ], dtype=float32)
    """
    shown = np.moveaxis(stored, 2, 0).astype(np.float32) / np.float32(2.0**bits - 1)
    return np.asarray(shown.clip(0, 1))


def _is_padding(stored: NDArray[Any], padding: Padding) -> NDArray[np.bool_]:
    return np.asarray((stored >= padding.low) & (stored <= padding.high))
