"""Soft-edged shapes for whole batches of phantoms, in coordinates from -1 to 1."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate


@dataclass(frozen=True)
class Frame:
    """Coordinates of every pixel in a subject's own pose: ``x`` and ``y`` are ``[N, H, W]``."""

    x: Tensor
    y: Tensor

    def polar(self, half_width: Tensor, half_height: Tensor) -> tuple[Tensor, Tensor]:
        """Elliptic radius (1 on the ellipse) and angle of every pixel, ``[N, H, W]`` each."""
        u, v = self.x / half_width, self.y / half_height
        return torch.sqrt(u**2 + v**2 + 1e-12), torch.atan2(v, u)


class Canvas:
    """N images to draw on, and the random numbers to draw them with.

    Args:
        count: N, number of subjects.
        size: height and width, pixels.
        random: source of all random numbers.
    """

    def __init__(self, count: int, size: int, random: torch.Generator) -> None:
        self.count, self.size, self.random = count, size, random
        self.pixel = 2.0 / size
        ticks = (torch.arange(size) + 0.5) * self.pixel - 1
        self.frame = Frame(ticks.view(1, 1, -1), ticks.view(1, -1, 1))

    def uniform(self, low: float, high: float, numbers: int = 1) -> Tensor:
        """One number a subject, ``[N, 1, 1]``, or several, ``[N, 1, K]``."""
        return low + (high - low) * torch.rand(self.count, 1, numbers, generator=self.random)

    def normal(self) -> Tensor:
        """White noise of unit variance, ``[N, H, W]``."""
        return torch.randn(self.count, self.size, self.size, generator=self.random)

    def smooth_field(self, cells: int, deviation: float) -> Tensor:
        """Noise of a standard deviation, its grain 1/``cells`` of the image, ``[N, H, W]``."""
        coarse = torch.randn(self.count, 1, cells + 2, cells + 2, generator=self.random)
        fine = interpolate(coarse, size=(self.size, self.size), mode="bicubic", align_corners=False)
        return deviation * fine[:, 0]

    def harmonics(self, angle: Tensor, orders: tuple[int, ...], amplitude: float) -> Tensor:
        """A random periodic function of the angle, ``[N, H, W]``."""
        total = torch.zeros_like(angle)
        for order in orders:
            phase = self.uniform(-torch.pi, torch.pi)
            total = total + self.uniform(-1, 1) * torch.cos(order * angle + phase)
        return amplitude * total

    def posed(self, shift: float, tilt: float) -> Frame:
        """Coordinates after a random shift (fraction of the half-width) and rotation (radians)."""
        x = self.frame.x - self.uniform(-shift, shift)
        y = self.frame.y - self.uniform(-shift, shift)
        turn = self.uniform(-tilt, tilt)
        cos, sin = torch.cos(turn), torch.sin(turn)
        return Frame(cos * x + sin * y, cos * y - sin * x)

    def centre_in(self, site: Tensor) -> tuple[Tensor, Tensor]:
        """A random pixel of each ``site`` (bool ``[N, H, W]``): x and y, ``[N, 1, 1]``."""
        draw = torch.rand(self.count, self.size * self.size, generator=self.random)
        chosen = draw.masked_fill(~site.flatten(1), -1).argmax(dim=1)
        to_coordinate = [
            (index + 0.5) * self.pixel - 1 for index in (chosen % self.size, chosen // self.size)
        ]
        x, y = (value.view(-1, 1, 1) for value in to_coordinate)
        return x, y


def ellipse(
    frame: Frame,
    centre: tuple[Tensor | float, Tensor | float],
    half_axes: tuple[Tensor, Tensor],
    turn: Tensor,
    softness: float = 1.0,
) -> Tensor:
    """Opacity in [0, 1] of a turned ellipse, ``[N, H, W]``."""
    x, y = frame.x - centre[0], frame.y - centre[1]
    cos, sin = torch.cos(turn), torch.sin(turn)
    u = (cos * x + sin * y) / half_axes[0]
    v = (cos * y - sin * x) / half_axes[1]
    radius = torch.sqrt(u**2 + v**2 + 1e-12)
    return torch.sigmoid((1 - radius) * torch.minimum(*half_axes) / (0.018 * softness))


def blob(
    canvas: Canvas,
    centre: tuple[Tensor, Tensor],
    radius: Tensor,
    roughness: float,
    *,
    aspect: Tensor | None = None,
    margin: float = 0.0,
) -> Tensor:
    """Opacity in [0, 1] of a disc whose outline is rough, ``[N, H, W]``.

    Args:
        canvas: to draw on.
        centre: x and y, ``[N, 1, 1]`` each.
        radius: half its width, ``[N, 1, 1]``.
        roughness: largest share of the radius by which one harmonic moves the outline.
        aspect: height over width; default: 0.8 to 1.25 by chance.
        margin: width of a soft border, beside the one that keeps its edge from stepping.
    """
    distance, outline = _rough_disc(canvas, centre, radius, roughness, aspect)
    return torch.sigmoid((outline - distance) * radius / (0.45 * canvas.pixel + 0.004 + margin))


def rim(
    canvas: Canvas, centre: tuple[Tensor, Tensor], radius: Tensor, roughness: float
) -> tuple[Tensor, Tensor]:
    """Opacity of a blob and of its core, which has the same outline at 0.55 of the size."""
    distance, outline = _rough_disc(canvas, centre, radius, roughness, None)
    sharpness = radius / (0.45 * canvas.pixel + 0.004)
    whole, core = ((share * outline - distance) * sharpness for share in (1.0, 0.55))
    return torch.sigmoid(whole), torch.sigmoid(core)


def _rough_disc(
    canvas: Canvas,
    centre: tuple[Tensor, Tensor],
    radius: Tensor,
    roughness: float,
    aspect: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Every pixel's distance from the centre, in radii, and the outline in its direction."""
    frame = Frame(canvas.frame.x - centre[0], canvas.frame.y - centre[1])
    height = radius * (canvas.uniform(0.8, 1.25) if aspect is None else aspect)
    distance, angle = frame.polar(radius, height)
    return distance, 1 + canvas.harmonics(angle, (2, 3, 5), roughness)


def streak(canvas: Canvas, centre: tuple[Tensor, Tensor]) -> Tensor:
    """Opacity in [0, 1] of a thin bent line, a vessel seen along its length, ``[N, H, W]``."""
    turn = canvas.uniform(-torch.pi, torch.pi)
    x, y = canvas.frame.x - centre[0], canvas.frame.y - centre[1]
    along = torch.cos(turn) * x + torch.sin(turn) * y
    across = torch.cos(turn) * y - torch.sin(turn) * x + canvas.uniform(-1.2, 1.2) * along**2
    length = canvas.uniform(0.10, 0.22)
    width = canvas.uniform(0.020, 0.032)
    ends = torch.sigmoid((length - along.abs()) / 0.02)
    return torch.exp(-((across / width) ** 2)) * ends


class Outline:
    """A rough closed curve a subject: how far it is from the middle in each direction, about 1.

    Args:
        canvas: to draw on.
        orders: how many lobes each harmonic has.
        roughness: largest share by which one harmonic moves the curve.
    """

    def __init__(self, canvas: Canvas, orders: tuple[int, ...], roughness: float) -> None:
        self.orders = orders
        self.sizes = roughness * canvas.uniform(-1, 1, len(orders))
        self.phases = canvas.uniform(-torch.pi, torch.pi, len(orders))

    def at(self, angle: Tensor) -> Tensor:
        """Its distance in the directions ``[N, ...]``, of the same shape."""
        shape = (-1, *[1] * (angle.dim() - 1))
        total = torch.ones_like(angle)
        for index, order in enumerate(self.orders):
            size, phase = self.sizes[:, 0, index], self.phases[:, 0, index]
            total = total + size.view(shape) * torch.cos(order * angle + phase.view(shape))
        return total
