"""Where an image comes from."""

from pathlib import Path
from typing import NamedTuple


class Origin(NamedTuple):
    """The file that an image was read from, and which of its frames or slices it is, from 1."""

    path: Path
    number: int = 1
