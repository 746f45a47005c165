"""Specifications and descriptions from files."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medxgan.errors import ClassifierError
from medxgan.types import ClassifierSpec

SpecSource = ClassifierSpec | Mapping[str, Any] | str | os.PathLike[str]


def read_spec(source: SpecSource) -> ClassifierSpec:
    """A specification from itself, a mapping, or a ``.json`` or ``.toml`` file.

    Raises:
        ClassifierError: the file cannot be read, or an entry is missing, unknown or wrong.

    >>> read_spec({"size": 32, "class_names": ["no", "yes"]}).output
    'logits'
    """
    if isinstance(source, ClassifierSpec):
        return source
    if not isinstance(source, Mapping | str | os.PathLike):
        raise ClassifierError(
            "a classifier's specification must be a table of entries or the path of one, "
            f"got {type(source).__name__}"
        )
    table = source if isinstance(source, Mapping) else read_table(Path(source))
    try:
        return ClassifierSpec.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        entry = f"'{where}': " if where else ""
        raise ClassifierError(
            f"the classifier's specification is wrong: {entry}"
            f"{first['msg'].removeprefix('Value error, ')}; known entries: "
            f"{', '.join(ClassifierSpec.model_fields)}"
        ) from error


def required_spec(spec: SpecSource | None, what: str) -> ClassifierSpec:
    """The specification of ``what``.

    Raises:
        ClassifierError: none was given, or it is wrong.
    """
    if spec is None:
        raise ClassifierError(
            f"{what} needs a specification (channels, size, output, class_names), got none; give "
            "one as a .json or .toml file"
        )
    return read_spec(spec)


def read_table(path: Path) -> Mapping[str, Any]:
    """Entries of a ``.toml`` or ``.json`` file.

    Raises:
        ClassifierError: another suffix, or the file cannot be read or parsed.
    """
    if path.suffix not in (".toml", ".json"):
        raise ClassifierError(f"a description must be a .toml or .json file, got '{path}'")
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise ClassifierError(f"cannot read '{path}': {error.strerror or error}") from error
    except ValueError as error:
        kind = path.suffix[1:].upper()
        raise ClassifierError(f"'{path}' is not valid {kind}: {error}") from error
    if not isinstance(table, Mapping):
        raise ClassifierError(f"'{path}' must hold a table of entries, got {type(table).__name__}")
    return table
