"""Steering a code to a wanted answer: the local direction of each image, step by step.

One direction for all images is a compromise. Here the gradient of the evidence at this very code,
and how each step changes this very image, are measured by finite differences: by asking the model,
never its gradient. Each step then raises the evidence for the least change of the image.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from medxgan.explain.direction import CodeFrame, least_change

Draw = Callable[[Tensor], Tensor]
"""Codes ``[M, d]`` -> images ``[M, C, H, W]``."""
Evidence = Callable[[Tensor], Tensor]
"""Images ``[M, C, H, W]`` -> evidence ``[M]``: log-odds, or the value of a regression."""

PROBE = 0.3
"""Length of a finite difference, in standard deviations of the prior."""
DAMPING = 0.1
LONGEST = 2.0
"""Most that one step moves a code, in standard deviations."""
STEPS = 12
FLAT = 1e-4
"""Rise of evidence along a unit step below which it is called flat."""


@dataclass(frozen=True)
class Slope:
    """What small steps in each coordinate do to N images.

    Attributes:
        gradient: of the evidence, ``[N, k]``; zeros where no model was asked.
        metric: squared change of the image for a step s is ``s · metric · s``, ``[N, k, k]``.
    """

    gradient: Tensor
    metric: Tensor


@dataclass(frozen=True)
class Steered:
    """Where N codes were steered to.

    Attributes:
        codes: ``[N, d]``.
        evidence: there, ``[N]``.
        reached: is it as much as was wanted, or more, on the way? ``[N]``.
    """

    codes: Tensor
    evidence: Tensor
    reached: Tensor


@torch.no_grad()
def measure_slope(
    draw: Draw, evidence: Evidence | None, codes: Tensor, frame: CodeFrame, probe: float = PROBE
) -> Slope:
    """Finite differences at codes ``[N, d]``: 2 k images each; without a model, of these alone."""
    gradients, metrics = [], []
    offsets = frame.offsets(probe * torch.eye(len(frame.axes), device=codes.device))
    for code in codes:
        ahead, behind = draw(code + offsets), draw(code - offsets)
        rise = evidence(ahead) - evidence(behind) if evidence else ahead.new_zeros(len(ahead))
        gradients.append(rise / (2 * probe))
        change = (ahead - behind).flatten(1).float() / (2 * probe)
        metrics.append(change @ change.T)
    return Slope(torch.stack(gradients).float(), torch.stack(metrics))


@torch.no_grad()
def steer(
    draw: Draw,
    evidence: Evidence,
    codes: Tensor,
    wanted: Tensor,
    frame: CodeFrame,
    *,
    fallback: Tensor,
    steps: int = STEPS,
    damping: float = DAMPING,
) -> Steered:
    """Move each code until its image has the wanted evidence, for the least change of the image.

    Args:
        draw: codes to images.
        evidence: of images.
        codes: to start from, ``[N, d]``.
        wanted: evidence to be had, ``[N]``.
        frame: coordinates to step in.
        fallback: direction in coordinates ``[k]`` that raises the evidence, taken where the model's
            answer does not move at all near a code.
        steps: at most.
        damping: see ``least_change``.
    """
    codes = codes.clone()
    now = evidence(draw(codes))
    upwards = wanted > now
    for _ in range(steps):
        going = torch.nonzero(_short_of(now, wanted, upwards)).flatten()
        if len(going) == 0:
            break
        slope = measure_slope(draw, evidence, codes[going], frame)
        direction = least_change(slope.gradient, slope.metric, damping)
        rise = (slope.gradient * direction).sum(dim=1)
        flat = rise < FLAT
        direction[flat] = fallback / fallback.norm()
        length = (wanted[going] - now[going]) / rise.clamp_min(FLAT)
        length = length.clamp(-LONGEST, LONGEST)
        codes[going] += frame.offsets(length[:, None] * direction)
        now[going] = evidence(draw(codes[going]))
    return Steered(codes, now, ~_short_of(now, wanted, upwards))


def _short_of(now: Tensor, wanted: Tensor, upwards: Tensor) -> Tensor:
    return torch.where(upwards, now < wanted, now > wanted)


@torch.no_grad()
def reach_along(
    draw: Draw,
    evidence: Evidence,
    codes: Tensor,
    wanted: Tensor,
    direction: Tensor,
    *,
    farthest: float,
    halvings: int = 8,
) -> Tensor:
    """How far along one direction the wanted evidence is first had.

    Looks at strengths that double up to the farthest, then halves the interval in which it is
    crossed.

    Args:
        draw: codes to images.
        evidence: of images.
        codes: ``[N, d]``.
        wanted: evidence, ``[N]``.
        direction: in codes, ``[d]``, that raises the evidence; it is followed backwards where less
            evidence is wanted.
        farthest: largest strength.
        halvings: of the interval.

    Returns:
        Signed strengths ``[N]``; the farthest where it is not reached.
    """
    upwards = wanted > evidence(draw(codes))
    sign = torch.where(upwards, 1.0, -1.0)
    low, high = torch.zeros_like(sign), torch.full_like(sign, farthest)

    def is_short(strength: Tensor) -> Tensor:
        moved = codes + (sign * strength)[:, None] * direction
        return _short_of(evidence(draw(moved)), wanted, upwards)

    found = torch.zeros_like(upwards)
    for strength in farthest / 2.0 ** torch.arange(4, -1, -1):
        tried = torch.full_like(sign, float(strength))
        crossed = ~is_short(tried) & ~found
        high = torch.where(crossed, tried, high)
        low = torch.where(crossed | found, low, tried)
        found |= crossed
    for _ in range(halvings):
        middle = (low + high) / 2
        short = is_short(middle)
        low, high = torch.where(short & found, middle, low), torch.where(short, high, middle)
    return sign * torch.where(found, high, torch.full_like(high, farthest))
