"""A PyTorch module as the frozen classifier that the package explains."""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from medxgan.classifiers.fingerprints import (
    fingerprint_of,
    fingerprint_of_answers,
    fingerprint_of_files,
)
from medxgan.classifiers.kinds import KINDS, OPENED_AS_MODULE, Kind
from medxgan.classifiers.model_input import ModelInput
from medxgan.classifiers.outputs import (
    as_rows,
    check_not_probabilities,
    check_values,
    log_odds_from_rows,
    scores_from_rows,
)
from medxgan.classifiers.probes import check_steady, probe_images, waves
from medxgan.errors import ClassifierError, MedxganError
from medxgan.types import ClassifierSpec

DRY_RUN_IMAGES = 2


class TorchClassifier:
    """Scores and log-odds of a frozen model, held as an ``nn.Module``.

    The module itself is put into eval mode and its parameters are frozen, in place. Two random
    images are sent through it at once, so that a model that contradicts its specification is
    refused here and not in the middle of a training. Of a model that came as a file or a function
    it is also found out whether its answer to an image is always the same.

    Attributes:
        module: the model; takes images ``[N, C, taken_size, taken_size]`` of its specification, on
            its own intensity scale.
        spec: what it takes and gives.
        architecture: the name that ``build_architecture`` knows it by, or None.
        source: where it was loaded from, or None.
        measured: figures of merit and origin, as stored with it (values that JSON can hold).
        kind: what can be had of it, see ``KINDS``.
        files: name -> bytes that it was opened from; empty for modules and functions.
        batch_size: images at once, at most, as the user wished.
        differentiable: do gradients flow to the images?
        answers: raw outputs for ``probe_images``, of a function; else empty.
        fingerprint: of the weights of a module, the bytes of files, or the answers of a function.

    Raises:
        ClassifierError: the model fails on such images, its output contradicts ``spec``, or its
            answers change from call to call or with the company in the batch.

    >>> spec = ClassifierSpec(size=8, class_names=("healthy", "tumour"))
    >>> classifier = TorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), spec)
    >>> images = torch.rand(5, 1, 8, 8) * 2 - 1
    >>> classifier(images).shape, classifier.log_odds(images, 1).shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        module: nn.Module,
        spec: ClassifierSpec,
        architecture: str | None = None,
        source: str | None = None,
        measured: Mapping[str, Any] | None = None,
        *,
        kind: Kind | None = None,
        files: Mapping[str, bytes] | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.module = module.eval().requires_grad_(False)
        self.spec = spec
        self.architecture = architecture
        self.source = source
        self.measured: dict[str, Any] = dict(measured or {})
        self.kind: Kind = kind or ("module" if architecture is None else "architecture")
        self.files: dict[str, bytes] = dict(files or {})
        self.batch_size = batch_size
        self.differentiable: bool = KINDS[self.kind].gradients
        example = next(module.parameters(), torch.zeros(()))
        self._input = ModelInput(spec, example.device)
        self._dry_run()
        self.answers: tuple[float, ...] = ()
        if self.kind not in OPENED_AS_MODULE:
            check_steady(self._try, waves(spec).to(self.device), spec)
            if self.kind == "function":
                probes = probe_images(spec).to(self.device)
                self.answers = tuple(self._try(probes).flatten().tolist())
        self.fingerprint: str = self._identify()

    @property
    def device(self) -> torch.device:
        """Where the classifier computes."""
        return self._input.scale.device

    def to(self, device: torch.device | str) -> Self:
        """Move the module to ``device``, in place; returns the classifier itself."""
        self.module.to(device)
        self._input.to(device)
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
        ``log_odds_from_rows`` for each kind of output. Of a value, what stands for them, see
        ``ValueScale.evidence``: 0 where positive begins.

        Raises:
            ClassifierError: as for a call, or no class has that index.
        """
        index = self.spec.target_index(target)
        odds = log_odds_from_rows(self._rows(images), self.spec.output, index)
        scale = self.spec.value_scale
        return odds if scale is None else scale.evidence(odds)

    def with_threshold(self, positive_from: float | None) -> Self:
        """The same model, its value counted as positive from another number on; None: the middle.

        Raises:
            ClassifierError: the output is not ``value``, or the number lies outside its range.
        """
        changed = copy(self)
        changed.spec = self.spec.with_threshold(positive_from)
        changed.fingerprint = changed._identify()
        return changed

    def last_convolution(self) -> nn.Module | None:
        """The layer for Grad-CAM: the last features that still have a place in the image.

        That is the last module whose output lies on the grid ``[h, w]``, h·w > 1, of the last
        convolution: its activation or residual block, but not the pooling behind it. A module
        that runs more than once in a pass does not count. None where nothing is convolved, or
        where the layers cannot be watched.
        """
        if not KINDS[self.kind].layers:
            return None
        calls: Counter[nn.Module] = Counter()
        maps: list[tuple[nn.Module, tuple[int, int]]] = []

        def note(module: nn.Module, _: object, output: object) -> None:
            calls[module] += 1
            if isinstance(output, Tensor) and output.ndim == 4:
                height, width = output.shape[2:]
                if height * width > 1:
                    maps.append((module, (height, width)))

        hooks = [
            module.register_forward_hook(note)
            for module in self.module.modules()
            if not isinstance(module, torch.jit.ScriptModule)  # takes no hooks
        ]
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
        rows = as_rows(self.module(self._input(images)), self.spec, len(images))
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
        shape = (DRY_RUN_IMAGES, self.spec.channels, self.spec.size, self.spec.size)
        images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        try:
            rows = self._try(images.to(self.device))
        except ClassifierError as error:
            if self.kind in OPENED_AS_MODULE or not self._takes(images[:1].to(self.device)):
                raise
            raise ClassifierError(
                "the model takes one image at a time and fails on two; say batch_size = 1, in its "
                "description or in Python"
            ) from error
        check_not_probabilities(rows, self.spec)

    def _takes(self, images: Tensor) -> bool:
        try:
            self._try(images)
        except ClassifierError:
            return False
        return True

    def _try(self, images: Tensor) -> Tensor:
        """Raw outputs ``[N, raw_outputs]``; whatever goes wrong is said in one sentence."""
        with torch.no_grad():
            given = self._input(images)
            try:
                raw = self.module(given)
            except MedxganError:
                raise
            except Exception as error:
                reason = str(error).strip().splitlines() or [""]
                raise ClassifierError(
                    f"the model fails on images {list(given.shape)}, as its specification has "
                    f"them: {type(error).__name__}: {reason[0]}; if it takes another size, say so "
                    "by input_size"
                ) from error
        rows = as_rows(raw, self.spec, len(images))
        check_values(rows, self.spec)
        return rows

    def _identify(self) -> str:
        if self.files:
            return fingerprint_of_files(self.files, self.spec)
        if self.answers:
            return fingerprint_of_answers(self.answers, self.spec)
        return fingerprint_of(self.module, self.spec)
