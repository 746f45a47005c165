"""Write an audit: ``audit.json``, figures and arrays, and a page for the browser."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from medxgan.audit.cohort import Cohort
from medxgan.audit.document import document
from medxgan.audit.recurrence import bridge_of
from medxgan.audit.results import Audit, MethodAudit, Region
from medxgan.audit.wording import conclusion, percent, sentence, terms, where, with_interval
from medxgan.counting import counted
from medxgan.data import write_npz
from medxgan.explain import METHODS
from medxgan.explain.scores import evaluate, probability
from medxgan.explainer import Explainer
from medxgan.metrics.cohort import grow
from medxgan.metrics.counterfactual import POSITIVE_FROM
from medxgan.report.audit import AuditPage, Example, MethodPart, Place, render_audit
from medxgan.report.audit_labels import Spot, label_spots
from medxgan.report.audit_pictures import (
    HOW_MUCH,
    HOW_OFTEN,
    Outlined,
    amount_picture,
    end_text,
    places_figure,
)
from medxgan.report.figures import data_uri, intensity_picture
from medxgan.report.staging import staged_folder
from medxgan.report.vector import outline_path
from medxgan.scoretext import score_text
from medxgan.version import __version__

JSON_FILE, PAGE_FILE, MAPS_FILE = "audit.json", "audit.html", "audit.npz"


def write_audit(
    audit: Audit,
    cohort: Cohort,
    explainer: Explainer,
    folder: Path,
    *,
    data_name: str,
    shown: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write ``audit.html``, ``audit.json``, ``audit.npz`` and a PNG for each method.

    Args:
        audit: what was found.
        cohort: the explained images, for the examples.
        explainer: says how the examples are judged when a place is changed.
        folder: made where missing; files of the same name are replaced.
        data_name: of the data set, for the page.
        shown: how files that leave a choice were shown, such as their window; for the page.

    Returns:
        The path of the page.

    Raises:
        OutputError: the folder cannot be written; no file is left half-written.
    """
    text = json.dumps(document(audit, cohort), indent=2, ensure_ascii=False, allow_nan=False)
    page = render_audit(_page(audit, cohort, explainer, {"data": data_name, **shown}))
    with staged_folder(folder) as stage:
        (stage / JSON_FILE).write_text(text + "\n", encoding="utf-8")
        (stage / PAGE_FILE).write_text(page, encoding="utf-8")
        write_npz(stage / MAPS_FILE, **_arrays(audit))
        for found in audit.methods:
            (stage / f"places-{found.method}.png").write_bytes(_figure(audit, found))
    return folder / PAGE_FILE


def _arrays(audit: Audit) -> dict[str, Any]:
    """Mean image, and mean map, touch share and numbered places of each method."""
    arrays = {"mean_image": audit.mean_image.float().numpy()}
    for found in audit.methods:
        places = torch.zeros(found.share.shape)
        for region in found.regions:
            places[region.pixels] = region.number
        arrays[f"{found.method}_mean"] = found.mean.float().numpy()
        arrays[f"{found.method}_touch_share"] = found.share.float().numpy()
        arrays[f"{found.method}_places"] = places.numpy()
    return arrays


def _figure(audit: Audit, found: MethodAudit) -> bytes:
    places = [Outlined(r.number, r.kind, r.pixels) for r in found.regions]
    count = counted(found.n, "explanation")
    title = f"{METHODS[found.method].title}, {count}: {found.verdict}"
    return places_figure(audit.mean_image, found.mean, found.share, places, title)


def _page(audit: Audit, cohort: Cohort, explainer: Explainer, data: Mapping[str, str]) -> AuditPage:
    height, width = audit.mean_image.shape[-2:]
    explained = f"of {counted(audit.positives, 'positive')}"
    trust, suspicious = audit.trust, len(audit.judge.suspicious)
    return AuditPage(
        title=f"What decides '{audit.target}'?",
        target=audit.target,
        warning=audit.warning,
        verdict=audit.verdict,
        conclusion=conclusion(audit),
        tiles=[
            ("images", str(audit.images), "in the data"),
            ("called positive", str(audit.positives), f"{audit.negatives} called negative"),
            ("explained", str(audit.explained), explained),
            ("trusted", str(trust.trusted), "explanations with status OK"),
            ("flipped", str(audit.flipped), "by the redrawn image"),
            ("flipped, transferred", str(audit.transferred), "by the change on the original"),
            ("suspicious places", str(suspicious), f"by {METHODS[audit.judge.method].title}"),
        ],
        mean_image=data_uri(intensity_picture(audit.mean_image)),
        size=(width, height),
        methods=[_part(audit, found, cohort, explainer) for found in audit.methods],
        skipped=audit.skipped,
        terms=terms(audit),
        facts={
            **data,
            "bundle": explainer.bundle.name,
            "explained class": audit.target,
            "classifier": explainer.bundle.classifier.fingerprint[:12],
            "lesion masks known": f"{audit.masks} of {audit.explained}",
            "seed of the draw": audit.settings.seed,
            "written by": f"medxgan {__version__}",
        },
    )


def _part(audit: Audit, found: MethodAudit, cohort: Cohort, explainer: Explainer) -> MethodPart:
    facts = {
        "Explanations looked at": f"{found.n}"
        + (f", {found.failed} failed" if found.failed else ""),
        "Patients, or other groups": str(found.patients),
        "Even spread": f"{percent(found.even)} of explanations at any pixel",
        "A place recurs from": f"{percent(found.critical)} of explanations on"
        if found.critical <= 1
        else "no share on: too few explanations, or too wide maps",
        "Most touched pixel": percent(float(found.share.max())),
        "Most counted pixel": percent(float(found.counted.max())),
        "Pixels tested": str(found.places),
    }
    spots = label_spots([region.pixels for region in found.regions])
    return MethodPart(
        label=METHODS[found.method].title,
        verdict=found.verdict,
        sentence=sentence(audit, found),
        mean=data_uri(amount_picture(found.mean, float(found.mean.max()), HOW_MUCH)),
        mean_end=end_text(found.mean),
        share=data_uri(amount_picture(found.share, float(found.share.max()), HOW_OFTEN)),
        share_end=percent(float(found.share.max())),
        facts=facts,
        places=[
            _place(region, spot, found.method, cohort, explainer)
            for region, spot in zip(found.regions, spots, strict=True)
        ],
    )


def _place(region: Region, spot: Spot, method: str, cohort: Cohort, explainer: Explainer) -> Place:
    return Place(
        number=region.number,
        kind=region.kind,
        where=where(region),
        cells=[
            (str(region.area), ""),
            with_interval(region.touched),
            (percent(region.peak), ""),
            (percent(region.counted), ""),
            (f"p = {region.chance:.1g}" if region.chance >= 1e-6 else "p < 0.000001", ""),
            with_interval(region.flips),
            (percent(region.relied_on), ""),
            (f"{region.change:+.2f}", f"absolute {region.magnitude:.2f}"),
            with_interval(region.on_lesion, "no masks"),
        ],
        outline=outline_path(region.pixels),
        label=spot,
        examples=[_example(row, region, method, cohort, explainer) for row in region.examples],
    )


def _example(
    row: int, region: Region, method: str, cohort: Cohort, explainer: Explainer
) -> Example:
    image, heat = cohort.images[row], cohort.maps[method][row]
    rim = grow(region.pixels, 2 * bridge_of(region.pixels))
    changed = (image + cohort.removal[row] * rim).clamp(-1, 1)
    score = probability(explainer.classifier, explainer.target)
    after = float(evaluate(score, changed[None].to(explainer.device))[0])
    return Example(
        name=cohort.names[row],
        image=data_uri(intensity_picture(image)),
        evidence=data_uri(amount_picture(heat, float(heat.max()), HOW_MUCH)),
        changed=data_uri(intensity_picture(changed)),
        score=score_text(float(cohort.scores[row])),
        score_changed=score_text(after),
        flipped=after < POSITIVE_FROM,
        lesion=outline_path(cohort.masks[row]) if bool(cohort.masks[row].any()) else "",
    )
