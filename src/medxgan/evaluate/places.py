"""Where all figures of ``metrics.json`` stand, and why some of them are null."""

from collections.abc import Iterable, Iterator, Mapping

from medxgan.evaluate.columns import Place
from medxgan.evaluate.controls import CHANGE_FIGURES, CHANGES
from medxgan.evaluate.explained import has_encoder
from medxgan.evaluate.faithfulness import COMPLETE_METHODS, FILLINGS, SHARES
from medxgan.evaluate.localization import LOCALIZATION, SECTIONS
from medxgan.evaluate.maps import asks_classifier
from medxgan.evaluate.noise import FIGURES as NOISE_FIGURES
from medxgan.evaluate.noise import SIGMAS
from medxgan.evaluate.realism import NAMES
from medxgan.evaluate.task import Task
from medxgan.explain import METHODS

FIGURES: dict[str, tuple[str, ...]] = {
    "agreement": ("negative", "positive", "balanced"),
    "monotonicity": ("spearman", "monotone_paths"),
    "monotonicity_prior": ("spearman", "monotone_paths"),
    "reconstruction": ("mse", "psnr", "ssim", "prediction_match", "prediction_mae"),
    "counterfactual": (
        "validity",
        "crossing",
        "oracle_before",
        "oracle_validity",
        "transfer_validity",
        "oracle_transfer_validity",
        "preservation_ssim",
        "outside_mask_mae",
        "twin_psnr",
        "twin_ssim",
        "image_twin_psnr",
        "image_twin_ssim",
        "reconstruction_twin_psnr",
        "reconstruction_twin_ssim",
        "transferred_twin_psnr",
        "transferred_twin_ssim",
    ),
}

Reasons = dict[Place, str]

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
NO_ORACLE = "there is no oracle, an independent classifier"
ORACLE_DENIES = "the oracle calls none of the images positive that the classifier calls positive"
UNMASKED = "no image called positive has a lesion mask"
NO_ENCODER = "the bundle has no encoder, and optimising the codes of every {} would take too long"
NEVER_ASKS = "it does not ask the classifier anything once that is trained"
OWN_MAP = "a function of one's own is not told which classifier to ask"


def places(methods: Iterable[str]) -> list[Place]:
    """Where all figures of ``metrics.json`` stand, in their order.

    >>> places(["ig"])[:2]
    [('agreement', 'negative'), ('agreement', 'positive')]
    """
    methods = tuple(methods)
    return [
        *((section, name) for section, names in FIGURES.items() for name in names),
        *((s, method, name) for s in SECTIONS for method in methods for name in LOCALIZATION),
        *(("deletion", m, filling, s) for m in methods for filling in FILLINGS for s in SHARES),
        *(
            ("noise_robustness", method, name, str(sigma))
            for method in methods
            for name in NOISE_FIGURES
            for sigma in SIGMAS
        ),
        *(("completeness", m, name) for m in COMPLETE_METHODS for name in ("mean", "median")),
        *(("sanity", method) for method in methods),
        *(("realism", name) for name in NAMES),
        *_controls(methods),
        *(("seconds_per_image", name) for name in ("explanation", "film", *methods)),
    ]


def reasons_for_nulls(task: Task, skipped: Mapping[str, str], not_redrawn: str) -> Reasons:
    """Place, or beginning of one -> why figures there are null if they are.

    Args:
        task: what was measured.
        skipped: method -> why it could not be computed.
        not_redrawn: why the classifier could not be drawn anew; empty where it was.
    """
    reasons = _of_counterfactuals(task) | _of_maps(task) | _of_redrawn(task, not_redrawn)
    left_out = {name: NOT_ASKED for name in METHODS if name not in task.methods} | dict(skipped)
    for name, why in left_out.items():
        reasons |= {(*section, name): why for section in SECTIONS_OF_METHODS}
    return _of_controls(task, reasons)


def _controls(methods: tuple[str, ...]) -> Iterator[Place]:
    for control in (*CHANGES, "random_map"):
        if control in CHANGES:
            yield from (("controls", control, name) for name in CHANGE_FIGURES)
        yield from (("controls", control, s, name) for s in SECTIONS for name in LOCALIZATION)
    for method in methods:
        place = ("controls", "random_classifier", method)
        yield from ((*place, section, name) for section in SECTIONS for name in LOCALIZATION)


def _of_counterfactuals(task: Task) -> Reasons:
    reasons: Reasons = {
        ("monotonicity", "spearman"): "the score is constant along every film",
        ("counterfactual", "outside_mask_mae"): UNMASKED,
    }
    for name in FIGURES["counterfactual"]:
        if name.startswith("oracle"):
            reasons["counterfactual", name] = NO_ORACLE if task.oracle is None else ORACLE_DENIES
        elif "twin" in name and not task.data.has_twins:
            reasons["counterfactual", name] = "the data set has no healthy twins"
        elif "twin" in name:
            reasons["counterfactual", name] = "every image called positive is its own healthy twin"
    return reasons


def _of_maps(task: Task) -> Reasons:
    reasons: Reasons = {(section,): UNMASKED for section in SECTIONS}
    reasons["completeness",] = "no film changes the score"
    if not task.noise:
        return reasons | {("noise_robustness",): "noise was not asked for"}
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
