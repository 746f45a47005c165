"""What belongs to one open image, and what drawing it gives."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from medxgan.viewer.arrays import Floats
from medxgan.viewer.controls import Setting
from medxgan.viewer.saved import SavedExplanation

if TYPE_CHECKING:  # it imports this module
    from medxgan.viewer.live import LiveDesk


@dataclass(frozen=True)
class Rendered:
    """An image at one setting.

    Attributes:
        image: ``[C, H, W]`` in [-1, 1].
        answers: what the model says of it: all probabilities, or the value.
        score: of the explained output.
        milliseconds: that drawing and asking took.
    """

    image: Floats
    answers: list[float]
    score: float
    milliseconds: float


@dataclass(frozen=True)
class Alternative:
    """Another positive realization of an open image: its code, its picture, and the score."""

    code: Tensor
    image: Floats
    answers: list[float]
    score: float


@dataclass
class Session:
    """One open image.

    Attributes:
        shown: its explanation.
        codes: of its structure z1 ``[1, d1]`` and of the positive end of its film z2 ``[1, d2]``.
        desk: at which it was opened, and is moved.
        verdict_id: id under which verdicts on it are kept.
        file: number of the image in its file, from 1, and how many there are; None for a saved one.
        notes: what was changed when it was read.
        alternatives: the latest resampled ones.
        goal: code that the latest goal made; None where none did.
    """

    shown: SavedExplanation
    codes: tuple[Tensor, Tensor]
    desk: "LiveDesk"
    verdict_id: str
    file: tuple[int, int] | None
    notes: tuple[str, ...]
    alternatives: list[Alternative] = field(default_factory=list)
    goal: Tensor | None = None


@dataclass(frozen=True)
class Reached:
    """What a goal came to: a setting, what the model says there, and whether it was had."""

    setting: Setting
    rendered: Rendered
    reached: bool
    sentence: str | None
