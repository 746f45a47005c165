"""What ``explanation.json`` must hold to be shown; everything else in it is passed on as it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from medxgan.errors import DataError
from medxgan.viewer.plain_files import open_inside

FORMAT_VERSION = 1
"""Newest format that is read; the one that ``medxgan.report.saving`` writes."""
LARGEST_BYTES = 2**24
PARTS = ("image", "reconstruction", "counterfactual", "transferred")
"""What the model was asked about."""
PLAIN_NAME = r"^[\w.-]{1,60}$"

Finite = Annotated[float, Field(allow_inf_nan=False)]
Figures = list[Finite | None]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProblemFacts(_Part):
    """One reason not to trust an explanation; see ``medxgan.types.Problem``."""

    kind: str
    value: Finite | None
    limit: Finite | None
    sentence: str


class StatusFacts(_Part):
    """Whether an explanation can be trusted, and what is wrong if not."""

    ok: bool
    problems: tuple[ProblemFacts, ...] = ()


class Facts(_Part):
    """What is known of one explanation besides its arrays; see ``medxgan.types.Explanation``.

    Attributes:
        spacing: distance of rows and of columns, mm a pixel; None where it is not known.
    """

    name: str
    target: int = Field(ge=0)
    target_name: str
    positive: bool
    flipped: bool
    transfer_flipped: bool
    scores: dict[str, Finite | None]
    strengths: Figures
    probabilities: Figures
    alternative_scores: Figures = []
    status: StatusFacts
    methods: tuple[Annotated[str, Field(pattern=PLAIN_NAME)], ...] = ()
    skipped: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    colour_scales: dict[str, Positive] = {}
    output: Literal["logits", "probabilities", "binary_logit", "multilabel_logits", "value"] = (
        "logits"
    )
    class_names: tuple[str, ...] = ()
    answers: dict[str, Figures] = {}
    value_range: tuple[Finite, Finite] | None = None
    positive_from: Finite | None = None
    spacing: tuple[Positive, Positive] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for noun, parts in (("scores", self.scores), ("answers", self.answers or PARTS)):
            missing = [part for part in PARTS if part not in parts]
            if missing:
                raise ValueError(f"{noun} lack {', '.join(missing)}")
        if len(self.strengths) != len(self.probabilities):
            raise ValueError("strengths and probabilities must be of one length")
        if self.class_names and self.target >= len(self.class_names):
            raise ValueError("target must be the index of a class")
        if self.class_names and any(
            len(row) != len(self.class_names) for row in self.answers.values()
        ):
            raise ValueError("answers must have one number for each class")
        return self


def read_facts(path: Path, root: Path | None = None) -> tuple[Facts, dict[str, Any], bytes]:
    """Read and check the facts of an explanation.

    Args:
        path: of the file.
        root: folder that it must not lead out of; its own where None.

    Returns:
        The facts, all that the file holds, and its bytes.

    Raises:
        DataError: the file is missing, damaged, leads elsewhere, or is of a newer format than this
            program reads.
    """
    place = f"{path.name} of '{path.parent.name}'"
    try:
        with open_inside(root or path.parent, path) as file:
            text = file.read(LARGEST_BYTES + 1)
        if len(text) > LARGEST_BYTES:
            raise DataError(f"{place} is larger than {LARGEST_BYTES >> 20} MB; it is no such file")
        content = json.loads(text, parse_constant=_refuse)
        # What cannot be sent on is damage, wherever in the file: infinite numbers, half characters.
        json.dumps(content, ensure_ascii=False, allow_nan=False).encode()
    except OSError as fault:
        raise DataError(f"{place} cannot be read ({fault.strerror})") from None
    except (ValueError, RecursionError):
        raise DataError(f"{place} is damaged; explain the image again") from None
    return parse_facts(content, place), content, text


def parse_facts(content: object, place: str) -> Facts:
    """Check the content of ``explanation.json``.

    Args:
        content: as JSON was read.
        place: what it is called in sentences.

    Raises:
        DataError: it does not hold what is needed, or is newer than this program.

    >>> parse_facts({"format_version": 2}, "explanation.json of 'a'")
    Traceback (most recent call last):
    medxgan.errors.DataError: explanation.json of 'a' has format 2, this program reads up to 1; \
update medxgan
    """
    version = content.get("format_version") if isinstance(content, Mapping) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DataError(
            f"{place} has format {version}, this program reads up to {FORMAT_VERSION}; "
            "update medxgan"
        )
    if version != FORMAT_VERSION:
        raise DataError(f"{place} has no format version; it is no explanation of this program")
    try:
        return Facts.model_validate(content)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{place} is damaged at {where} ({first['msg']}); explain the image again"
        ) from None


def _refuse(constant: str) -> float:
    raise ValueError(constant)
