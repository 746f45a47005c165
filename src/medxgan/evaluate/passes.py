"""The shorter passes: the score of every image, codes of the prior, and the negatives rebuilt."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from medxgan.evaluate.columns import Columns, Rows, joined
from medxgan.evaluate.counterfactuals import monotonicity_columns, reconstruction_columns
from medxgan.evaluate.demands import check_positives
from medxgan.evaluate.parts import Part
from medxgan.evaluate.task import Task
from medxgan.explain import scores
from medxgan.explain.traversal import film
from medxgan.metrics.counterfactual import agreement


def score_all(task: Task) -> tuple[Tensor, Tensor | None]:
    """What classifier and oracle, if there is one, say of every image: ``[N]`` each, on the CPU.

    It is the first pass, and kept as a whole: a data set without positives leaves nothing behind.

    Raises:
        DataError: the classifier calls no image positive.
    """
    judges = {"classifier": task.score} | ({"oracle": task.oracle} if task.oracle else {})

    def ask(rows: Rows) -> Columns:
        images = task.images(rows)
        return {(name,): scores.evaluate(judge, images) for name, judge in judges.items()}

    def measure() -> Part:
        found: list[Columns] = []
        for rows in task.batches(np.arange(len(task.data))):
            found.append(ask(rows))
            task.progress("scores", int(rows[-1]) + 1, len(task.data))
        columns = joined(found)
        check_positives(task.explainer, task.data, columns["classifier",])
        return Part(columns)

    found = task.parts.kept("scores", 0, measure).columns
    return found["classifier",], found.get(("oracle",))


def measure_codes(task: Task, codes: int, positives_per_code: int) -> Columns:
    """Agreement (Dravid et al. 2022: 1 negative and 3 positives a code) and monotonicity.

    The film of a code's first positive starts at its negative: both are seen there.

    Args:
        task: what is measured.
        codes: number of structure codes.
        positives_per_code: pathology codes for each.

    Returns:
        Columns ``[codes]`` of ``agreement`` and ``monotonicity_prior``.
    """
    explainer = task.explainer
    z1, first = explainer.sample_codes(codes, positive=True, seed=task.seed)
    further = [
        explainer.sample_pathology(z1, seed=task.seed + number)
        for number in range(1, positives_per_code)
    ]
    judges = explainer.generator, explainer.classifier, explainer.target

    def measure(rows: Rows) -> Part:
        _, probabilities = film(*judges, z1[rows], first[rows])
        at_end = [film(*judges, z1[rows], z2[rows], strengths=torch.ones(1))[1] for z2 in further]
        shares = agreement(probabilities[0], torch.cat([probabilities[-1:], *at_end]))
        agreed: Columns = {("agreement", name): values for name, values in shares.items()}
        return Part(agreed | monotonicity_columns(probabilities, "monotonicity_prior"))

    parts = task.measured("codes", np.arange(codes), measure)
    return joined(part.columns for part in parts)


def measure_negatives(task: Task, rows: Rows, before: Tensor) -> Columns:
    """Reconstruction of the images ``rows`` that the classifier, ``before``, calls negative."""
    parts = task.measured("negatives", rows, partial(_rebuild, task, before))
    return joined(part.columns for part in parts)


def _rebuild(task: Task, before: Tensor, rows: Rows) -> Part:
    images = task.images(rows)
    latent = task.explainer.encode(images)
    with torch.no_grad():
        reconstruction = task.explainer.generator(latent.z1, latent.z2)
    after = scores.evaluate(task.score, reconstruction)
    return Part(reconstruction_columns(images, reconstruction, before[rows].to(after), after))
