"""From images and their codes to explanations: film, change, maps, scores and status."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.bundle import Manifest
from medxgan.explain.attribution import attributions
from medxgan.explain.batch import Batch
from medxgan.explain.counterfactual import transfer
from medxgan.explain.scores import answers
from medxgan.explain.settings import ExplainSettings
from medxgan.explain.traversal import even_strengths, film
from medxgan.explain.trust import judge
from medxgan.types import Classifier, Explanation, Generator, Latent


class Ends(NamedTuple):
    """Where the films of N images begin and end.

    Attributes:
        latent: structure ``[N, d1]``, and pathology ``[N, d2]`` of the positive end; the other end
            has none.
        judged: the codes that have to be plausible for an explanation to be trusted.
        positive: does the image itself lie at the positive end? bool ``[N]``.
        alternatives: further positive ends of each image ``[A, C, H, W]``; A may be 0.
        alternative_scores: of these, ``[A]`` each.
    """

    latent: Latent
    judged: Latent
    positive: Tensor
    alternatives: Sequence[Tensor]
    alternative_scores: Sequence[Tensor]


def assemble(
    batch: Batch,
    ends: Ends,
    *,
    generator: Generator,
    classifier: Classifier,
    manifest: Manifest,
    settings: ExplainSettings,
    notes: tuple[str, ...] = (),
) -> list[Explanation]:
    """The explanations of N images, on the CPU.

    Args:
        batch: the images, on the device of the networks.
        ends: of their films.
        generator: draws these.
        classifier: the explained model.
        manifest: of the bundle: which class is explained, and the limits of its status.
        settings: methods, frames and steps.
        notes: what every reader must know of how they were made.
    """
    images, latent, target = batch.images, ends.latent, manifest.target
    at_positive_end = ends.positive.view(-1, 1, 1, 1)
    strengths = even_strengths(settings.frames).to(images.device)
    frames, probabilities = film(
        generator, classifier, target, latent.z1, latent.z2, strengths=strengths
    )
    with torch.no_grad():
        path = generator.film(
            latent.z1, latent.z2, even_strengths(settings.steps + 1).to(images.device)
        )
    reconstruction = torch.where(at_positive_end, frames[-1], frames[0])
    counterfactual = torch.where(at_positive_end, frames[0], frames[-1])
    transferred = transfer(images, reconstruction, counterfactual)
    maps, skipped = attributions(
        settings.methods,
        classifier=classifier,
        target=target,
        images=images,
        reconstruction=reconstruction,
        path=path,
        n_steps=settings.steps,
    )
    answered = {
        "image": answers(classifier, images),
        "reconstruction": answers(classifier, reconstruction),
        "counterfactual": answers(classifier, counterfactual),
        "transferred": answers(classifier, transferred),
    }
    spec = classifier.spec
    scores = {part: spec.score(rows, target) for part, rows in answered.items()}
    statuses = judge(images, reconstruction, ends.judged, scores, manifest.thresholds, spec)
    return [
        Explanation(
            name=str(batch.names[i]),
            image=images[i].cpu(),
            reconstruction=reconstruction[i].cpu(),
            counterfactual=counterfactual[i].cpu(),
            transferred=transferred[i].cpu(),
            frames=frames[:, i].cpu(),
            strengths=strengths.cpu(),
            probabilities=probabilities[:, i].cpu(),
            difference=(frames[-1, i] - frames[0, i]).cpu(),
            attributions={name: values[i].cpu() for name, values in maps.items()},
            latent=Latent(latent.z1[i : i + 1].cpu(), latent.z2[i : i + 1].cpu()),
            target=target,
            target_name=manifest.target_name,
            scores={name: float(values[i]) for name, values in scores.items()},
            alternatives=ends.alternatives[i].cpu(),
            alternative_scores=ends.alternative_scores[i].cpu(),
            status=statuses[i],
            mask=batch.masks[i],
            skipped=skipped,
            spec=spec,
            answers={part: rows[i].cpu() for part, rows in answered.items()},
            notes=notes,
            spacing=batch.spacings[i],
        )
        for i in range(len(images))
    ]
