"""The nouns that every layer shares. Images are float32 ``[N, C, H, W]`` in [-1, 1]."""

from dataclasses import dataclass, field
from math import isfinite
from os import PathLike
from typing import Literal, Protocol

from torch import Tensor

from medxgan.classifier_spec import ClassifierSpec, Output

__all__ = [
    "Classifier",
    "ClassifierSpec",
    "Explanation",
    "Generator",
    "Latent",
    "Output",
    "Problem",
    "ProblemKind",
    "Sample",
    "Status",
]


class Classifier(Protocol):
    """The frozen model that is explained."""

    spec: ClassifierSpec
    differentiable: bool
    fingerprint: str

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [-1, 1] -> scores ``[N, K]``: probabilities, or the value."""
        ...

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        """Images -> ``[N]``: log-odds of class ``target`` against the rest; does not saturate.

        Of a value, what stands for them: ``ValueScale.evidence``.
        """
        ...


class Generator(Protocol):
    """Draws images from codes; a bundle holds one."""

    def __call__(self, z1: Tensor, z2: Tensor) -> Tensor:
        """``[N, d1]``, ``[N, d2]`` -> images ``[N, C, H, W]`` in [-1, 1]."""
        ...

    def film(self, z1: Tensor, z2: Tensor, strengths: Tensor) -> Tensor:
        """Frames G(z1, t z2) ``[T, N, C, H, W]`` for strengths t >= 0 ``[T]``."""
        ...


@dataclass(frozen=True)
class Sample:
    """One image as read from disk: ``image`` ``[C, H, W]`` in [-1, 1] and what is known of it.

    ``spacing`` is the distance of its rows and of its columns in the patient, mm, where known.
    """

    image: Tensor
    name: str
    notes: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None


@dataclass(frozen=True)
class Latent:
    """The codes of N images: structure ``z1`` ``[N, d1]`` and pathology ``z2`` ``[N, d2]``."""

    z1: Tensor
    z2: Tensor


ProblemKind = Literal["poor reconstruction", "prediction gap", "no flip", "code outside the prior"]


@dataclass(frozen=True)
class Problem:
    """One reason not to trust an explanation: the measured value and the limit it crossed."""

    kind: ProblemKind
    value: float
    limit: float
    sentence: str


@dataclass(frozen=True)
class Status:
    """Whether an explanation can be trusted, and what is wrong if not.

    >>> str(Status())
    'ok'
    """

    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """True when no check failed."""
        return not self.problems

    def __str__(self) -> str:
        return "; ".join(problem.sentence for problem in self.problems) or "ok"


@dataclass(frozen=True)
class Explanation:
    """What would have to change in one image for the classifier's answer to flip.

    Attributes:
        name: identifies the image in reports and file names.
        image: the original, ``[C, H, W]`` in [-1, 1].
        reconstruction: G(z1, z2) ``[C, H, W]``.
        counterfactual: the image on the other side of the decision ``[C, H, W]``: the negative
            realization G(z1, 0) of a positive image, a positive G(z1, z2') of a negative one.
        transferred: the same change made on the original ``[C, H, W]``, clipped to [-1, 1].
        frames: the film from negative to positive ``[T, C, H, W]``.
        strengths: factor on z2 of each frame, ``[T]``; 0 = negative, 1 = the positive code.
        probabilities: score of the explained output on each frame, ``[T]``.
        difference: positive minus negative image, signed, ``[C, H, W]``.
        attributions: method -> signed evidence ``[C, H, W]`` for the explained class.
        latent: codes ``[1, d1]`` and ``[1, d2]`` of the positive end of the film.
        target: index of the explained class.
        target_name: its name.
        scores: of the explained output (see ``ClassifierSpec.score``) on ``image``,
            ``reconstruction``, ``counterfactual`` and ``transferred``, under these names.
        alternatives: more counterfactuals of a negative image ``[A, C, H, W]`` (may be empty).
        alternative_scores: score of each of them, ``[A]``.
        status: ok, or what is wrong and by how much.
        mask: lesion mask ``[H, W]`` where the data has one.
        skipped: method -> why it could not be computed.
        spec: what the classifier takes and gives, for words and units; None for a class among two.
        answers: all that it says of the images that ``scores`` has, under the same names: the
            probability of every class, or the value, ``[K]``; may be empty.
        notes: what every reader must know of how it was made, sentences without a full stop.
        spacing: distance of the rows and of the columns of ``image`` in the patient, mm; None where
            it is not known.
    """

    name: str
    image: Tensor
    reconstruction: Tensor
    counterfactual: Tensor
    transferred: Tensor
    frames: Tensor
    strengths: Tensor
    probabilities: Tensor
    difference: Tensor
    attributions: dict[str, Tensor]
    latent: Latent
    target: int
    target_name: str
    scores: dict[str, float]
    alternatives: Tensor
    alternative_scores: Tensor
    status: Status
    mask: Tensor | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    spec: ClassifierSpec | None = None
    answers: dict[str, Tensor] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spacing: tuple[float, float] | None = None

    def __repr__(self) -> str:
        """One line: whose answer, before and after, whether to trust it, and which maps it has."""
        from medxgan.scoretext import score_text

        answers = ", ".join(
            f"{part} {score_text(score, self.spec)}" for part, score in self.scores.items()
        )
        maps = ", ".join(self.attributions) or "none"
        return (
            f"<Explanation of {self.name!r} for {self.target_name!r}: {answers}; "
            f"status: {self.status}; maps: {maps}>"
        )

    @property
    def positive(self) -> bool:
        """True when the classifier calls the original image positive (score at least 0.5)."""
        return self.scores["image"] >= 0.5

    @property
    def flipped(self) -> bool:
        """True when the change alone crosses the decision, from the original's side.

        The reconstruction lies on the original's side of 0.5, the counterfactual on the other.
        """
        redrawn_alike = (self.scores["reconstruction"] >= 0.5) == self.positive
        return redrawn_alike and self._on_other_side("counterfactual")

    @property
    def transfer_flipped(self) -> bool:
        """True when the original with the change made on it lies on the other side of 0.5."""
        return self._on_other_side("transferred")

    def _on_other_side(self, part: str) -> bool:
        score = self.scores[part]
        return isfinite(score) and (score >= 0.5) != self.positive

    def save(self, folder: str | PathLike[str]) -> None:
        """Write PNGs of every picture, ``explanation.npz`` and ``explanation.json``."""
        from medxgan.report import save_explanation

        save_explanation(self, folder)

    def to_html(self) -> str:
        """One self-contained HTML page."""
        from medxgan.report import render_report

        return render_report([self])
