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
    directions: list[str] = []
    if isinstance(explainer, DirectedExplainer):
        directions = [explainer.fitted.manifest.name, *desk.directions]
    return {
        "name": bundle.name,
        "method": bundle.method,
        "target": explainer.target,
        "target_name": bundle.target_name,
        "class_names": list(spec.class_names),
        "output": spec.output,
        "size": spec.size,
        "channels": spec.channels,
        "value_range": None if scale is None else [scale.low, scale.high],
        "positive_from": None if scale is None else scale.threshold,
        "directions": directions,
        "notes": list(desk.notes),
        "caution": poorness(bundle.metrics.get("held_out", {})),
        "resample": desk.resamples,
        "controls": [vars(control) for control in desk.controls],
    }
