"""Sliders: what they are called, how far they go, and the settings that a page may send."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medxgan.viewer.faults import RequestError

STRENGTH = "strength"
STRONGEST = 1.5
AXES = 6
PATHOLOGY_REACH, STYLE_REACH, TOWARD_REACH = 6.0, 3.0, 6.0
"""Ends of sliders, in standard deviations of the prior."""
STEP, STRENGTH_STEP = 0.05, 0.01


@dataclass(frozen=True)
class Control:
    """A slider.

    Attributes:
        id: in requests.
        label: for people.
        low: lower end.
        high: upper end.
        step: between neighbouring values.
        value: where it begins.
    """

    id: str
    label: str
    low: float
    high: float
    step: float
    value: float


@dataclass(frozen=True)
class Setting:
    """Where all sliders stand, and whose code they move.

    Attributes:
        strength: factor on the code.
        values: of the other sliders, by name.
        alternative: number of one of the latest resampled codes; ``GOAL``; or None, the image's.
    """

    strength: float
    values: Mapping[str, float]
    alternative: int | str | None = None

    def controls(self) -> dict[str, float]:
        """All sliders by name."""
        return {STRENGTH: self.strength, **self.values}


GOAL = "goal"


def strength_control() -> Control:
    """The factor on z2: 0 is the negative end of the film, 1 the positive one."""
    return Control(STRENGTH, "strength", 0.0, STRONGEST, STRENGTH_STEP, 1.0)


def axis_control(id: str, label: str, reach: float) -> Control:
    """Along one direction of a code, in standard deviations of the prior, both ways alike."""
    return Control(id, label, -reach, reach, STEP, 0.0)


def parse_setting(body: Mapping[str, Any], controls: Sequence[Control]) -> Setting:
    """A setting as the page sends it; sliders that it leaves out stand where they begin.

    Raises:
        RequestError: a slider is unknown, or a value is no number that it can have.

    >>> parse_setting({"controls": {"strength": 0.5}}, [strength_control()]).strength
    0.5
    >>> parse_setting({"controls": {"strength": 9}}, [strength_control()])
    Traceback (most recent call last):
    medxgan.viewer.faults.RequestError: the slider 'strength' takes a number from 0 to 1.5
    """
    given = body.get("controls", {})
    known = {control.id: control for control in controls}
    if not isinstance(given, Mapping):
        raise RequestError("controls must be an object of numbers")
    for name, value in given.items():
        control = known.get(name)
        if control is None:
            raise RequestError(f"there is no such slider; choose from: {', '.join(known)}")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and control.low <= value <= control.high):
            raise RequestError(
                f"the slider '{name}' takes a number from {control.low:g} to {control.high:g}"
            )
    alternative = body.get("alternative")
    if isinstance(alternative, bool) or not (
        alternative is None or alternative == GOAL or isinstance(alternative, int)
    ):
        raise RequestError(f"an alternative is a number, '{GOAL}' or null")
    values = {name: float(given.get(name, control.value)) for name, control in known.items()}
    return Setting(values.pop(STRENGTH), values, alternative)
