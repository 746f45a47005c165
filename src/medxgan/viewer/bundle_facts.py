"""What a page must know of the bundle with which images are opened."""

from typing import Any

from medxgan.directed_explainer import DirectedExplainer
from medxgan.quality import poorness
from medxgan.viewer.live import LiveDesk


def bundle_facts(desk: LiveDesk) -> dict[str, Any]:
    """Name, classes, sizes, sliders and cautions of a bundle at work, ready for JSON."""
    explainer = desk.explainer
    bundle, spec = explainer.bundle, explainer.spec
    scale = spec.value_scale
    return explained_facts(desk) | {
        "name": desk.name,
        "method": bundle.method,
        "target": explainer.target,
        "target_name": bundle.target_name,
        "class_names": list(spec.class_names),
        "output": spec.output,
        "size": spec.size,
        "channels": spec.channels,
        "value_range": None if scale is None else [scale.low, scale.high],
        "positive_from": None if scale is None else scale.threshold,
        "choices": [
            {"id": name, "label": choice_label(each)} for name, each in desk.choices.items()
        ],
        "notes": list(desk.notes),
        "controls": [vars(control) for control in desk.controls],
    }


def explained_facts(desk: LiveDesk) -> dict[str, Any]:
    """What differs from one explained direction of a bundle to another, of an open image, too."""
    explainer = desk.explainer
    return {
        "name": explainer.bundle.name,
        "direction": next((name for name, each in desk.choices.items() if each is desk), None),
        "caution": poorness(explainer.bundle.metrics.get("held_out", {})),
        "resample": desk.resamples,
    }


def choice_label(desk: LiveDesk) -> str:
    """An explained direction for people: its name, the class, and which model says so."""
    explainer = desk.explainer
    assert isinstance(explainer, DirectedExplainer)
    manifest = explainer.fitted.manifest
    record = manifest.classifier
    kind = record.architecture or record.kind or "model"
    return f"{manifest.name}: {manifest.target_name}, {kind} {record.fingerprint[:8]}"
