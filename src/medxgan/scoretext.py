"""A classifier's score as people read it: one wording for warnings, tables and pictures."""

import math


def score_text(score: float) -> str:
    """A probability with three decimals that never pretends to be certain.

    >>> [score_text(p) for p in (0.5, 0.9996, 1.0, 0.0001, 0.0, 2.5, float("nan"))]
    ['0.500', '>0.999', '>0.999', '<0.001', '<0.001', '2.500', 'not known']
    """
    if not math.isfinite(score):
        return "not known"
    if 0.9995 <= score <= 1:
        return ">0.999"
    if 0 <= score < 0.0005:
        return "<0.001"
    return f"{score:.3f}"


def side_text(score: float) -> str:
    """The side of the decision on which a score lies, and the score.

    >>> side_text(0.306), side_text(0.9996)
    ('negative (0.306)', 'positive (>0.999)')
    """
    return f"{'positive' if score >= 0.5 else 'negative'} ({score_text(score)})"
