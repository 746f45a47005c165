"""Explanations by a direction in a style-based generator: for any model, gradients or not."""

from collections.abc import Callable

import torch
from torch import Tensor

from medxgan.bundle import Bundle, Manifest, Thresholds
from medxgan.config import NetworkSettings
from medxgan.direction_file import FittedDirection
from medxgan.explain.direction import CodeFrame, frame_of
from medxgan.explain.settings import ExplainSettings
from medxgan.explain.steering import reach_along, steer
from medxgan.explainer import Explainer
from medxgan.fitting_direction import FARTHEST, drawer, evidence_for, wanted_evidence
from medxgan.networks.directed import DirectedGenerator
from medxgan.style_bundle import StyleBundle
from medxgan.style_inversion import refine_codes
from medxgan.types import Latent


class DirectedExplainer(Explainer):
    """A style-based generator and a direction in it, as an explainer like any other.

    The codes of an image are z1, the place of its negative end in the coordinates of the prior, and
    z2, the move from there to its positive end; see ``DirectedGenerator``. A positive image is
    moved down to its negative end, a negative one up to its positive end: along the fitted
    direction as far as the answer needs, and where that is not enough, along directions of its own.

    Attributes:
        direction: the fitted direction.
        local: always take directions of the image's own.
    """

    def __init__(
        self, style: StyleBundle, direction: FittedDirection, device: torch.device
    ) -> None:
        frame = frame_of(style.statistics.mean, style.statistics.covariance)
        generator = DirectedGenerator(style.generator, frame.mean, frame.axes)
        super().__init__(
            Bundle(
                _manifest(style, direction, len(frame.axes)),
                generator.eval().requires_grad_(False),
                None,
                direction.classifier,
                direction.oracle,
            ),
            device,
        )
        self.direction = direction
        self.inversion_steps = 0
        self.local = False
        self._style_encoder = style.encoder.to(device)
        self._style = style
        self._frame = frame.to(device)
        self._step = direction.step.to(device)

    @property
    def encoder(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """E(x): images ``[N, C, H, W]`` in [-1, 1] -> z1 ``[N, k]`` (W+: ``[N, L k]``), z2.

        z2 ``[N, k]`` is exactly 0 where the model calls the image negative.
        """

        def codes(images: Tensor) -> tuple[Tensor, Tensor]:
            latent = self.invert(images.to(self.device), ExplainSettings())
            return latent.z1, latent.z2

        return codes

    def sample_codes(self, n: int, positive: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Codes of images from the prior, seen from their negative ends: z1, z2 ``[n, k]``.

        Each is moved to where the model's answer is no, and z2 leads from there to where it is yes;
        it is zero unless ``positive``. The same seed gives the same z1 for both classes.
        """
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self._style.generator.code, generator=random).to(self.device)
        with torch.no_grad():
            codes = self._style.generator.map(z)
        everywhere = torch.ones(n, dtype=torch.bool, device=self.device)
        down, up = self._move(codes, everywhere), self._move(codes, ~everywhere)
        z1 = self._frame.coordinates(codes) + down
        return z1, (up - down) * float(positive)

    def invert(self, images: Tensor, settings: ExplainSettings) -> Latent:
        """Codes of images ``[N, C, H, W]``: the negative end, and the move from it to the image.

        z2 is 0 where the model calls the image negative.
        """
        codes = self._encode(images, settings.refine or self.inversion_steps)
        positive = self._scores(images) >= 0.5
        flat = codes.flatten(1)
        layers = codes.view(len(codes), -1, self._style.generator.code)
        places = self._frame.coordinates(layers).flatten(1)
        move = torch.zeros_like(places[:, : len(self._step)])
        if positive.any():
            move[positive] = self._move(flat[positive], positive[positive])
        layers_in = places.shape[1] // move.shape[1]
        return Latent(places + move.repeat(1, layers_in), -move)

    def _positive_end(
        self, inverted: Latent, positive: Tensor, seed: int
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """As of any explainer; a negative image is moved along the direction, and on its own."""
        z2 = inverted.z2.clone()
        channels, size = self.spec.channels, self.spec.size
        alternatives = [torch.empty(0, channels, size, size)] * len(z2)
        alternative_scores = [torch.empty(0)] * len(z2)
        rows = torch.nonzero(~positive).flatten()
        if len(rows) > 0:
            codes = self._codes(inverted.z1[rows])
            z2[rows] = self._move(codes, positive[rows])
        return z2, alternatives, alternative_scores

    def _encode(self, images: Tensor, steps: int) -> Tensor:
        """w ``[N, d]``, or ``[N, L, d]``, by the encoder, refined in ``steps``."""
        with torch.no_grad():
            start: Tensor = self._style_encoder(images)
        return refine_codes(self._style.generator, images, start, steps)

    def _codes(self, places: Tensor) -> Tensor:
        """z1 ``[N, L k]`` -> w ``[N, L d]``."""
        layers = places.unflatten(1, (-1, len(self._step)))
        return (self._frame.mean + self._frame.offsets(layers)).flatten(1)

    def _move(self, codes: Tensor, positive: Tensor) -> Tensor:
        """Moves ``[N, k]`` that take codes ``[N, L d]`` to the other side than they are called.

        Zero where the answer is that of the other side already.
        """
        layers = codes.shape[1] // self._style.generator.code
        frame = CodeFrame(self._frame.mean.repeat(layers), self._frame.axes.repeat(1, layers))
        draw, evidence = drawer(self._style, self.device), self._evidence
        wanted = wanted_evidence(positive)

        def is_left(moves: Tensor) -> Tensor:
            now = evidence(draw(codes + frame.offsets(moves)))
            return torch.where(positive, now > wanted, now < wanted)

        moves = torch.zeros(len(codes), len(self._step), device=self.device)
        left = is_left(moves)
        if not self.local and left.any():
            strengths = reach_along(
                draw,
                evidence,
                codes[left],
                wanted[left],
                frame.offsets(self._step),
                farthest=FARTHEST,
            )
            moves[left] = strengths[:, None] * self._step
            left = is_left(moves)
        if left.any():
            steered = steer(draw, evidence, codes[left], wanted[left], frame, fallback=self._step)
            moves[left] = frame.coordinates(steered.codes - codes[left] + frame.mean)
        return moves

    def _evidence(self, images: Tensor) -> Tensor:
        return evidence_for(self.classifier, self.target)(images)


def _manifest(style: StyleBundle, direction: FittedDirection, axes: int) -> Manifest:
    """What generator and direction say of themselves, in the words of every other bundle."""
    drawn, fitted = style.manifest, direction.manifest
    return Manifest(
        name=f"{drawn.name}, direction {fitted.name}",
        method="stylegan",
        target=fitted.target,
        network=NetworkSettings(structure_code=axes, pathology_code=axes),
        classifier=fitted.classifier,
        oracle=fitted.oracle,
        thresholds=Thresholds(
            reconstruction_error=drawn.thresholds.reconstruction_error,
            prediction_gap=fitted.prediction_gap,
            structure_length=drawn.thresholds.code_distance,
            pathology_length=fitted.step_length,
            images=drawn.thresholds.images,
            quantile=drawn.thresholds.quantile,
        ),
        training=drawn.training,
        metrics={"held_out": drawn.metrics.get("held_out", {}), "direction": fitted.fit},
        intensity_limits=drawn.intensity_limits,
        data_licence=drawn.data_licence,
        generator_version=drawn.generator_version,
    )
