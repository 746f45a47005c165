"""Explanations of several images: a list that is saved and shown as one report."""

import os
from pathlib import Path
from typing import Any

from medxgan.report import render_report, write_report
from medxgan.types import Explanation


class Explanations(list[Explanation]):
    """Explanations of several images, in their order."""

    def save(self, folder: str | os.PathLike[str], **report: Any) -> Path:
        """Write ``report.html``, a table, and a folder of pictures and arrays for each image."""
        return write_report(self, folder, **report)

    def to_html(self, **report: Any) -> str:
        """One self-contained HTML page."""
        return render_report(self, **report)
