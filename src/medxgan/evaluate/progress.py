"""How measuring says how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told how far the measuring is."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` of a stage: codes, scores, realism, negatives, then positives."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
