"""One case of `shortcut.py`: phantoms, a classifier that is biased or clean, and its audit."""

import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from medxgan.audit import Audit, AuditSettings, MethodAudit
from medxgan.audit.auditing import audit, judge_cohort
from medxgan.classifiers import TorchClassifier
from medxgan.config import load_settings
from medxgan.data import Dataset, build_dataset
from medxgan.data.phantom import CLASS_NAMES, Kind, Phantoms, make_phantoms
from medxgan.explainer import Explainer
from medxgan.fitting import fit_on_dataset
from medxgan.loader import load
from medxgan.training.train import Plan, train_medxgan

SIZE = 32
KIND: Kind = "brain"
MARKED = {"biased": 0.95, "clean": 0.5}
"""Share of the positives that carry the marker; the rest of it of the negatives."""
TRAINED_ON, AUDITED = 2000, 300
EPOCHS = 10
AUDIT = AuditSettings(
    methods=("difference", "lig-transferred", "ig", "grad-cam"), most=150, steps=8
)
GAN = [
    "network.structure_code=64",
    "network.pathology_code=8",
    "network.base_width=16",
    "network.maximum_width=32",
    "run.batch_size=16",
    "run.log_every=1000000",
    "run.sample_every=1000000",
    "run.checkpoint_every=1000000",
    "loss.judges_from=1000",
    "optimiser.learning_rate=2e-3",
    "optimiser.warm_up=500",
    "optimiser.ema_half_life=1000",
    "augment.images_to_full=20000",
    "variation.chance=0.3",
    "variation.flip=false",
]
"""Of preset ``small``: small networks, in a hurry; not mirrored, for the marker has a side."""
FORMAT = 2
Facts = dict[str, Any]


class Case(NamedTuple):
    """One classifier and its audit.

    Attributes:
        seed: of phantoms, classifier and generator.
        kind: ``biased`` or ``clean``.
        images: that the generator is shown in training.
    """

    seed: int
    kind: str
    images: int

    @property
    def file_name(self) -> str:
        """Of the facts."""
        return f"seed-{self.seed:04d}-{self.kind}-{self.images}.json"


def draw(count: int, seed: int, share: float) -> Phantoms:
    """Phantoms with markers."""
    return make_phantoms(KIND, count, size=SIZE, seed=seed, shortcut=share)


def as_data(phantoms: Phantoms) -> Dataset:
    """Phantoms as a data set with lesion masks."""
    return build_dataset(
        phantoms.images[:, None],
        phantoms.labels,
        class_names=CLASS_NAMES,
        split=phantoms.split,
        masks=phantoms.masks,
    )


def flip_markers(phantoms: Phantoms, seed: int) -> NDArray[np.uint8]:
    """The same subjects, with the marker where it was not, and without where it was."""
    where_positive, where_negative = (draw(len(phantoms.labels), seed, share) for share in (1, 0))
    had = phantoms.markers == where_positive.markers
    return np.where(had[:, None, None], where_negative.images, where_positive.images)


def marker_pixels() -> Tensor:
    """Where the marker is drawn, bool ``[H, W]``."""
    with_marker, without = draw(2, 0, 1.0), draw(2, 0, 0.0)
    row = int(with_marker.markers.argmax())
    return torch.from_numpy(with_marker.images[row] != without.images[row])


def answers(classifier: TorchClassifier, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What the classifier calls positive, ``[N]``."""
    data = build_dataset(images[:, None], np.zeros(len(images), np.int64), class_names=CLASS_NAMES)
    with torch.no_grad():
        positive: NDArray[np.bool_] = (classifier(data.images())[:, 1] >= 0.5).numpy()
    return positive


def bias_of(classifier: TorchClassifier, phantoms: Phantoms, seed: int) -> Facts:
    """How right the classifier is, as imaged and with markers flipped: is it biased at all?"""
    truth = phantoms.labels == 1
    seen = answers(classifier, phantoms.images)
    flipped = answers(classifier, flip_markers(phantoms, seed))
    return {
        "accuracy": float((seen == truth).mean()),
        "accuracy_markers_flipped": float((flipped == truth).mean()),
        "answers_changed_by_marker": float((flipped != seen).mean()),
    }


def train_explainer(case: Case, data: Dataset) -> Explainer:
    """A classifier of phantoms, and a small medXGAN trained against it."""
    classifier = fit_on_dataset(
        data,
        arch="cnn",
        epochs=EPOCHS,
        patience=EPOCHS,
        batch_size=32,
        learning_rate=3e-3,
        seed=case.seed,
        device=torch.device("cpu"),
        bf16=True,
        data_name=f"{KIND} phantoms, {case.kind}",
        on_epoch=lambda epoch: None,
    )
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            data=data,
            classifier=classifier,
            target=1,
            settings=load_settings("small", overrides=[*GAN, f"run.images={case.images}"]),
            folder=Path(folder, "run"),
            seed=case.seed,
            data_licence="none needed",
            data_name=f"{KIND} phantoms, {case.kind}",
        )
        fabric = Fabric(accelerator="cpu", devices=1)
        train_medxgan(plan, fabric, lambda images, figures: None)
        return load(plan.folder, device="cpu")


def facts_of_method(found: MethodAudit, marker: Tensor) -> Facts:
    """The figures that the table needs."""
    suspicious = [region for region in found.regions if region.kind == "suspicious"]
    recurring = [region for region in found.regions if region.kind != "spread"]
    first = found.regions[0] if found.regions else None
    return {
        "verdict": found.verdict,
        "n": found.n,
        "recurs": bool(recurring),
        "recurs_on_marker": any(bool((r.pixels & marker).any()) for r in recurring),
        "suspicious": bool(suspicious),
        "suspicious_on_marker": any(bool((r.pixels & marker).any()) for r in suspicious),
        "peak_share": float(found.counted.max()),
        "marker_share": float(found.counted[marker].max()),
        "even_share": found.even,
        "critical_share": found.critical,
        "flips_alone": None if first is None else first.flips["value"],
        "relied_on": None if first is None else first.relied_on,
    }


def run_case(case: Case) -> Facts:
    """Train, audit, and describe one case."""
    torch.set_num_threads(1)
    started, cpu = time.perf_counter(), time.process_time()
    # Seeds of their own for training and for audited images, none shared with another case.
    training_seed, audited_seed = 2 * case.seed, 2 * case.seed + 1
    explainer = train_explainer(case, as_data(draw(TRAINED_ON, training_seed, MARKED[case.kind])))
    trained = time.perf_counter()
    phantoms = draw(AUDITED, audited_seed, MARKED[case.kind])
    with_masks, cohort = audit(explainer, as_data(phantoms), AUDIT)
    without = judge_cohort(explainer, cohort, replace(AUDIT, masks=False), images=AUDITED)
    marker = marker_pixels()

    def described(outcome: Audit) -> Facts:
        return {found.method: facts_of_method(found, marker) for found in outcome.methods}

    return {
        "settings": settings_of_run(case.images),
        "seed": case.seed,
        "kind": case.kind,
        "classifier": bias_of(explainer.classifier, phantoms, audited_seed),
        "generator": explainer.bundle.metrics["held_out"],
        "positives": cohort.positives,
        "explained": len(cohort),
        "audit": {"no masks": described(without), "masks": described(with_masks)},
        "seconds_training": round(trained - started, 1),
        "seconds_audit": round(time.perf_counter() - trained, 1),
        "seconds_cpu": round(time.process_time() - cpu, 1),
    }


def settings_of_run(images: int) -> Facts:
    """What a kept case must have been computed with."""
    return {
        "format": FORMAT,
        "pixels": SIZE,
        "phantoms": KIND,
        "marked": MARKED,
        "trained_on": TRAINED_ON,
        "audited": AUDITED,
        "epochs": EPOCHS,
        "gan": GAN,
        "images": images,
        "audit": json.loads(json.dumps(asdict(AUDIT))),
    }
