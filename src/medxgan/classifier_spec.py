"""What a classifier takes and gives: its images, its output, and how that becomes a score."""

from math import isfinite
from typing import Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from torch import Tensor

from medxgan.errors import ClassifierError, nearest
from medxgan.value_scale import ValueScale

Output = Literal["logits", "probabilities", "binary_logit", "multilabel_logits", "value"]


class ClassifierSpec(BaseModel):
    """What a classifier takes and gives.

    ``size`` is that of the images that are explained. A model that takes another one says so by
    ``input_size``: images are brought to it, see ``ModelInput``.
    ``intensity_range`` is the interval that the model expects where the package has [-1, 1];
    ``mean`` and ``std`` (one per channel, on the scale of ``intensity_range``) are applied after.
    An output ``value`` needs the range of that value; from ``positive_from`` on, the middle of the
    range where None, it counts as positive.

    >>> spec = ClassifierSpec(size=64, output="logits", class_names=("healthy", "tumour"))
    >>> spec.outputs, spec.target_index("tumour"), spec.target_index(None)
    (2, 1, 1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: Literal[1, 3] = 1
    size: int = Field(ge=8, description="height and width of the explained images, pixels")
    input_size: int | None = Field(
        None, ge=8, description="height and width that the model takes, where they differ"
    )
    output: Output = "logits"
    class_names: tuple[str, ...] = Field(min_length=1)
    intensity_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    value_range: tuple[float, float] | None = None
    positive_from: float | None = None

    @field_validator("input_size")
    @classmethod
    def _only_another_size(cls, given: int | None, known: ValidationInfo) -> int | None:
        """Said twice is said once: such specifications are equal, and so are their fingerprints."""
        return None if given == known.data.get("size") else given

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.class_names)) < len(self.class_names):
            raise ValueError(f"class names must differ, got {', '.join(self.class_names)}")
        low, high = self.intensity_range
        if not low < high:
            raise ValueError(f"intensity_range must rise, got {self.intensity_range}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("give mean and std together or neither")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != self.channels:
                raise ValueError(f"{name} must have {self.channels} value(s), got {len(values)}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        expected = {"binary_logit": 2, "value": 1}.get(self.output)
        if expected is not None and len(self.class_names) != expected:
            raise ValueError(
                f"output '{self.output}' needs {expected} class name(s), "
                f"got {len(self.class_names)}"
            )
        if self.output in ("logits", "probabilities") and len(self.class_names) < 2:
            raise ValueError(f"output '{self.output}' needs at least 2 class names")
        self._check_value_range()
        return self

    def _check_value_range(self) -> None:
        given = {"value_range": self.value_range, "positive_from": self.positive_from}
        if self.output != "value":
            for name, entry in given.items():
                if entry is not None:
                    raise ValueError(f"{name} belongs to output 'value', got '{self.output}'")
            return
        if self.value_range is None:
            raise ValueError(
                "output 'value' needs value_range = [lowest, highest], the least and the greatest "
                "value that the model is meant to give, such as [0, 4] for a grade"
            )
        low, high = self.value_range
        if not (isfinite(low) and isfinite(high) and low < high):
            raise ValueError(f"value_range must rise, lowest first, got [{low:g}, {high:g}]")
        if self.positive_from is not None and not low < self.positive_from < high:
            raise ValueError(
                f"positive_from must lie inside value_range [{low:g}, {high:g}], "
                f"got {self.positive_from:g}"
            )

    @property
    def outputs(self) -> int:
        """K, the number of scores that a classifier of this spec returns for an image."""
        return len(self.class_names)

    @property
    def taken_size(self) -> int:
        """Height and width of what the model itself takes, pixels.

        >>> ClassifierSpec(size=256, input_size=224, class_names=("no", "yes")).taken_size
        224
        """
        return self.size if self.input_size is None else self.input_size

    @property
    def value_scale(self) -> ValueScale | None:
        """From a value to its score and back; None where the output is not ``value``."""
        if self.value_range is None:
            return None
        low, high = self.value_range
        middle = (low + high) / 2 if self.positive_from is None else self.positive_from
        return ValueScale(low, middle, high)

    def score(self, answers: Tensor, target: int) -> Tensor:
        """What a classifier answers, ``[N, K]``, as the score ``[N]`` of the explained output.

        The score says the same of every kind of output: from 0.5 on an image is positive. It is the
        probability of ``target``, against all the rest; of a value, its place in the range, which
        is 0 at the lowest, 1 at the highest and 0.5 where positive begins.

        >>> import torch
        >>> entries = {"output": "value", "class_names": ["grade"], "value_range": [0, 4]}
        >>> ClassifierSpec(size=8, **entries).score(torch.tensor([[1.0], [4.0]]), 0)
        tensor([0.2500, 1.0000])
        """
        column = answers[:, target]
        scale = self.value_scale
        return column if scale is None else scale.score(column)

    def with_threshold(self, positive_from: float | None) -> "ClassifierSpec":
        """The same specification, with another beginning of what counts as positive.

        Raises:
            ClassifierError: the output is not ``value``, or the number lies outside its range.
        """
        try:
            return ClassifierSpec(**self.model_dump() | {"positive_from": positive_from})
        except ValidationError as error:
            sentence = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ClassifierError(f"the threshold does not fit the model: {sentence}") from None

    def target_index(self, target: int | str | None) -> int:
        """Index of the explained class; ``None`` means the last one.

        Raises:
            ClassifierError: no class has that name or index.
        """
        if target is None:
            return self.outputs - 1
        if isinstance(target, str) and target in self.class_names:
            return self.class_names.index(target)
        try:
            index = int(target)
        except ValueError:
            raise ClassifierError(
                f"no class is named '{target}'; {nearest(str(target), self.class_names)}"
            ) from None
        if self.output == "value" and index != 0:
            raise ClassifierError(
                f"a model of a value gives '{self.class_names[0]}' alone, got the target {index}; "
                "leave it out, and say by a threshold from which value on an image is positive"
            )
        if not 0 <= index < self.outputs:
            raise ClassifierError(
                f"class index must be 0 to {self.outputs - 1} ({', '.join(self.class_names)}), "
                f"got {index}"
            )
        return index
