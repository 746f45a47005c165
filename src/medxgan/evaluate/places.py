"""Where all figures of ``metrics.json`` stand."""

from collections.abc import Iterable, Iterator

from medxgan.evaluate.columns import Place
from medxgan.evaluate.completeness import COMPLETE_METHODS
from medxgan.evaluate.controls import CHANGES, VALIDITIES
from medxgan.evaluate.deletion import FILLINGS, SHARES
from medxgan.evaluate.localization import LOCALIZATION, SECTIONS
from medxgan.evaluate.noise import FIGURES as NOISE_FIGURES
from medxgan.evaluate.noise import SIGMAS
from medxgan.evaluate.realism import NAMES

FIGURES: dict[str, tuple[str, ...]] = {
    "agreement": ("negative", "positive", "balanced"),
    "monotonicity": ("spearman", "monotone_paths"),
    "monotonicity_prior": ("spearman", "monotone_paths"),
    "reconstruction": ("mse", "psnr", "ssim", "prediction_match", "prediction_mae"),
    "counterfactual": (
        "validity",
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


def _controls(methods: tuple[str, ...]) -> Iterator[Place]:
    for control in (*CHANGES, "random_map"):
        if control in CHANGES:
            yield from (("controls", control, name) for name in VALIDITIES)
        yield from (("controls", control, s, name) for s in SECTIONS for name in LOCALIZATION)
    for method in methods:
        place = ("controls", "random_classifier", method, "localization")
        yield from ((*place, name) for name in LOCALIZATION)
