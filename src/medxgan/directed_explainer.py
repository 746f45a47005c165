"""Explanations by a direction in a style-based generator: for any model, gradients or not."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from medxgan.bundle import Bundle, Manifest, Thresholds
from medxgan.config import NetworkSettings
from medxgan.direction_figures import evidence_of, other_side
from medxgan.direction_file import FittedDirection
from medxgan.errors import ConfigError
from medxgan.explain.batch import make_batch
from medxgan.explain.drawing import drawn
from medxgan.explain.scores import evaluate
from medxgan.explain.series import Series, answers_of, draw_levels, evidence_for
from medxgan.explain.settings import DEFAULT_METHODS, ExplainSettings, make_settings
from medxgan.explain.steering import Goal, Moved, Ways, find_moves
from medxgan.explain.traversal import FRAMES
from medxgan.explainer import IMAGES_AT_ONCE, Explainer
from medxgan.fitting_direction import directed
from medxgan.inversion import root_mean_square
from medxgan.networks.directed import DirectedGenerator
from medxgan.style_bundle import StyleBundle
from medxgan.style_inversion import REFINED, place_images
from medxgan.types import Latent

FIGURES_OF_DRAWN = {
    "agreement_negative": "flipped_down",
    "agreement_positive": "flipped_up",
    "prediction_match": "prediction_match",
}
"""Figures that every bundle has -> what a direction has of them, measured on drawn images."""


class DirectedExplainer(Explainer):
    """A style-based generator and a direction in it, as an explainer like any other.

    The codes of an image are z1, the place of its negative end in the coordinates of the prior, and
    z2, the move from there to its positive end, both in W+; see ``DirectedGenerator``. A positive
    image is moved down to its negative end, a negative one up to its positive end, as far as the
    answer needs: along the fitted direction, or in directions of its own, by whichever way changes
    the image less.

    Attributes:
        style: the generator as it was trained, which knows no model.
        fitted: the direction, and what was measured when it was fitted.
        common: may images be moved along the fitted direction?
        local: may they be moved in directions of their own?
        inversion_steps: of the optimisation in W+ that places an image, from the encoder's codes
            or a cold start, where ``refine`` is not given: 100.
    """

    generator: DirectedGenerator

    def __init__(
        self, style: StyleBundle, direction: FittedDirection, device: torch.device
    ) -> None:
        generator = directed(style, direction.direction)
        layers = generator.generator.layers
        super().__init__(
            Bundle(
                _manifest(style, direction, layers),
                generator,
                None,
                direction.classifier,
                direction.oracle,
            ),
            device,
        )
        self.inversion_steps = REFINED
        self.fitted = direction
        self.common = self.local = True
        self.style = style
        self._style_encoder = style.encoder.to(device)
        self._statistics = style.statistics.to(device)
        self._layers = layers

    def along(self, direction: FittedDirection) -> "DirectedExplainer":
        """The same generator, explaining another model or class by another direction."""
        return DirectedExplainer(self.style, direction, self.device)

    @property
    def ways(self) -> Ways:
        """By which ways images may be moved now."""
        return Ways(self._layers, common=self.common, local=self.local)

    @property
    def encoder(self) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """E(x): images ``[N, C, H, W]`` in [-1, 1] -> z1, z2, each ``[N, L d]``, refined.

        By ``inversion_steps``. z2 is exactly 0 where the model calls the image negative.
        """

        def codes(images: Tensor) -> tuple[Tensor, Tensor]:
            latent = self.invert(images.to(self.device), ExplainSettings())
            return latent.z1, latent.z2

        return codes

    def sample_codes(self, n: int, positive: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Codes of images from the prior, seen from their negative ends: z1, z2.

        Each is moved to where the model's answer is no, and z2 leads from there to where it is yes;
        it is zero unless ``positive``. The same seed gives the same z1 for both classes.
        """
        z1 = self.generator.sample(n, seed).repeat(1, self._layers)
        everywhere = torch.ones(n, dtype=torch.bool, device=self.device)
        down = self._move(z1, self._other_side(everywhere)).z2
        z1 = z1 + down
        if not positive:
            return z1, torch.zeros_like(down)
        return z1, self.sample_pathology(z1)

    def prior_codes(self, positive: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Codes of images as they are drawn: none is moved, whatever it shows."""
        z1 = self.generator.sample(len(positive), seed).repeat(1, self._layers)
        return z1, torch.zeros_like(z1)

    def sample_pathology(self, z1: Tensor, seed: int = 0) -> Tensor:
        """The moves that make images at z1 positive; each has one, whatever the seed."""
        negative = torch.zeros(len(z1), dtype=torch.bool, device=self.device)
        return self._move(z1, self._other_side(negative)).z2

    def invert(self, images: Tensor, settings: ExplainSettings) -> Latent:
        """Codes of images ``[N, C, H, W]``: the negative end, and the move from it to the image.

        z2 is 0 where the model calls the image negative. A cold start is the mean of the prior.
        """
        z1 = self.locate(images, settings)
        positive = self._scores(images) >= 0.5
        down = torch.zeros_like(z1)
        if positive.any():
            down[positive] = self._move(z1[positive], self._other_side(positive[positive])).z2
        return Latent(z1 + down, -down)

    def locate(self, images: Tensor, settings: ExplainSettings) -> Tensor:
        """Where images ``[N, C, H, W]`` are in the prior's coordinates, not moved: z1, in W+.

        The encoder's w, or the mean of the prior, is where optimisation starts; each layer's is
        moved on its own.
        """
        steps = self.inversion_steps if settings.refine is None else settings.refine
        codes = place_images(
            self.generator.generator,
            self._style_encoder,
            self._statistics,
            images,
            steps=steps,
            cold=settings.start == "cold",
        )
        return self.generator.places(codes)

    def toward(
        self,
        images: Tensor,
        answer: float,
        *,
        frames: int = FRAMES,
        names: Sequence[str] | None = None,
        **settings: Any,
    ) -> list[Series]:
        """What would this answer look like? Series of images to it, and to its mirror.

        Args:
            images: ``[N, C, H, W]`` in [-1, 1].
            answer: of the model, between 0 and 1, or a value in its range. The series begins at
                the mirrored one (0.1 for 0.9), and at the image's own where that is the same.
            frames: of each series, at least 2; their evidence is evenly spaced.
            names: of the images; numbers where None.
            settings: ``refine`` and ``start`` of ``ExplainSettings``.

        Raises:
            ConfigError: no such answer or setting, or fewer than 2 frames.
            DataError: images of another shape, or not finite; not one name for each.
        """
        chosen = make_settings(DEFAULT_METHODS, settings | {"frames": frames})
        end = evidence_for(answer, self.spec)
        found: list[Series] = []
        for part in make_batch(images, self.spec, names=names).split(IMAGES_AT_ONCE):
            found += self._series(part.images.to(self.device), end, chosen, part.names)
        return found

    def _series(
        self, images: Tensor, end: float, settings: ExplainSettings, names: Sequence[str]
    ) -> list[Series]:
        z1 = self.locate(images, settings)
        levels = draw_levels(
            self.generator,
            evidence_of(self.classifier, self.target),
            z1,
            end,
            settings.frames,
            self.ways,
        )
        redrawn = torch.cat(drawn(self.generator, z1, torch.zeros_like(z1)))
        answers, of_images, of_redrawn = (
            evaluate(lambda part: self.classifier(part)[:, self.target], asked)
            for asked in (levels.frames, images, redrawn)
        )
        wanted = answers_of(levels.evidence, self.spec)
        cpu = torch.device("cpu")
        return [
            Series(
                name=str(name),
                image=images[i].to(cpu),
                reconstruction=redrawn[i].to(cpu),
                frames=levels.frames[i].to(cpu),
                wanted=wanted[i].to(cpu),
                answers=answers[i].to(cpu),
                reached=levels.reached[i].to(cpu),
                own=(float(of_images[i]), float(of_redrawn[i])),
                target_name=self.bundle.target_name,
                spec=self.spec,
            )
            for i, name in enumerate(names)
        ]

    def _positive_end(
        self, inverted: Latent, positive: Tensor, seed: int
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """As of any explainer, but a negative image is moved itself, and has no alternatives."""
        z2 = inverted.z2.clone()
        if not positive.all():
            goal = self._other_side(positive[~positive])
            z2[~positive] = self._move(inverted.z1[~positive], goal).z2
        none = torch.empty(0, self.spec.channels, self.spec.size, self.spec.size)
        return z2, [none] * len(z2), [torch.empty(0)] * len(z2)

    def _judged_codes(self, inverted: Latent, shown: Latent) -> Latent:
        """Both ends of a film, of which one was found for the image and one moved to."""
        ends = torch.stack([shown.z1, shown.z1 + shown.z2])
        farther = root_mean_square(ends.flatten(0, 1)).view(2, -1).argmax(dim=0)
        return Latent(ends[farther, torch.arange(len(farther))], shown.z2)

    def _other_side(self, positive: Tensor) -> Goal:
        return other_side(positive, self.fitted.manifest.ends)

    def _move(self, z1: Tensor, goal: Goal) -> Moved:
        return find_moves(
            self.generator,
            evidence_of(self.classifier, self.target),
            z1,
            goal,
            self.generator.direction.repeat(self._layers),
            self.ways,
        )

    def _check_target(self, target: int | str | None) -> None:
        if target is None:
            return
        index = self.spec.target_index(target)
        if index != self.target:
            raise ConfigError(
                f"this direction is for '{self.bundle.target_name}', got "
                f"'{self.spec.class_names[index]}'; fit one for it with medxgan fit-direction "
                "--target, or choose another with --direction"
            )


def _manifest(style: StyleBundle, direction: FittedDirection, layers: int) -> Manifest:
    """What generator and direction say of themselves, in the words of every other bundle."""
    drawn, fitted = style.manifest, direction.manifest
    code = drawn.network.code
    return Manifest(
        name=f"{drawn.name}, direction {fitted.name}",
        method="stylegan",
        target=fitted.target,
        network=NetworkSettings(structure_code=layers * code, pathology_code=layers * code),
        classifier=fitted.classifier,
        oracle=fitted.oracle,
        thresholds=Thresholds(
            reconstruction_error=drawn.thresholds.reconstruction_error,
            prediction_gap=fitted.prediction_gap,
            structure_length=max(drawn.thresholds.code_distance, fitted.code_length),
            pathology_length=fitted.step_length,
            images=drawn.thresholds.images,
            quantile=drawn.thresholds.quantile,
        ),
        training=drawn.training,
        metrics={
            "held_out": drawn.metrics.get("held_out", {})
            | {name: fitted.fit.get(figure) for name, figure in FIGURES_OF_DRAWN.items()},
            "direction": fitted.fit,
        },
        intensity_limits=drawn.intensity_limits,
        presentation=drawn.presentation,
        data_licence=drawn.data_licence,
        generator_version=drawn.generator_version,
    )
