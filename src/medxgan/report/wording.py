"""Numbers and names as a reader should see them."""

import math
from collections.abc import Mapping

METHOD_LABELS = {
    "lig": "LIG",
    "grad-cam": "Grad-CAM",
    "ig": "IG",
    "lig-transferred": "LIG, transferred",
    "lig-published": "LIG, as published",
    "occlusion": "Occlusion",
}

METHOD_NOTES = {
    "lig": "Latent integrated gradients: which pixels moved the score along the film. Sums to the "
    "change of the score from its negative to its positive end.",
    "grad-cam": "Class activation map of the classifier's last convolution; coarse, in arbitrary "
    "units.",
    "ig": "Integrated gradients along a straight line from a plain baseline to the original.",
    "lig-transferred": "LIG along the film as transferred to the original, with all real detail.",
    "lig-published": "Pixel difference times mean gradient, as in the medXGAN paper; its sum has "
    "no fixed meaning.",
    "occlusion": "Fall of the score when a small patch is covered.",
}


def scale_text(scale: float) -> str:
    """The end of a colour bar with two significant digits.

    >>> scale_text(0.4234), scale_text(12.0), scale_text(0.000031)
    ('0.42', '12', '3.1×10⁻⁵')
    """
    mantissa, exponent = f"{scale:.1e}".split("e")
    if -3 <= int(exponent) <= 3:
        return f"{float(f'{scale:.1e}'):.{max(0, 1 - int(exponent))}f}"
    superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}×10{superscript}"


def flip_text(redrawn: bool, transferred: bool) -> str:
    """Where the answer flipped: on the redrawn image, on the original with the change, or both.

    >>> flip_text(True, False)
    'flipped when redrawn, not on the original'
    >>> flip_text(False, False)
    'not flipped'
    """
    if redrawn:
        return f"flipped when redrawn, {'also' if transferred else 'not'} on the original"
    return "flipped on the original, not when redrawn" if transferred else "not flipped"


def fact_text(value: object) -> str:
    """One value of the summary or the footer; understands the entries of ``metrics.json``.

    >>> fact_text({"value": 0.98, "low": 0.95, "high": 1.0, "n": 200})
    '0.98 (95 % interval 0.95 to 1, n = 200)'
    >>> fact_text(None), fact_text(0.123456), fact_text(True), fact_text(["a", "b"])
    ('not computed', '0.123', 'yes', 'a, b')
    """
    match value:
        case None:
            text = "not computed"
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:.3g}" if math.isfinite(value) else "not computed"
        case list() | tuple():
            text = ", ".join(map(fact_text, value))
        case {"value": float() | int() as estimate, "low": low, "high": high, **rest}:
            interval = f"95 % interval {fact_text(low)} to {fact_text(high)}"
            count = f", n = {rest['n']}" if "n" in rest else ""
            text = f"{fact_text(estimate)} ({interval}{count})"
        case Mapping():
            text = "; ".join(f"{key}: {fact_text(entry)}" for key, entry in value.items())
        case _:
            text = str(value)
    return text
