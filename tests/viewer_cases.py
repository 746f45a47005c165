"""What several tests of the viewer share: explanations made by hand, and a browser without one."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medxgan.report import write_report
from medxgan.types import ClassifierSpec, Explanation, Latent, Problem, Status
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.server import make_app
from medxgan.viewer.verdicts import VerdictStore

with warnings.catch_warnings(action="ignore"):  # it asks for another package than httpx
    from starlette.testclient import TestClient

SIDE, FRAMES = 8, 5
ADDRESS = "http://127.0.0.1:8765"
SPEC = ClassifierSpec(size=SIDE, class_names=("healthy", "lesion"))
NO_FLIP = Problem("no flip", 0.7, 0.5, "no flip: the counterfactual still scores 0.700")


def ramp(channels: int = 1) -> Tensor:
    return torch.linspace(-1, 1, SIDE * SIDE).view(1, SIDE, SIDE).repeat(channels, 1, 1)


def make_explanation(
    name: str = "scan",
    *,
    positive: bool = True,
    channels: int = 1,
    problems: tuple[Problem, ...] = (),
    **changes: Any,
) -> Explanation:
    """An explanation whose numbers are known: everything is a multiple of one ramp."""
    image = ramp(channels)
    high, low = (0.9, 0.2) if positive else (0.2, 0.9)
    scores = {"image": high, "reconstruction": high, "counterfactual": low, "transferred": low}
    known: dict[str, Any] = {
        "name": name,
        "image": image,
        "reconstruction": image * 0.9,
        "counterfactual": -image,
        "transferred": image * 0.5,
        "frames": torch.stack([image * t for t in torch.linspace(-1, 1, FRAMES)]),
        "strengths": torch.linspace(0, 1, FRAMES),
        "probabilities": torch.tensor([0.1, 0.4, 0.3, 0.8, 0.9]),
        "difference": image,
        "attributions": {"lig": image * 2, "ig": image * 3, "difference": image},
        "latent": Latent(torch.ones(1, 4), torch.full((1, 2), 2.0)),
        "target": 1,
        "target_name": "lesion",
        "scores": scores,
        "alternatives": image.new_zeros(0, channels, SIDE, SIDE),
        "alternative_scores": torch.empty(0),
        "status": Status(problems),
        "spec": SPEC.model_copy(update={"channels": channels}),
        "answers": {part: torch.tensor([1 - score, score]) for part, score in scores.items()},
        "notes": ("a note",),
    }
    return Explanation(**known | changes)


def write_folder(folder: Path, *explanations: Explanation) -> SavedFolder:
    """Explanations as ``medxgan explain`` leaves them."""
    write_report(explanations or (make_explanation(),), folder)
    return SavedFolder(folder)


def browser(app: Any, **options: Any) -> TestClient:
    """A client that asks for the viewer under its own address."""
    return TestClient(app, base_url=ADDRESS, **options)


def viewer_of(folder: SavedFolder, **options: Any) -> TestClient:
    """A client of a viewer of saved explanations."""
    verdicts = VerdictStore(folder.root / "verdicts.sqlite")
    return browser(make_app(verdicts=verdicts, folder=folder, title="out", **options))


def array_of(response: Any) -> np.ndarray:
    """The numbers of a response, in the shape that it says."""
    shape = [int(side) for side in response.headers["X-Shape"].split(",")]
    return np.frombuffer(response.content, dtype="<f4").reshape(shape)
