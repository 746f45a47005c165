"""How the figures of an evaluation look: one drawing, in the colours of light and of dark pages.

The colours of data are those of Okabe & Ito (2008), which readers with any colour blindness can
tell apart; methods differ by marker as well, and baselines are dashed.
"""

from base64 import b64encode
from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal, NamedTuple

import matplotlib
from matplotlib.figure import Figure

WIDTH = 12.0
"""Of every figure, in inches."""
DOTS_AN_INCH = {"png": 150, "svg": 100}
"""The second is that of the few parts of a drawing that are pixels in it."""


class Theme(NamedTuple):
    """Colours of what is not data."""

    ink: str
    muted: str
    rule: str
    ground: str
    thin: str
    """Of lines so thin that they need the stronger contrast."""


BLUE, ORANGE, SKY, GREEN = "#0072b2", "#e69f00", "#56b4e9", "#009e73"
VERMILLION, PURPLE, GREY = "#d55e00", "#cc79a7", "#8c8c8c"

LIGHT = Theme(ink="#18212c", muted="#566273", rule="#dde2e8", ground="#ffffff", thin=BLUE)
DARK = Theme(ink="#e5eaf0", muted="#9dabba", rule="#2b3642", ground="#171e26", thin=SKY)


class Look(NamedTuple):
    """How a method is drawn."""

    colour: str
    marker: str
    line: str


LOOKS = {
    "lig": Look(VERMILLION, "s", "-"),
    "lig-transferred": Look(ORANGE, "D", "-"),
    "lig-published": Look(PURPLE, "^", "-"),
    "ig": Look(BLUE, "v", "--"),
    "grad-cam": Look(GREEN, "P", "--"),
    "occlusion": Look(SKY, "X", "--"),
}
OWN_LOOK = Look(GREY, "*", ":")


def look_of(method: str, theme: Theme) -> Look:
    """The look of a method: the same in every figure, whatever else is drawn.

    >>> look_of("ig", LIGHT).line, look_of("difference", DARK).colour == DARK.ink
    ('--', True)
    """
    return Look(theme.ink, "o", "-") if method == "difference" else LOOKS.get(method, OWN_LOOK)


def drawn(draw: Callable[[Theme], Figure], theme: Theme, kind: Literal["png", "svg"]) -> bytes:
    """A drawing as a file; the same drawing always gives the same bytes.

    >>> drawn(lambda theme: Figure((1, 1)), LIGHT, "png")[1:4]
    b'PNG'
    """
    with matplotlib.rc_context(_settings(theme)):
        buffer = BytesIO()
        metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
        draw(theme).savefig(buffer, format=kind, dpi=DOTS_AN_INCH[kind], metadata=metadata)
    return buffer.getvalue()


def drawn_uri(draw: Callable[[Theme], Figure], theme: Theme) -> str:
    """A drawing as an address that a page can show without a file."""
    return "data:image/svg+xml;base64," + b64encode(drawn(draw, theme, "svg")).decode("ascii")


def _settings(theme: Theme) -> dict[Any, Any]:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 11,
        "text.color": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.facecolor": theme.ground,
        "axes.labelcolor": theme.ink,
        "axes.titlesize": 12,
        "axes.titlecolor": theme.ink,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "figure.facecolor": theme.ground,
        "grid.color": theme.rule,
        "legend.frameon": False,
        "savefig.facecolor": theme.ground,
        "text.parse_math": False,  # a method of the user's own may have dollars in its name
        "svg.fonttype": "path",
        "svg.hashsalt": "medxgan",
        "xtick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.color": theme.muted,
        "ytick.labelcolor": theme.ink,
    }
