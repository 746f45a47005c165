"""How a benchmark ends: its document printed as JSON, kept in a file, and shown as a table."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medxgan.atomic import atomic_file
from medxgan.errors import MedxganError


def publish(
    measure: Callable[[], Mapping[str, Any]],
    out: Path | None,
    table: Callable[[Mapping[str, Any]], str] | None,
) -> None:
    """Measure, print the document, and say what went wrong in one sentence, with exit code 2.

    Args:
        measure: makes the document.
        out: a file to write it to as well.
        table: from the document to what is printed beside it, on stderr.
    """
    try:
        document = measure()
        text = json.dumps(document, indent=2, allow_nan=False)
        if out is not None:
            with atomic_file(out) as file:
                file.write(text.encode() + b"\n")
    except MedxganError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(text)
    if table is not None:
        print(table(document), file=sys.stderr)
