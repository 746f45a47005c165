"""What can be taken away: a pane, the film, the arrays, the report."""

import math
from collections.abc import Mapping, Sequence

from medxgan.viewer.faults import RequestError, UnknownError
from medxgan.viewer.panes import FRAMES, Shown, check_arrays, find_pane
from medxgan.viewer.pictures import enlarged, gif_bytes, pane_picture, png_bytes, thumbnail

LARGEST_ZOOM = 16
MOST_PIXELS = 2**25
"""Of an enlarged picture."""


def pane_png(shown: Shown, id: str, query: Mapping[str, str]) -> bytes:
    """One pane as a PNG.

    Args:
        shown: the explanation.
        id: of the pane.
        query: ``low`` and ``high`` of the window, ``scale`` of a map, ``zoom``; all optional.

    Raises:
        UnknownError: it has no such pane.
        RequestError: one of them is no such number, or the picture would be too large.
        DataError: its arrays are missing, damaged, or do not fit one another.
    """
    pane = find_pane(shown, id)
    if pane is None:
        raise UnknownError(f"'{shown.facts.name}' has no pane of that name")
    check_arrays(shown.facts, shown.shapes())
    zoom = _number(query, "zoom", 1.0)
    if not (zoom.is_integer() and 1 <= zoom <= LARGEST_ZOOM):
        raise RequestError(f"zoom must be a whole number from 1 to {LARGEST_ZOOM}, got {zoom:g}")
    height, width = shown.shapes()[pane.array][-2:]
    if zoom > 1 and zoom**2 * height * width > MOST_PIXELS:
        raise RequestError(
            f"a picture of {zoom * width:.0f} x {zoom * height:.0f} pixels is larger than "
            f"{MOST_PIXELS / 1e6:.0f} megapixels; choose a smaller zoom"
        )
    low, high = _number(query, "low", -1.0), _number(query, "high", 1.0)
    scale = _number(query, "scale", pane.scale or 1.0)
    picture = pane_picture(pane, shown.array(pane.array), low=low, high=high, scale=scale)
    return png_bytes(enlarged(picture, int(zoom)), f"{pane.label} of {shown.facts.name}.")


def thumbnail_png(shown: Shown) -> bytes:
    """A small picture of the original.

    Raises:
        DataError: its arrays are missing, damaged, or do not fit one another.
    """
    check_arrays(shown.facts, shown.shapes())
    return png_bytes(thumbnail(shown.array("image")), f"{shown.facts.name}.")


def film_gif(shown: Shown) -> bytes:
    """The film from the negative to the positive end and back.

    Raises:
        DataError: its arrays are missing, damaged, or do not fit one another.
    """
    check_arrays(shown.facts, shown.shapes())
    return gif_bytes(shown.array(FRAMES), f"Film of {shown.facts.name}.")


def report_html(shown: Sequence[Shown], title: str) -> str:
    """Explanations as one HTML page that needs nothing outside itself.

    Raises:
        DataError: there is none, or the arrays of one cannot be used.
    """
    from medxgan.report import render_report
    from medxgan.viewer.restoring import restore

    return render_report([restore(one) for one in shown], title=title)


def _number(query: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        value = float(query.get(name, otherwise))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(f"{name} must be a number, got '{query[name]}'")
    return value
