"""What the figures of ``metrics.json`` are called, which way is better, and what they mean."""

from dataclasses import dataclass
from typing import Literal

from medxgan.report.wording import METHOD_LABELS, scale_text

Better = Literal["higher", "lower", "near zero", "neither"]
Place = tuple[str, ...]

METHOD = "METHOD"
"""Stands in a place of ``metrics.json`` where the name of an attribution method does."""

NOTHING = "–"


@dataclass(frozen=True)
class Measure:
    """A figure of ``metrics.json`` in words.

    Attributes:
        label: its name, short enough for the head of a column.
        better: which values are good ones.
        meaning: one sentence.
    """

    label: str
    better: Better
    meaning: str


LOCALIZATION = {
    "pointing": Measure(
        "pointing", "higher", "Share of images whose strongest pixel lies inside the lesion."
    ),
    "average_precision": Measure(
        "average precision",
        "higher",
        "How well the order of the pixels, strongest first, finds those of the lesion.",
    ),
    "iou": Measure(
        "IoU",
        "higher",
        "Overlap with the lesion of as many strongest pixels as the lesion has: intersection "
        "over union.",
    ),
    "dice": Measure(
        "Dice", "higher", "The same overlap as twice the intersection over the sum of both areas."
    ),
    "concentration": Measure(
        "concentration",
        "higher",
        "Density of the evidence inside the lesion over its density in the image; 1 is chance.",
    ),
}

SECTIONS: dict[str, tuple[str, str, dict[str, Measure]]] = {
    "counterfactual": (
        "Counterfactuals",
        "What becomes of the images called positive once the finding is taken out.",
        {
            "validity": Measure(
                "validity",
                "higher",
                "Share whose redrawn negative x⁻ the classifier calls negative; failures counted.",
            ),
            "crossing": Measure(
                "crossing",
                "higher",
                "Share for which the change itself crosses 0.5: the reconstruction x̂ is still "
                "called positive, its negative x⁻ is not.",
            ),
            "transfer_validity": Measure(
                "transfer validity",
                "higher",
                "Share that is called negative once the change is made on the original itself.",
            ),
            "oracle_before": Measure(
                "oracle: before",
                "neither",
                "Share of the originals that an independent classifier calls positive.",
            ),
            "oracle_validity": Measure(
                "oracle validity",
                "higher",
                "Share of the redrawn negatives that the independent classifier calls negative, "
                "of those whose original it calls positive.",
            ),
            "oracle_transfer_validity": Measure(
                "oracle transfer validity",
                "higher",
                "The same once the change is made on the original itself.",
            ),
            "preservation_ssim": Measure(
                "preservation (SSIM)",
                "higher",
                "Likeness of the reconstruction x̂ and the negative x⁻: 1 where nothing changed.",
            ),
            "outside_mask_mae": Measure(
                "change outside the lesion",
                "lower",
                "Mean absolute change of pixels outside the lesion; intensities span 2.",
            ),
            "image_twin_psnr": Measure(
                "original to healthy twin (dB)",
                "neither",
                "PSNR of the untouched original and its healthy twin: the mark to beat.",
            ),
            "twin_psnr": Measure(
                "negative to healthy twin (dB)",
                "higher",
                "PSNR of the redrawn negative and the same subject without lesion.",
            ),
            "reconstruction_twin_psnr": Measure(
                "reconstruction to healthy twin (dB)",
                "neither",
                "PSNR of the reconstruction and the healthy twin.",
            ),
            "transferred_twin_psnr": Measure(
                "transferred to healthy twin (dB)",
                "higher",
                "PSNR of the original with the change made on it and its healthy twin.",
            ),
            "image_twin_ssim": Measure(
                "original to healthy twin (SSIM)",
                "neither",
                "Likeness of the untouched original and its healthy twin: the mark to beat.",
            ),
            "twin_ssim": Measure(
                "negative to healthy twin (SSIM)",
                "higher",
                "Likeness of the redrawn negative and the healthy twin.",
            ),
            "reconstruction_twin_ssim": Measure(
                "reconstruction to healthy twin (SSIM)",
                "neither",
                "Likeness of the reconstruction and the healthy twin.",
            ),
            "transferred_twin_ssim": Measure(
                "transferred to healthy twin (SSIM)",
                "higher",
                "Likeness of the original with the change made on it and its healthy twin.",
            ),
        },
    ),
    "agreement": (
        "Agreement",
        "Does the classifier call images drawn from the prior what they were drawn as?",
        {
            "negative": Measure("negative", "higher", "Share of drawn negatives called negative."),
            "positive": Measure("positive", "higher", "Share of drawn positives called positive."),
            "balanced": Measure("balanced", "higher", "Mean of the two."),
        },
    ),
    "monotonicity": (
        "Monotonicity",
        "Does the score rise along the films of the images called positive?",
        {
            "spearman": Measure(
                "Spearman", "higher", "Rank correlation of frame number and score."
            ),
            "monotone_paths": Measure(
                "monotone films",
                "higher",
                "Share of films that never fall by more than 0.01. A film in which nothing "
                "happens is one of them: read it beside crossing.",
            ),
        },
    ),
    "monotonicity_prior": (
        "Monotonicity, drawn images",
        "The same along films of codes drawn from the prior.",
        {
            "spearman": Measure(
                "Spearman", "higher", "Rank correlation of frame number and score."
            ),
            "monotone_paths": Measure(
                "monotone films",
                "higher",
                "Share of films that never fall by more than 0.01. A film in which nothing "
                "happens is one of them: read it beside the agreement.",
            ),
        },
    ),
    "reconstruction": (
        "Reconstruction",
        "How like the original is the generator's copy, over all images?",
        {
            "mse": Measure("MSE", "lower", "Mean squared error; intensities span 2."),
            "psnr": Measure("PSNR (dB)", "higher", "Peak signal-to-noise ratio."),
            "ssim": Measure("SSIM", "higher", "Structural similarity; 1 is the same image."),
            "prediction_match": Measure(
                "prediction match", "higher", "Share of copies that are called as the original is."
            ),
            "prediction_mae": Measure(
                "prediction gap", "lower", "Mean absolute difference of the two scores."
            ),
        },
    ),
    "value": (
        "Values",
        "What the model's value becomes, in its own units, over the images called positive.",
        {
            "image": Measure("originals", "neither", "Mean value of the originals."),
            "reconstruction": Measure("reconstructions", "neither", "The same of their copies."),
            "counterfactual": Measure(
                "negatives", "neither", "Of the copies once the finding is taken out."
            ),
            "transferred": Measure(
                "transferred", "neither", "Of the originals with the change made on them."
            ),
            "reconstruction_mae": Measure(
                "value gap", "lower", "Mean absolute difference of original and copy."
            ),
        },
    ),
    "realism": (
        "Realism",
        "Distance of drawn and real images in this classifier's own features. These figures "
        "compare generators for this classifier on these images, and nothing else: they are not "
        "comparable with FID or KID by Inception, nor between classifiers. The floors are the same "
        "between two halves of the real images, so no generator can be far below them.",
        {
            "fid": Measure("FID", "lower", "Fréchet distance, drawn to real."),
            "fid_floor": Measure("FID, real to real", "neither", "What perfect images would have."),
            "kid": Measure("KID", "lower", "Kernel distance, drawn to real; unbiased for few."),
            "kid_floor": Measure("KID, real to real", "neither", "What perfect images would have."),
        },
    ),
}


FACTS = {
    "classifier": "classifier, fingerprint",
    "oracle": "oracle, fingerprint",
    "codes": "codes drawn from the prior",
    "images at once": "images in a batch",
}
"""What was measured, and how: name in ``metrics.json`` -> on the page, where it says more."""


def method_label(method: str) -> str:
    """A method as the report calls it; one of the user's own keeps its name.

    >>> method_label("lig-transferred"), method_label("difference"), method_label("mine")
    ('LIG, transferred', 'Difference', 'mine')
    """
    return "Difference" if method == "difference" else METHOD_LABELS.get(method, method)


def number_text(value: float | None) -> str:
    """A figure with three decimals, fewer above 1, more below 0.001.

    >>> [number_text(value) for value in (0.81234, -1.0, 6.758, 31.26, 0.00004, 0.0, None)]
    ['0.812', '−1.000', '6.76', '31.3', '4.0×10⁻⁵', '0.000', '–']
    """
    if value is None:
        return NOTHING
    size = abs(value)
    if 0 < size < 0.001:
        text = scale_text(size)
    else:
        text = f"{size:.{1 if size >= 10 else 2 if size > 1 else 3}f}"
    return f"−{text}" if value < 0 else text


def share_text(share: str) -> str:
    """A share as ``metrics.json`` names it, in per cent.

    >>> share_text("0.05"), share_text("0.2")
    ('5\\xa0%', '20\\xa0%')
    """
    return f"{100 * float(share):g}\N{NO-BREAK SPACE}%"


def place_text(place: Place) -> str:
    """A place of ``metrics.json`` as people read it.

    >>> place_text(("noise_robustness", "lig", "iou_ratio", "0.1"))
    'noise robustness, lig, iou ratio, 0.1'
    """
    return ", ".join(name.replace("_", " ") for name in place)
