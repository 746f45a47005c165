"""Why a figure of ``metrics.json`` is null."""

from medxgan.evaluate.columns import COMPLETE_METHODS, Place
from medxgan.evaluate.document import FIGURES
from medxgan.evaluate.passes import Task
from medxgan.explain import METHODS

NOT_MEASURED = "this version does not measure it"
SECTIONS_OF_POSITIVES = (
    "monotonicity",
    "counterfactual",
    "localization",
    "localization_smoothed",
    "completeness",
    "seconds_per_image",
)


def reasons_for_nulls(task: Task, positives: int, skipped: dict[str, str]) -> dict[Place, str]:
    """Place, or beginning of one -> why figures there are null if they are.

    Args:
        task: what was measured.
        positives: images that the classifier calls positive.
        skipped: method -> why it could not be computed.
    """
    reasons: dict[Place, str] = {
        (section,): NOT_MEASURED
        for section in ("deletion", "noise_robustness", "sanity", "realism")
    }
    if positives == 0:
        nothing = f"the classifier calls none of the {len(task.data)} images positive"
        return reasons | {(section,): nothing for section in SECTIONS_OF_POSITIVES}
    not_asked = {name: "it was not asked for" for name in METHODS if name not in task.methods}
    unmasked = "no image called positive has a lesion mask"
    for section in ("localization", "localization_smoothed"):
        reasons[section,] = unmasked
        reasons |= {(section, name): why for name, why in (not_asked | skipped).items()}
    reasons |= {
        ("completeness", name): (not_asked | skipped).get(name, "no film changes the score")
        for name in COMPLETE_METHODS
    }
    for name in FIGURES["counterfactual"]:
        if name.startswith("oracle"):
            reasons["counterfactual", name] = "there is no oracle, an independent classifier"
        elif "twin" in name and not task.data.has_twins:
            reasons["counterfactual", name] = "the data set has no healthy twins"
        elif "twin" in name:
            reasons["counterfactual", name] = "every image called positive is its own healthy twin"
    reasons["counterfactual", "outside_mask_mae"] = unmasked
    reasons["monotonicity", "spearman"] = "the score is constant along every film"
    return reasons
