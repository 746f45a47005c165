"""Does a bundle explain well enough to be read? Judged by its figures on held-out images."""

from collections.abc import Mapping

POOR_BELOW = 0.8
"""Trained bundles reach 0.9 and more on these figures, networks that have not learned yet 0.5 or
less on at least one; below four in five, a reader meets a failure in every handful of images."""

FIGURES = {
    "validity": "{} of the positives have a counterfactual called negative",
    "prediction_match": "{} of the reconstructions are called as their images are",
    "agreement_negative": "{} of the generated negatives are called negative",
    "agreement_positive": "{} of the generated positives are called positive",
}


def share_text(share: float) -> str:
    """A share in percent; all and none are said only where they are true.

    >>> [share_text(share) for share in (0.0, 0.0004, 0.5, 0.996, 0.9999, 1.0)]
    ['0 %', '0.1 %', '50 %', '99.6 %', '99.9 %', '100 %']
    """
    percent = round(100 * share, 1)
    if 0 < share < 1:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:g} %"


def poorness(held_out: Mapping[str, object]) -> str | None:
    """One sentence where a figure is below ``POOR_BELOW``, else None; unknown figures pass.

    Args:
        held_out: the figures that training measured at its end, by name.

    >>> poorness({"validity": 0.95, "agreement_positive": 0.9, "prediction_match": None})
    >>> poorness({"validity": 0.0, "agreement_positive": 0.43})
    ... # doctest: +NORMALIZE_WHITESPACE
    'This bundle explains badly: on held-out images only 0 % of the positives have a counterfactual
    called negative and 43 % of the generated positives are called positive; train longer, or with
    more images.'
    """
    poor = [
        words.format(share_text(float(value)))
        for name, words in FIGURES.items()
        if isinstance(value := held_out.get(name), int | float) and not value >= POOR_BELOW
    ]
    if not poor:
        return None
    *first, last = poor
    listed = f"{', '.join(first)} and {last}" if first else last
    return (
        f"This bundle explains badly: on held-out images only {listed}; train longer, or with more "
        "images."
    )
