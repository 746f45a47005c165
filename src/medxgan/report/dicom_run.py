"""What the DICOM objects of one run share: the source that is open, and numbers that are taken."""

from pathlib import Path

from medxgan.report.dicom_source import SourceFile, SourceFrame


class RunState:
    """Opens each source once for all of its frames, and numbers what is derived from them."""

    def __init__(self) -> None:
        self._opened: tuple[object, SourceFile] | None = None
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._taken: dict[str, set[int]] = {}

    def open(self, path: Path, window: tuple[float, float] | None) -> SourceFile:
        """A source; the last one is kept, for the frames of a file come one after another.

        Raises:
            DataError: see `SourceFile`.
        """
        state = path.stat() if path.exists() else None
        known = (path, window, state and (state.st_mtime_ns, state.st_size))
        if self._opened is None or self._opened[0] != known:
            self._opened = None  # first: two sources need not be in memory
            self._opened = known, SourceFile(path, window)
        return self._opened[1]

    def instance_number(self, frame: SourceFrame) -> int:
        """The number of what is derived from a frame, which no other frame of its series has.

        That of its instance, or of the frame where its file holds several; else the next that is
        free.
        """
        series = str(frame.header.SeriesInstanceUID)
        key = (series, str(frame.header.SOPInstanceUID), frame.number)
        if key not in self._numbers:
            taken = self._taken.setdefault(series, set())
            number = frame.own_number or frame.number
            while number in taken:
                number += 1
            taken.add(number)
            self._numbers[key] = number
        return self._numbers[key]
