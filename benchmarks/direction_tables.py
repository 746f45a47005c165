"""Tables of directions in a style-based generator: what was fitted, and what explanations reach."""

from typing import Any

from markdown_tables import markdown

Document = dict[str, Any]

FITTED = {
    "explained": "variance of the evidence explained, held out",
    "explained_by_direction": "the same by the direction alone",
    "explained_by_random_mean": "by 100 random directions, mean",
    "explained_by_random_most": "by the best of these",
    "area_under_roc": "area under the ROC curve",
    "flipped_down": "drawn positives moved to negative",
    "flipped_up": "drawn negatives moved to positive",
    "reached_along": "moved by the direction alone",
}
EXPLAINED = {
    "prediction match": ("reconstruction", "prediction_match"),
    "reconstruction, SSIM": ("reconstruction", "ssim"),
    "validity": ("counterfactual", "validity"),
    "crossing": ("counterfactual", "crossing"),
    "transfer validity": ("counterfactual", "transfer_validity"),
    "positive for the oracle, too": ("counterfactual", "oracle_before"),
    "of these, negative for it after": ("counterfactual", "oracle_validity"),
    "of these, on the transferred image": ("counterfactual", "oracle_transfer_validity"),
    "SSIM of x and x⁻ outside of the lesion": ("counterfactual", "preservation_ssim"),
    "monotone films": ("monotonicity", "monotone_paths"),
}
MOVED = {
    "validity": "validity",
    "crossing": "crossing",
    "transfer_validity": "transfer validity",
    "pointing": "pointing",
    "average_precision": "average precision",
    "average_precision_smoothed": "smoothed",
}
LOCALIZED = {
    "pointing": ("localization", "pointing"),
    "average precision": ("localization", "average_precision"),
    "average precision, smoothed": ("localization_smoothed", "average_precision"),
}


def fitted(document: Document) -> str:
    """What each direction explains of the model's answers on drawn images."""
    directions: Document = document["directions"]
    rows = [
        [label, *(f"{direction['fit'][key]:.3f}" for direction in directions.values())]
        for key, label in FITTED.items()
    ]
    return markdown(["Of drawn images", *directions], rows)


def explained(document: Document) -> str:
    """What became of real images, with intervals."""
    evaluations = _evaluations(document)
    found = list(evaluations.values())
    rows = [
        ["images; called positive", *(_counts(figures) for figures in found)],
        ["status ok", *(f"{f['statuses']['ok']} of {f['statuses']['n']}" for f in found)],
    ]
    rows += [
        [label, *(_cell(figures[section][key]) for figures in found)]
        for label, (section, key) in EXPLAINED.items()
    ]
    return markdown(["Of images not trained on", *evaluations], rows)


def localized(document: Document) -> str:
    """Where the maps point, against the masks."""
    rows = [
        [name, method, *(_cell(figures[part][method][key]) for part, key in LOCALIZED.values())]
        for name, figures in _evaluations(document).items()
        for method, of_map in figures["localization"].items()
        if of_map["pointing"]["value"] is not None
    ]
    return markdown(["model", "map", *LOCALIZED], rows)


def shipped(document: Document) -> str:
    """Phantoms moved in every way, of every direction of the shipped bundle."""
    rows = [
        [
            f"{name}: {way}",
            *(
                " / ".join(f"{found[side][figure]['value']:.3f}" for side in ("down", "up"))
                for figure in MOVED
            ),
        ]
        for name, figures in document.items()
        for way, found in figures["phantoms"].items()
        if way != "reconstruction"
    ]
    return markdown(["of 200 phantoms, down / up", *MOVED.values()], rows)


def _evaluations(document: Document) -> Document:
    """Figures of the directions that were evaluated, by name."""
    directions: Document = document["directions"]
    return {name: each["evaluation"] for name, each in directions.items() if each["evaluation"]}


def _counts(figures: Document) -> str:
    return f"{figures['n']}; {figures['predictions']['called_positive']}"


def _cell(figure: Document) -> str:
    if figure["value"] is None:
        return "–"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
