"""What was measured of a direction, in words: for whoever fitted it."""

import torch

from medxgan.classifiers.surrogate import true_model_of
from medxgan.direction_figures import figure_text
from medxgan.direction_file import FittedDirection
from medxgan.explain.series import answers_of
from medxgan.scoretext import words_for


def figure_rows(direction: FittedDirection) -> list[tuple[str, str]]:
    """What was measured, for people."""
    fit = direction.manifest.fit
    ends = torch.tensor(direction.manifest.ends)
    low, high = answers_of(ends, direction.manifest.classifier.spec).tolist()
    return [
        ("Variance of the evidence explained, held out", figure_text(fit["explained"])),
        (
            "The same by random directions",
            f"{figure_text(fit['explained_by_random_mean'])}, "
            f"at most {figure_text(fit['explained_by_random_most'])}",
        ),
        ("Area under the ROC curve", figure_text(fit["area_under_roc"])),
        ("Drawn images called positive", f"{fit['called_positive']:.3f}"),
        ("Of these, called negative when moved down", figure_text(fit["flipped_down"])),
        ("The others, called positive when moved up", figure_text(fit["flipped_up"])),
        ("The direction alone is enough for", f"{fit['reached_along']:.3f}"),
        (
            "Explained by moves in directions of the image's own",
            figure_text(fit.get("moved_on_their_own")),
        ),
        ("Films end at the answers", f"{low:.2f} and {high:.2f}"),
    ]


def direction_notes(direction: FittedDirection) -> list[str]:
    """What whoever fitted a direction must know: it may be of little use."""
    fit, manifest = direction.manifest.fit, direction.manifest
    notes: list[str] = []
    called = words_for(manifest.target_name, manifest.classifier.spec).positive
    if fit["called_positive"] in (0.0, 1.0):
        side = "none" if fit["called_positive"] == 0.0 else "all"
        notes.append(
            f"the model calls {side} of the {fit['held_out']} drawn images {called}: what it would "
            "take to be called otherwise may be nothing that the generator draws; train it on "
            "images of both answers"
        )
    if not fit["flipped_down"] and not fit["flipped_up"]:
        notes.append(
            f"none of {fit['moved']} drawn images could be moved to the other side of the "
            "decision, so that explanations will hardly flip; check the model, or train the "
            "generator for longer"
        )
    if true_model_of(direction.classifier.measured) is not None:
        notes.append(
            "the direction was fitted for a surrogate, and a direction needs no gradients: give "
            "the model itself"
        )
    return notes
