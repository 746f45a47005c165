"""Places on which maps agree that need no generator: a hint where the generator fails."""

from collections.abc import Sequence

import torch

from medxgan.audit.recurrence import bridge_of
from medxgan.audit.results import Agreement, MethodAudit
from medxgan.metrics.cohort import connected_regions


def agreed_places(methods: Sequence[MethodAudit]) -> tuple[Agreement, ...]:
    """Where the recurring places of two or more methods without a generator meet.

    Maps differ in grain, so that places meet across a gap, too, if it is so narrow that it would
    not part a region.

    Args:
        methods: what the maps of each show; those with too few images say nothing.

    Returns:
        The place that most explanations touch first.
    """
    recurring = [
        (found.method, region)
        for found in methods
        if not found.generated and found.verdict != "too few images"
        for region in found.regions
        if region.kind != "spread"
    ]
    if not recurring:
        return ()
    together = torch.stack([region.pixels for _, region in recurring]).any(dim=0)
    numbers = connected_regions(together, bridge_of(together))
    agreements = []
    for number in range(1, int(numbers.max()) + 1):
        place = numbers == number
        shares: dict[str, float] = {}
        for method, region in recurring:
            if bool((region.pixels & place).any()):
                shares[method] = max(shares.get(method, 0.0), region.counted)
        if len(shares) > 1:
            agreements.append(Agreement(place, shares))
    return tuple(sorted(agreements, key=lambda agreed: -min(agreed.shares.values())))
