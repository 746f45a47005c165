"""An audit as the content of ``audit.json``, and as rows for the terminal."""

from dataclasses import asdict
from typing import Any

from medxgan.audit.cohort import Cohort
from medxgan.audit.results import Agreement, Audit, Box, MethodAudit, Region
from medxgan.audit.wording import (
    conclusion,
    percent,
    place_words,
    sentence,
    terms,
    trust_sentence,
    where,
)

SCHEMA = 1
HEADER = ("place", "judgement", "pixels", "touched by", "peak", "counted", "flips alone", "both")


def document(audit: Audit, cohort: Cohort) -> dict[str, Any]:
    """Everything that was found, as values that JSON can hold. Pixels count from 0."""
    return {
        "schema": SCHEMA,
        "verdict": audit.verdict,
        "sentence": " ".join(conclusion(audit)),
        "trust": _trust(audit),
        "hints": [_agreement(agreed) for agreed in audit.agreements],
        "bundle_warning": audit.warning,
        "judged_by": audit.judge.method,
        "target": audit.target,
        "images": audit.images,
        "called_positive": audit.positives,
        "called_negative": audit.negatives,
        "explained": audit.explained,
        "flipped": audit.flipped,
        "flipped_on_image": audit.transferred,
        "status_ok": audit.trust.trusted,
        "masks_known": audit.masks,
        "lesions_excused": audit.excused,
        "settings": asdict(audit.settings) | {"methods": list(audit.settings.methods)},
        "methods": {found.method: _method(found, audit, cohort.names) for found in audit.methods},
        "skipped": audit.skipped,
        "terms": terms(audit),
    }


def region_rows(found: MethodAudit) -> list[tuple[str, ...]]:
    """Rows of a table under ``HEADER``."""
    return [
        (
            f"{region.number} {where(region)}",
            region.kind,
            str(region.area),
            percent(region.touched["value"]),
            percent(region.peak),
            percent(region.counted),
            percent(region.flips["value"]),
            percent(region.relied_on),
        )
        for region in found.regions
    ]


def _method(found: MethodAudit, audit: Audit, names: list[str]) -> dict[str, Any]:
    return {
        "verdict": found.verdict,
        "sentence": sentence(audit, found),
        "n": found.n,
        "failed": found.failed,
        "patients": found.patients,
        "places": found.places,
        "even_share": found.even,
        "critical_share": found.critical if found.critical <= 1 else None,
        "highest_share": float(found.share.max()),
        "highest_counted_share": float(found.counted.max()),
        "regions": [_region(region, names) for region in found.regions],
    }


def _trust(audit: Audit) -> dict[str, Any]:
    trust = audit.trust
    return {
        "explained": trust.explained,
        "trusted": trust.trusted,
        "few": trust.few,
        "images_unlike_training": trust.images_unlike,
        "problems": trust.problems,
        "sentence": trust_sentence(trust) or None,
    }


def _agreement(agreed: Agreement) -> dict[str, Any]:
    height, width = agreed.pixels.shape
    return {
        "where": place_words(agreed.box, height, width),
        "box": _box(agreed.box),
        "pixels": int(agreed.pixels.sum()),
        "counted_share": agreed.shares,
    }


def _box(box: Box) -> dict[str, int]:
    return dict(zip(("top", "left", "bottom", "right"), box, strict=True))


def _region(region: Region, names: list[str]) -> dict[str, Any]:
    return {
        "number": region.number,
        "kind": region.kind,
        "where": where(region),
        "box": _box(region.box),
        "pixels": region.area,
        "touched": region.touched,
        "peak_share": region.peak,
        "counted_share": region.counted,
        "chance": region.chance,
        "flips_alone": region.flips,
        "relied_on": region.relied_on,
        "mean_change": region.change,
        "mean_absolute_change": region.magnitude,
        "on_lesion": region.on_lesion,
        "examples": [names[row] for row in region.examples],
    }
