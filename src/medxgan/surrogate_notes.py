"""What a reader has to know where a surrogate stands for a model, in sentences."""

from collections.abc import Mapping
from typing import Any

from medxgan.classifiers import TorchClassifier
from medxgan.classifiers.likeness import Likeness
from medxgan.classifiers.surrogate import WithSurrogate, held_out_likeness, true_model_of
from medxgan.quality import share_text

WEAK_BELOW = 0.9
"""Agreement below which a surrogate is said to stand badly for its model: one call in ten differs,
and the counterfactuals that it guides will often not be the model's."""


def surrogate_notes(classifier: TorchClassifier, class_name: str) -> tuple[str, ...]:
    """Who answered and who lent the gradients; nothing of an ordinary classifier.

    Args:
        classifier: the explained one.
        class_name: the explained class.
    """
    known = true_model_of(classifier.measured)
    if known is None:
        return ()
    alike = alike_text(held_out_likeness(classifier.measured, class_name))
    if isinstance(classifier, WithSurrogate):
        who = (
            f"all answers here (scores, flips, statuses) are those of {known}; gradients, and the "
            f"maps that need them, are those of its surrogate, which {alike}"
        )
    else:
        who = (
            f"what is explained here is a surrogate that stands in for {known}, not that model "
            f"itself; it {alike}; give that model with --classifier (Python: medxgan.load(path, "
            "classifier=...)), and everything is measured with it"
        )
    weak = weakness(classifier.measured, class_name)
    return (who, *([weak] if weak else []))


def alike_text(held_out: Likeness | None) -> str:
    """How often a surrogate agrees with its model, as the predicate of a clause.

    >>> alike_text({"n": 420, "agreement": 0.9714})
    'calls 97.1 % of 420 held-out images as the model does'
    """
    if held_out is None:
        return "agrees with the model nobody knows how often"
    share = share_text(held_out["agreement"])
    return f"calls {share} of {held_out['n']} held-out images as the model does"


def here_text(here: Likeness) -> str:
    """How often surrogate and model agree on the very images of a report.

    >>> here_text({"n": 12, "agreement": 0.75, "score_difference": 0.04512})
    'on the 12 images here the surrogate calls 75 % as the model does; scores differ by 0.045'
    """
    return (
        f"on the {here['n']} image{'' if here['n'] == 1 else 's'} here the surrogate calls "
        f"{share_text(here['agreement'])} as the model does; scores differ by "
        f"{here['score_difference']:.3f}"
    )


def weakness(measured: Mapping[str, Any], class_name: str) -> str | None:
    """One sentence where a surrogate stands badly for its model, else None.

    The lower of agreement and balanced agreement counts, as saying always no agrees often where
    positives are rare.
    """
    held_out = held_out_likeness(measured, class_name)
    if held_out is None:
        return None
    lower = min(held_out["agreement"], held_out["balanced_agreement"])
    if lower >= WEAK_BELOW:
        return None
    return (
        f"the surrogate stands badly for its model: on {held_out['n']} held-out images it agrees "
        f"about '{class_name}' on {share_text(held_out['agreement'])}, and on "
        f"{share_text(held_out['balanced_agreement'])} with positives and negatives weighted "
        f"alike, and should on {share_text(WEAK_BELOW)} or more; distil with more images, more "
        "queries, more epochs or a larger --arch"
    )
