"""Do all files of pydicom's and nibabel's own test data get read, or one sentence? Prints a table.

    python benchmarks/bundled_files.py
    python benchmarks/bundled_files.py --verbose

Every file goes through ``medxgan inspect``, and what it takes for an image also through the reader
that ``explain`` uses. Ends with 1 if any file met an error that is not a sentence for the user.
"""

import argparse
import sys
import traceback
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from medxgan.data import read_inputs
from medxgan.data.images import is_image
from medxgan.errors import MedxganError
from medxgan.inspection import inspect

SIZE = 64
NO_TEST_DATA = {".py", ".pyc", ".pyi"}
MOST_LETTERS = 400
"""Of a sentence."""


class Outcome(NamedTuple):
    """What became of a file: read, refused or crashed, and the sentence or the trace."""

    path: Path
    kind: str
    words: str


def bundled_files(package: str) -> list[Path]:
    """All test data that came with an installed package; none where it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        return []
    root = Path(found.origin).parent
    return sorted(
        file
        for file in root.rglob("*")
        if file.is_file()
        and "data" in file.relative_to(root).parts[:-1]
        and file.suffix not in NO_TEST_DATA
    )


def look_at(path: Path) -> Outcome:
    """Inspect a file, and read it if it is an image."""
    try:
        words = inspect(str(path)).kind
        if is_image(path):
            inputs = read_inputs([path], size=SIZE, channels=1)
            assert inputs.images.isfinite().all()
            assert float(inputs.images.abs().max()) <= 1
    except MedxganError as error:
        sentence = str(error)
        clean = "\n" not in sentence and len(sentence.replace(str(path), "")) < MOST_LETTERS
        return Outcome(path, "refused" if clean else "crashed", sentence)
    except Exception:
        return Outcome(path, "crashed", traceback.format_exc())
    return Outcome(path, "read", words)


def reason(outcome: Outcome) -> str:
    """A refusal without what differs from file to file."""
    sentence = outcome.words.replace(str(outcome.path), "").strip(" :")
    return sentence.partition("(")[0].partition(";")[0].strip() or sentence


def main() -> None:
    """Look at all files, and print how many were read, and why the others were not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="print every file")
    arguments = parser.parse_args()
    crashed = 0
    for package in ("pydicom", "nibabel"):
        outcomes = [look_at(path) for path in bundled_files(package)]
        counts = Counter(outcome.kind for outcome in outcomes)
        crashed += counts["crashed"]
        print(f"{package}: {len(outcomes)} files")
        for kind in ("read", "refused", "crashed"):
            print(f"  {kind:8} {counts[kind]:4}")
        reasons = Counter(reason(outcome) for outcome in outcomes if outcome.kind == "refused")
        for words, count in reasons.most_common():
            print(f"    {count:4}  {words}")
        for outcome in outcomes:
            if arguments.verbose or outcome.kind == "crashed":
                print(f"  {outcome.kind}: {outcome.path.name}: {outcome.words}")
    sys.exit(1 if crashed else 0)


if __name__ == "__main__":
    main()
