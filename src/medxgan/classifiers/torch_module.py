"""A PyTorch module as the frozen classifier that the package explains."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from medxgan.classifiers.outputs import (
    as_rows,
    check_not_probabilities,
    check_values,
    log_odds_from_rows,
    scores_from_rows,
)
from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

DRY_RUN_IMAGES = 2


def fingerprint_of(module: nn.Module, spec: ClassifierSpec) -> str:
    """Identify a classifier: SHA-256 (hex) over its specification and all its weights.

    The same on every device; changes with any name, type, shape or bit of the state dictionary.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"))
    >>> layer = nn.Linear(2, 2)
    >>> before = fingerprint_of(layer, spec)
    >>> _ = layer.weight.data.add_(1)
    >>> len(before), fingerprint_of(layer, spec) == before
    (64, False)
    """
    digest = hashlib.sha256(spec.model_dump_json(exclude_defaults=True).encode())
    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class TorchClassifier:
    """Scores and log-odds of a frozen ``nn.Module``; gradients flow to the images.

    The module itself is put into eval mode and its parameters are frozen, in place. Two random
    images are sent through it at once, so that a model that contradicts its specification is
    refused here and not in the middle of a training.

    Attributes:
        module: the model; takes images ``[N, C, size, size]`` on its own intensity scale.
        spec: what it takes and gives.
        architecture: the name that ``build_architecture`` knows it by, or None.
        source: where it was loaded from, or None.
        measured: figures of merit and origin, as stored with it (values that JSON can hold).
        differentiable: always true here.
        fingerprint: ``fingerprint_of(module, spec)`` at construction.

    Raises:
        ClassifierError: the module fails on such images, or its output contradicts ``spec``.

    >>> spec = ClassifierSpec(size=8, class_names=("healthy", "tumour"))
    >>> classifier = TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), spec)
    >>> images = torch.rand(5, 1, 8, 8) * 2 - 1
    >>> classifier(images).shape, classifier.log_odds(images, 1).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    differentiable: bool = True

    def __init__(
        self,
        module: nn.Module,
        spec: ClassifierSpec,
        architecture: str | None = None,
        source: str | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.spec = spec
        self.architecture = architecture
        self.source = source
        self.measured: dict[str, Any] = dict(measured or {})
        self.fingerprint: str = fingerprint_of(module, spec)
        example = next(module.parameters(), torch.zeros(()))
        self._scale, self._offset = intensity_affine(spec, example.device)
        self._dry_run()

    @property
    def device(self) -> torch.device:
        """Where the classifier computes."""
        return self._scale.device

    def to(self, device: torch.device | str) -> Self:
        """Move the module to ``device``, in place; returns the classifier itself."""
        self.module.to(device)
        self._scale, self._offset = self._scale.to(device), self._offset.to(device)
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` in [-1, 1] -> float32 ``[N, K]``: probabilities, or the value.

        Raises:
            ClassifierError: images of another shape or type than ``spec`` says, or an output that
                contradicts it.
        """
        return scores_from_rows(self._rows(images), self.spec.output)

    def log_odds(self, images: Tensor, target: int) -> Tensor:
        """Images ``[N, C, H, W]`` -> ``[N]``: log-odds of class ``target`` against the rest.

        Exact from the raw output, so they keep their gradient where probabilities saturate; see
        ``log_odds_from_rows`` for each kind of output.

        Raises:
            ClassifierError: as for a call, or no class has that index.
        """
        index = self.spec.target_index(target)
        return log_odds_from_rows(self._rows(images), self.spec.output, index)

    def last_convolution(self) -> nn.Module | None:
        """The layer for Grad-CAM: the last features that still have a place in the image.

        That is the last module whose output lies on the grid ``[h, w]``, h·w > 1, of the last
        convolution: its activation or residual block, but not the pooling behind it. A module
        that runs more than once in a pass does not count. None where nothing is convolved.
        """
        calls: Counter[nn.Module] = Counter()
        maps: list[tuple[nn.Module, tuple[int, int]]] = []

        def note(module: nn.Module, _: object, output: object) -> None:
            calls[module] += 1
            if isinstance(output, Tensor) and output.ndim == 4:
                height, width = output.shape[2:]
                if height * width > 1:
                    maps.append((module, (height, width)))

        hooks = [module.register_forward_hook(note) for module in self.module.modules()]
        try:
            self._dry_run()
        finally:
            for hook in hooks:
                hook.remove()
        single = [(module, grid) for module, grid in maps if calls[module] == 1]
        grids = [grid for module, grid in single if isinstance(module, nn.Conv2d)]
        return next((module for module, grid in reversed(single) if grid in grids[-1:]), None)

    def _rows(self, images: Tensor) -> Tensor:
        self._check_images(images)
        rows = as_rows(self.module(images * self._scale + self._offset), self.spec, len(images))
        # While a network trains on a GPU, looking at values would stall it at every step.
        if rows.device.type == "cpu" or not torch.is_grad_enabled():
            if not bool(torch.isfinite(rows).all()) and not bool(torch.isfinite(images).all()):
                raise ClassifierError("images must be finite, got NaN or infinite pixels")
            check_values(rows, self.spec)
        return rows

    def _check_images(self, images: Tensor) -> None:
        expected = [self.spec.channels, self.spec.size, self.spec.size]
        if images.ndim != 4 or list(images.shape[1:]) != expected:
            raise ClassifierError(
                f"the classifier takes images [N, {', '.join(map(str, expected))}], "
                f"got {list(images.shape)}; resize them or convert their channels first"
            )
        if not images.is_floating_point():
            raise ClassifierError(
                f"the classifier takes floating-point images in [-1, 1], got {images.dtype}"
            )

    def _dry_run(self) -> None:
        size = self.spec.size
        shape = (DRY_RUN_IMAGES, self.spec.channels, size, size)
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.no_grad():
            try:
                raw = self.module(images.to(self.device) * self._scale + self._offset)
            except Exception as error:
                reason = str(error).strip().splitlines() or [""]
                raise ClassifierError(
                    f"the model fails on images {list(shape)}, as its specification has them: "
                    f"{type(error).__name__}: {reason[0]}"
                ) from error
        rows = as_rows(raw, self.spec, DRY_RUN_IMAGES)
        check_values(rows, self.spec)
        check_not_probabilities(rows, self.spec)


def intensity_affine(spec: ClassifierSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scale and offset ``[1, C, 1, 1]`` from [-1, 1] to the model's own, normalised intensities.

    >>> spec = ClassifierSpec(size=8, class_names=("no", "yes"), intensity_range=(0, 255))
    >>> scale, offset = intensity_affine(spec, torch.device("cpu"))
    >>> (torch.tensor([-1.0, 1.0]) * scale + offset).flatten()
    tensor([  0., 255.])
    """
    low, high = spec.intensity_range
    mean = torch.tensor(spec.mean or [0.0] * spec.channels)
    std = torch.tensor(spec.std or [1.0] * spec.channels)
    scale = (high - low) / 2 / std
    offset = ((high + low) / 2 - mean) / std
    return scale.view(1, -1, 1, 1).to(device), offset.view(1, -1, 1, 1).to(device)
