"""How DICOM files and NIfTI volumes are shown: the window, and which slices are taken."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Literal, NamedTuple, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict
from torch import Tensor

from medxgan.errors import ConfigError, DataError, nearest

Axis = Literal["sagittal", "coronal", "axial"]
AXES: tuple[Axis, ...] = get_args(Axis)
Spacing = tuple[float, float]
"""Distance of neighbouring rows and of neighbouring columns, mm."""


class Window(NamedTuple):
    """The values between black and white: ``centre`` - ``width`` / 2 to ``centre`` + ``width`` / 2.

    In the units of the modality, such as Hounsfield units in a CT.
    """

    centre: float
    width: float

    def __str__(self) -> str:
        return f"centre {self.centre:g}, width {self.width:g}"

    def check(self) -> "Window":
        """This window, if it shows anything.

        Raises:
            ValueError: it is not finite, or its width is not above 0.
        """
        if not (isfinite(self.centre) and isfinite(self.width) and self.width > 0):
            raise ValueError(f"a window needs a width above 0, got {self}")
        return self


class KeptPresentation(BaseModel):
    """What a bundle keeps of how the files were shown that it was trained on.

    Attributes:
        window: that was chosen; None where each file was shown as it says itself.
        axis: that was chosen for NIfTI volumes; None where none was.

    >>> print(KeptPresentation(window=Window(40, 400)))
    window centre 40, width 400
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: Annotated[Window, AfterValidator(Window.check)] | None = None
    axis: Axis | None = None

    def __str__(self) -> str:
        kept = {"window": self.window, "axis": self.axis}
        return "; ".join(f"{name} {value}" for name, value in kept.items() if value is not None)


NOTHING_KEPT = KeptPresentation()


@dataclass(frozen=True)
class Presentation:
    """What a user may choose where a file leaves a choice; pictures (PNG, ...) leave none.

    Attributes:
        window: in place of the one that the bundle keeps, or that the file names.
        axis: along which a NIfTI volume is cut; where None as the bundle keeps it, else axial, or
            the axis along which it has one slice.
        volume: of a NIfTI file of several, counted from 1; the first where None.
        slice: of a volume or series, counted from 1; or the ``best``, on which ``score`` is
            greatest; or ``all``. Where None all, or the best where one NIfTI file is to be
            explained.
        score: images ``[N, C, S, S]`` in [-1, 1] -> ``[N]``, how well a slice serves to explain the
            classifier; see ``Explainer.presentation``.
        kept: by the bundle that takes the images; it holds where nothing is chosen.
    """

    window: Window | None = None
    axis: Axis | None = None
    volume: int | None = None
    slice: int | Literal["best", "all"] | None = None
    score: Callable[[Tensor], Tensor] | None = None
    kept: KeptPresentation = NOTHING_KEPT

    @property
    def shown_window(self) -> Window | None:
        """The chosen window, else the one that the bundle keeps; None: as the file says."""
        return self.kept.window if self.window is None else self.window

    @property
    def shown_axis(self) -> Axis | None:
        """The chosen axis, else the one that the bundle keeps; None: as the volume's shape says."""
        return self.kept.axis if self.axis is None else self.axis

    @property
    def number(self) -> int | None:
        """The one slice that is wanted by its number, if any."""
        return self.slice if isinstance(self.slice, int) else None

    def choice(self) -> tuple[str, ...]:
        """The options that a user has given, for sentences.

        >>> Presentation(Window(40, 400), slice=3).choice()
        ('--window', '--slice')
        """
        return tuple(f"--{name}" for name in self.facts())

    def facts(self, kinds: Collection[str | None] = ()) -> dict[str, str]:
        """What a user has chosen, in words, for reports; and what the bundle keeps for such files.

        >>> Presentation(Window(40, 400), axis="coronal").facts()
        {'window': 'centre 40, width 400', 'axis': 'coronal'}
        >>> as_trained = Presentation(kept=KeptPresentation(window=Window(40, 400)))
        >>> as_trained.facts(["dicom"]), as_trained.facts(["picture"])
        ({'window': 'centre 40, width 400'}, {})
        """
        shown = {name: getattr(self, name) for name in ("window", "axis", "volume", "slice")}
        if "dicom" in kinds or "nifti" in kinds:
            shown["window"] = self.shown_window
        if "nifti" in kinds:
            shown["axis"] = self.shown_axis
        return {name: str(choice) for name, choice in shown.items() if choice is not None}

    def as_kept(self) -> KeptPresentation:
        """What a bundle keeps that is trained on files shown like this."""
        return KeptPresentation(window=self.shown_window, axis=self.shown_axis)

    def deviations(self, kinds: Collection[str | None]) -> tuple[str, ...]:
        """Notes on what was chosen otherwise than the bundle keeps it.

        Args:
            kinds: of the files that are read; see `check_choice`.

        >>> kept = KeptPresentation(window=Window(40, 400))
        >>> Presentation(Window(40, 80), kept=kept).deviations(["dicom"])
        ('windowed to centre 40, width 80, and the bundle was trained with centre 40, width 400',)
        """
        trained, notes = self.kept, []
        windowed = "dicom" in kinds or "nifti" in kinds
        if windowed and trained.window not in (None, self.shown_window):
            words = "windowed to {}, and the bundle was trained with {}"
            notes.append(words.format(self.shown_window, trained.window))
        if "nifti" in kinds and trained.axis not in (None, self.shown_axis):
            words = "cut into {} slices, and the bundle was trained with {} ones"
            notes.append(words.format(self.shown_axis, trained.axis))
        return tuple(notes)


BEST_SLICE = "most evidence for the explained class, of those that the bundle can draw"
"""What makes a slice the best one, for notes."""

AS_STORED = Presentation()
"""What the files themselves say."""


def check_choice(presentation: Presentation, kinds: Collection[str | None]) -> None:
    """Refuse choices that none of the files leaves.

    Args:
        presentation: what was chosen.
        kinds: of the files: picture, dicom, nifti, or None for what is no image file.

    Raises:
        ConfigError: names the options.

    >>> check_choice(Presentation(axis="axial"), ["picture", "nifti"])
    >>> check_choice(Presentation(axis="axial"), ["dicom"])
    Traceback (most recent call last):
    medxgan.errors.ConfigError: --axis is for NIfTI volumes, of which there are none; leave it out
    """
    chosen = presentation.choice()
    if "nifti" not in kinds:
        of_volumes = [option for option in chosen if option in ("--axis", "--volume")]
        _refuse(of_volumes, "NIfTI volumes")
    if "dicom" not in kinds and "nifti" not in kinds:
        _refuse(chosen, "DICOM and NIfTI files")


def _refuse(options: Sequence[str], of_what: str) -> None:
    if options:
        verb, pronoun = ("is", "it") if len(options) == 1 else ("are", "them")
        raise ConfigError(
            f"{' and '.join(options)} {verb} for {of_what}, of which there are none; "
            f"leave {pronoun} out"
        )


def parse_presentation(
    window: str | None = None,
    axis: str | None = None,
    slice: str | None = None,
    volume: int | None = None,
    *,
    may_score: bool = False,
) -> Presentation:
    """A presentation as it is written on the command line.

    Args:
        window: ``CENTRE,WIDTH``.
        axis: sagittal, coronal or axial.
        slice: a number from 1, ``best`` or ``all``.
        volume: a number from 1.
        may_score: is there a classifier that can find the ``best`` slice?

    Raises:
        ConfigError: one of them is something else.

    >>> parse_presentation("-600,1500", "coronal", "12").facts()
    {'window': 'centre -600, width 1500', 'axis': 'coronal', 'slice': '12'}
    """
    if axis is not None and axis not in AXES:
        raise ConfigError(f"no axis is called '{axis}'; {nearest(axis, AXES)}")
    if volume is not None and volume < 1:
        raise ConfigError(f"--volume counts from 1, got {volume}")
    return Presentation(
        window=None if window is None else parse_window(window),
        axis=axis,
        volume=volume,
        slice=None if slice is None else _parse_slice(slice, may_score),
    )


def parse_window(text: str) -> Window:
    """A window written as ``CENTRE,WIDTH``.

    Raises:
        ConfigError: not two finite numbers, or a width that is not above 0.

    >>> parse_window("40,400")
    Window(centre=40.0, width=400.0)
    >>> parse_window("40")
    Traceback (most recent call last):
    medxgan.errors.ConfigError: a window is CENTRE,WIDTH with a width above 0, such as 40,400, \
got '40'
    """
    try:
        centre, width = (float(part) for part in text.split(","))
        return Window(centre, width).check()
    except ValueError:
        raise ConfigError(
            f"a window is CENTRE,WIDTH with a width above 0, such as 40,400, got '{text}'"
        ) from None


def _parse_slice(text: str, may_score: bool) -> int | Literal["best", "all"]:
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        return int(text)
    if text == "best" and not may_score:
        raise ConfigError(
            "--slice best takes the slice of most evidence for the class that a bundle explains; "
            "here there is none, so give a number, or leave it out for all slices"
        )
    if text in ("best", "all"):
        return cast(Literal["best", "all"], text)
    words = "a number from 1, best or all" if may_score else "a number from 1, or all"
    raise ConfigError(f"--slice must be {words}, got '{text}'")


def check_number(number: int, count: int, noun: str) -> None:
    """Refuse a number that none of ``count`` frames, slices or volumes has.

    Raises:
        DataError: it is below 1 or above ``count``.

    >>> check_number(31, 30, "slices")
    Traceback (most recent call last):
    medxgan.errors.DataError: it has 30 slices, counted from 1, got number 31
    """
    if not 1 <= number <= count:
        raise DataError(f"it has {count} {noun}, counted from 1, got number {number}")
