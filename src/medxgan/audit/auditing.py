"""``audit``: from an explainer and a data set to the places that a classifier may rely on."""

import torch

from medxgan.audit.agreement import agreed_places
from medxgan.audit.cohort import Cohort, Progress, explain_cohort
from medxgan.audit.recurrence import excuse_lesions, find_recurrence
from medxgan.audit.regions import dense, describe_regions
from medxgan.audit.results import Audit, MethodAudit, Region, Verdict
from medxgan.audit.settings import FEWEST, AuditSettings
from medxgan.audit.trust import judge_trust
from medxgan.data import Dataset
from medxgan.errors import ConfigError
from medxgan.explain.scores import Score, probability
from medxgan.explainer import Explainer
from medxgan.quality import poorness


def audit(
    explainer: Explainer,
    data: Dataset,
    settings: AuditSettings | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[Audit, Cohort]:
    """Find places that the explanations of a cohort touch again and again.

    True lesions lie in another place in every subject; a marker, a tube or a border does not.

    Args:
        explainer: from ``medxgan.load``.
        data: images, best those that a user would have at hand: held out, of the same source.
        settings: which methods, how many images, by which rule.
        progress: told how far it is.

    Returns:
        What was found, and the explained images.

    Raises:
        ConfigError: no method can be computed.
        DataError: images of another size, or none that the classifier calls positive.
    """
    settings = settings or AuditSettings()
    cohort = explain_cohort(explainer, data, settings, progress)
    if not cohort.maps:
        reasons = "; ".join(f"{method}: {reason}" for method, reason in cohort.skipped.items())
        raise ConfigError(f"none of the methods can be computed ({reasons}); choose another")
    return judge_cohort(explainer, cohort, settings, images=len(data)), cohort


def judge_cohort(
    explainer: Explainer, cohort: Cohort, settings: AuditSettings, *, images: int
) -> Audit:
    """Apply the rule to the maps of a cohort; ``images`` are in its data set."""
    score = probability(explainer.classifier, explainer.target)
    held_out = explainer.bundle.metrics.get("held_out", {})

    def on_cpu(batch: torch.Tensor) -> torch.Tensor:
        return score(batch.to(explainer.device)).cpu()

    methods = tuple(
        _judge_method(cohort, method, settings, on_cpu)
        for method in settings.methods
        if method in cohort.maps
    )
    return Audit(
        target=explainer.bundle.target_name,
        settings=settings,
        images=images,
        positives=cohort.positives,
        negatives=cohort.negatives,
        explained=len(cohort),
        flipped=int(cohort.flipped.sum()),
        transferred=int(cohort.transferred.sum()),
        trust=judge_trust(cohort.statuses, settings.rule.habit),
        masks=int(cohort.has_mask.sum()),
        excused=settings.masks and bool(cohort.has_mask.any()),
        mean_image=cohort.images.mean(dim=0),
        methods=methods,
        agreements=agreed_places(methods),
        skipped=cohort.skipped,
        warning=poorness(held_out),
    )


def _judge_method(
    cohort: Cohort, method: str, settings: AuditSettings, score: Score
) -> MethodAudit:
    heatmaps = cohort.maps[method]
    rows = heatmaps.isfinite().all(dim=(1, 2)).nonzero().flatten()
    heatmaps = heatmaps[rows]
    masks = cohort.masks[rows]
    excused = excuse_lesions(masks) if settings.masks else torch.zeros_like(masks)
    groups = dense(cohort.groups[rows])
    patients = len(groups.unique())
    if patients == 0:
        blank = torch.zeros(masks.shape[1:])
        return MethodAudit(
            method, "too few images", 0, len(cohort), 0, blank, blank, blank, 0.0, 2.0, 0, ()
        )
    found = find_recurrence(heatmaps, groups, excused, cohort.varied, settings.rule)
    regions = describe_regions(cohort, rows, heatmaps, found, score)
    return MethodAudit(
        method=method,
        verdict=_verdict(regions, patients),
        n=len(rows),
        failed=len(cohort) - len(rows),
        patients=patients,
        mean=heatmaps.mean(dim=0),
        share=found.share,
        counted=found.counted_share,
        even=found.even,
        critical=found.critical,
        places=found.places,
        regions=regions,
    )


def _verdict(regions: tuple[Region, ...], patients: int) -> Verdict:
    if patients < FEWEST:
        return "too few images"
    kinds = {region.kind for region in regions}
    if "suspicious" in kinds:
        return "suspicious"
    return "recurring" if "recurring" in kinds else "nothing found"
