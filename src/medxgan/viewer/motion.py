"""What the sliders move: directions in the codes of a generator, and how they add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_figures import evidence_of
from medxgan.explain.slope import measure_slope
from medxgan.explainer import Explainer
from medxgan.viewer.controls import (
    AXES,
    PATHOLOGY_REACH,
    STYLE_REACH,
    TOWARD_REACH,
    Control,
    axis_control,
    strength_control,
)

STRUCTURES, SIZE = 4, 64
"""Images around which the axes of a pathology code are found, at this size; fewer of larger ones.
Each is drawn once for every dimension of the code."""


@dataclass(frozen=True)
class Motion:
    """How sliders become codes.

    Attributes:
        axes: a direction in z2 for each slider but the strength, ``[A, d2]``.
        names: of these sliders.
        within: does the strength scale what they add, too? Then strength 0 is the negative end
            whatever they say. If not, they move the place z1 itself, in the same coordinates.
    """

    axes: Tensor
    names: tuple[str, ...]
    within: bool

    def film(self, z1: Tensor, end: Tensor, values: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """Codes z1, z2 whose film G(z1, t z2) is the image at strength t, all other sliders still.

        Args:
            z1: code of the image's structure, ``[1, d1]``; of a style-based generator its place.
            end: code of the positive end of the film, ``[1, d2]``.
            values: of the sliders but the strength, by name; 0 where there is none.

        >>> motion = Motion(torch.eye(2), ("a", "b"), within=True)
        >>> motion.film(torch.zeros(1, 2), torch.ones(1, 2), {"b": 3.0})
        (tensor([[0., 0.]]), tensor([[1., 4.]]))
        """
        factors = torch.tensor([values.get(name, 0.0) for name in self.names]).to(end)
        added = (factors @ self.axes)[None]
        return (z1, end + added) if self.within else (z1 + added, end)


def controls_of(explainer: Explainer, directions: Sequence[str] = ()) -> tuple[Control, ...]:
    """The sliders of a bundle, the strength first.

    Args:
        explainer: of the bundle.
        directions: names of further directions, of a style-based generator.
    """
    target = explainer.bundle.target_name
    if not isinstance(explainer, DirectedExplainer):
        numbers = range(1, min(AXES, explainer.bundle.network.pathology_code) + 1)
        return (
            strength_control(),
            *(axis_control(f"z2-{i}", f"pathology {i}", PATHOLOGY_REACH) for i in numbers),
        )
    numbers = range(1, min(AXES, len(explainer.generator.direction)) + 1)
    own = explainer.fitted.manifest.name
    plain = f"toward {target}"
    labels = {own: f"{plain} ({own})" if directions else plain}
    labels |= {name: f"direction {name}" for name in directions}
    return (
        strength_control(),
        *(axis_control(f"toward-{name}", label, TOWARD_REACH) for name, label in labels.items()),
        *(axis_control(f"w-{i}", f"style axis {i}", STYLE_REACH) for i in numbers),
    )


def motion_of(
    explainer: Explainer, controls: Sequence[Control], directions: Mapping[str, Tensor]
) -> Motion:
    """Find the directions that the sliders of a bundle move along.

    Args:
        explainer: of the bundle.
        controls: its sliders, the strength first.
        directions: name -> further directions of a style-based generator, ``[d]``.
    """
    names = tuple(control.id for control in controls[1:])
    if not isinstance(explainer, DirectedExplainer):
        return Motion(pathology_axes(explainer, len(names)), names, within=True)
    layers = explainer.generator.generator.layers
    towards = [explainer.generator.direction, *directions.values()]
    axes = torch.eye(len(towards[0]))[:AXES]
    rows = torch.stack([*(each.cpu() for each in towards), *axes])
    return Motion(rows.repeat(1, layers).to(explainer.device), names, within=False)


def pathology_axes(explainer: Explainer, count: int, seed: int = 0) -> Tensor:
    """Directions in z2 that change images most, over the prior's positives: ``[count, d2]``.

    z2 is as wide in every direction, so its own principal axes say nothing. These are those of the
    change of the image that a small step makes, on average over images of different structure; of
    length 1, and turned so that the model's evidence rises along them.

    Args:
        explainer: of the bundle.
        count: how many, the one of greatest change first; at most d2.
        seed: of the images.
    """
    structures = max(1, STRUCTURES * SIZE // explainer.spec.size)
    z1, z2 = explainer.sample_codes(structures, positive=True, seed=seed)
    evidence = evidence_of(explainer.classifier, explainer.target)
    slope = measure_slope(explainer.generator, evidence, z1, z2, torch.eye(z2.shape[1]).to(z2))
    _, directions = torch.linalg.eigh(slope.metric.mean(dim=0).double().cpu())
    axes = directions.T.flip(0)[:count]
    rising = axes @ slope.gradient.mean(dim=0).double().cpu()
    turned: Tensor = axes * torch.where(rising < 0, -1.0, 1.0)[:, None]
    return turned.to(z2)
