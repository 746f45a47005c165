"""Why a figure of ``metrics.json`` is null."""

from collections.abc import Mapping

from medxgan.evaluate.columns import Place
from medxgan.evaluate.explained import has_encoder
from medxgan.evaluate.localization import SECTIONS
from medxgan.evaluate.maps import asks_classifier
from medxgan.evaluate.places import FIGURES
from medxgan.evaluate.task import Task
from medxgan.explain import METHODS

Reasons = dict[Place, str]

SECTIONS_OF_POSITIVES = (
    "monotonicity",
    "counterfactual",
    *SECTIONS,
    "deletion",
    "noise_robustness",
    "completeness",
    "sanity",
    "controls",
    "seconds_per_image",
)
SECTIONS_OF_METHODS: tuple[Place, ...] = (
    *((section,) for section in SECTIONS),
    ("deletion",),
    ("noise_robustness",),
    ("completeness",),
    ("sanity",),
    ("controls", "random_classifier"),
    ("seconds_per_image",),
)
NOT_ASKED = "it was not asked for"
UNMASKED = "no image called positive has a lesion mask"
NO_ENCODER = "the bundle has no encoder, and optimising the codes of every {} would take too long"
NEVER_ASKS = "it does not ask the classifier anything once that is trained"
OWN_MAP = "a function of one's own is not told which classifier to ask"


def reasons_for_nulls(
    task: Task, positives: int, skipped: Mapping[str, str], not_redrawn: str
) -> Reasons:
    """Place, or beginning of one -> why figures there are null if they are.

    Args:
        task: what was measured.
        positives: images that the classifier calls positive.
        skipped: method -> why it could not be computed.
        not_redrawn: why the classifier could not be drawn anew; empty where it was.
    """
    if positives == 0:
        nothing = f"the classifier calls none of the {len(task.data)} images positive"
        return {(section,): nothing for section in SECTIONS_OF_POSITIVES}
    reasons = _of_counterfactuals(task) | _of_maps(task) | _of_redrawn(task, not_redrawn)
    left_out = {name: NOT_ASKED for name in METHODS if name not in task.methods} | dict(skipped)
    for name, why in left_out.items():
        reasons |= {(*section, name): why for section in SECTIONS_OF_METHODS}
    return _of_controls(task, reasons)


def _of_counterfactuals(task: Task) -> Reasons:
    reasons: Reasons = {
        ("monotonicity", "spearman"): "the score is constant along every film",
        ("counterfactual", "outside_mask_mae"): UNMASKED,
    }
    for name in FIGURES["counterfactual"]:
        if name.startswith("oracle"):
            reasons["counterfactual", name] = "there is no oracle, an independent classifier"
        elif "twin" in name and not task.data.has_twins:
            reasons["counterfactual", name] = "the data set has no healthy twins"
        elif "twin" in name:
            reasons["counterfactual", name] = "every image called positive is its own healthy twin"
    return reasons


def _of_maps(task: Task) -> Reasons:
    reasons: Reasons = {(section,): UNMASKED for section in SECTIONS}
    reasons["completeness",] = "no film changes the score"
    if not has_encoder(task.explainer):
        return reasons | {("noise_robustness",): NO_ENCODER.format("noisy image")}
    for name in (*task.methods, *task.own_maps):
        place = ("noise_robustness", name)
        reasons[*place, "spearman"] = "its map is constant on every image"
        reasons[*place, "iou_ratio"] = "no image called positive has a lesion that its map meets"
    return reasons


def _of_redrawn(task: Task, not_redrawn: str) -> Reasons:
    reasons: Reasons = {}
    for section in (("sanity",), ("controls", "random_classifier")):
        reasons[section] = not_redrawn or UNMASKED
        reasons |= {(*section, name): NEVER_ASKS for name in METHODS if not asks_classifier(name)}
        reasons |= {(*section, name): OWN_MAP for name in task.own_maps}
    constant = "its maps, or those of the classifier drawn anew, are constant"
    return reasons | {("sanity",): not_redrawn or constant}


def _of_controls(task: Task, reasons: Reasons) -> Reasons:
    """Add why controls are null; where there are none at all, nothing else is said of them."""
    if not task.controls:
        others = {place: why for place, why in reasons.items() if place[0] != "controls"}
        return others | {("controls",): "controls were not asked for"}
    of_controls: Reasons = {("controls",): UNMASKED}
    if task.untrained is None:
        of_controls["controls", "untrained_generator"] = NO_ENCODER.format("control")
    return of_controls | reasons
