"""``metrics.csv``: a row an image and method, with every figure of that image."""

import csv
import io
from collections.abc import Iterator

from torch import Tensor

from medxgan.data import Dataset
from medxgan.data.split import SPLIT_NAMES
from medxgan.evaluate.columns import Place
from medxgan.evaluate.evaluation import Evaluation

DIGITS = 7


def table_text(evaluation: Evaluation, data: Dataset) -> str:
    """The table as a CSV file.

    Args:
        evaluation: of ``data``.
        data: the images.

    Returns:
        A row for each of these images and each method: what is known of the image and its figures,
        the same in all its rows, then those of the method. Undefined ones are empty.
    """
    shared = {
        column_name(place, None): values
        for place, values in evaluation.columns.items()
        if method_of(place, evaluation.methods) is None
    }
    own: dict[str, dict[str, Tensor]] = {method: {} for method in evaluation.methods}
    for place, values in evaluation.columns.items():
        method = method_of(place, evaluation.methods)
        if method is not None:
            own[method][column_name(place, method)] = values
    names = list(dict.fromkeys(name for columns in own.values() for name in columns))
    facts = list(_facts(evaluation, data))
    header = ["name", "row", "split", "group", "status", "method", *shared, *names]

    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(header)
    for number, known in enumerate(facts):
        of_image = [_text(values[number]) for values in shared.values()]
        for method in evaluation.methods or ("",):
            columns = own.get(method, {})
            of_method = [_text(columns[name][number]) if name in columns else "" for name in names]
            table.writerow([*known, method, *of_image, *of_method])
    return buffer.getvalue()


def method_of(place: Place, methods: tuple[str, ...]) -> str | None:
    """The method that a figure is of, or None where it is of the image.

    >>> method_of(("localization", "ig", "iou"), ("ig",))
    'ig'
    >>> method_of(("controls", "random_classifier", "ig", "localization", "iou"), ("ig",))
    'ig'
    >>> method_of(("counterfactual", "validity"), ("ig",)) is None
    True
    """
    name = place[2:3] if place[0] == "controls" else place[1:2]
    return name[0] if name and name[0] in methods else None


def column_name(place: Place, method: str | None) -> str:
    """The name of a figure's column: its place, without the method.

    >>> column_name(("deletion", "ig", "blur", "0.05"), "ig")
    'deletion_blur_0.05'
    """
    return "_".join(name for name in place if name != method)


def _facts(evaluation: Evaluation, data: Dataset) -> Iterator[tuple[str, int, str, str, str]]:
    for row, status in zip(evaluation.rows.tolist(), evaluation.statuses, strict=True):
        problems = "; ".join(problem.kind for problem in status.problems)
        yield (
            str(data.names[row]),
            int(data.rows[row]),
            SPLIT_NAMES[data.split[row]],
            str(data.groups[row]),
            problems or "ok",
        )


def _text(value: Tensor) -> str:
    return f"{value.item():.{DIGITS}g}" if bool(value.isfinite()) else ""
