"""Models that answer and show nothing else: functions from arrays to scores."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medxgan.classifiers.batches import Batches, rows_in_batches
from medxgan.classifiers.specification import SpecSource, read_spec
from medxgan.classifiers.torch_module import TorchClassifier
from medxgan.errors import ClassifierError, MedxganError
from medxgan.types import ClassifierSpec

ArrayFunction = Callable[[NDArray[np.float32]], object]
"""Images ``[n, C, H, W]`` on the model's own scale -> its raw output, ``[n, K]``."""


class FunctionModule(nn.Module):
    """A function on arrays in the place of a network; asking for its gradient is an error.

    Args:
        function: asked on the CPU.
        spec: what it takes and gives.
        batches: how many images it takes at once.
        name: what it is called in an error.
    """

    def __init__(
        self, function: ArrayFunction, spec: ClassifierSpec, batches: Batches, name: str
    ) -> None:
        super().__init__()
        self.function, self.spec, self.batches, self.name = function, spec, batches, name

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` on the model's own scale -> float32 ``[N, raw_outputs]``.

        Raises:
            ClassifierError: the function fails, or its output contradicts the specification.
        """
        return _without_gradient(images, self)

    def ask(self, images: Tensor) -> Tensor:
        """The same, of images that no gradient is asked of."""
        rows = rows_in_batches(self._answer, images.cpu().float(), self.spec, self.batches)
        return rows.to(images.device)

    def _answer(self, images: Tensor) -> object:
        # The function may write into what it is given.
        array = images.contiguous().numpy().copy()
        try:
            answer = self.function(array)
        except MedxganError:
            raise
        except Exception as error:
            reason = str(error).strip().splitlines() or [""]
            raise ClassifierError(
                f"{self.name} fails on images {list(images.shape)}: "
                f"{type(error).__name__}: {reason[0]}"
            ) from error
        return self._as_tensor(answer)

    def _as_tensor(self, answer: object) -> Tensor:
        if isinstance(answer, Tensor):
            return answer.detach().cpu()
        try:
            array = np.asarray(answer)
        except ValueError:
            array = np.empty(0, dtype=object)
        if array.dtype.kind not in "fiub":
            raise ClassifierError(
                f"{self.name} must return an array of scores for the images it is given, got "
                f"{type(answer).__name__}; a function that builds the model must need no arguments"
            )
        return torch.from_numpy(array.astype(np.float32))


class _WithoutGradient(torch.autograd.Function):
    """Answers as they are; whoever goes back through them is told that there is no way."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, module: FunctionModule) -> Tensor:
        ctx.name = module.name
        return module.ask(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise ClassifierError(
            f"{ctx.name} gives no gradients, which training against it and refinement need; "
            "medxgan inspect says what can be had of such a model"
        )


_without_gradient: Callable[[Tensor, FunctionModule], Tensor] = _WithoutGradient.apply


class BlackBox(TorchClassifier):
    """Any function from images to scores as the classifier that the package explains.

    The function gets float32 ``[n, C, size, size]`` on its own intensity scale
    (``intensity_range``, ``mean`` and ``std`` of its specification; ``input_size`` pixels high and
    wide where it has that) and returns ``[n, K]`` as
    ``output`` says: an array, nested lists or a tensor. It must answer alike whenever it is asked
    and whatever other images stand in the batch; that is tried at once, on 8 fixed images. There
    are no weights to identify it by, so its fingerprint is that of its answers to these images.

    Args:
        function: the model.
        spec: what it takes and gives; a specification, a mapping, or a ``.json`` or ``.toml`` file.
        batch_size: images a call, at most.
        source: where it comes from; its name where None.
        measured: figures of merit and origin.

    Raises:
        ClassifierError: the function fails, its output contradicts ``spec``, or its answers are
            not its own: they change from call to call or with the company in the batch.

    >>> def predict(images):
    ...     bright = images.mean((1, 2, 3))
    ...     return np.stack([1 - bright, bright], axis=1)
    >>> model = BlackBox(
    ...     predict, {"size": 8, "output": "probabilities", "class_names": ["dark", "bright"]}
    ... )
    >>> model(torch.zeros(1, 1, 8, 8)), model.differentiable
    (tensor([[0.5000, 0.5000]]), False)
    """

    def __init__(
        self,
        function: ArrayFunction,
        spec: SpecSource,
        *,
        batch_size: int | None = None,
        source: str | None = None,
        measured: Mapping[str, Any] | None = None,
    ) -> None:
        known = read_spec(spec)
        name = source or getattr(function, "__qualname__", type(function).__name__)
        batches = Batches().at_most(batch_size)
        super().__init__(
            FunctionModule(function, known, batches, f"'{name}'"),
            known,
            source=name,
            measured=measured,
            kind="function",
            batch_size=batch_size,
        )
