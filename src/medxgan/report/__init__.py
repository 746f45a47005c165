"""The report: explanations as one offline HTML page, as pictures, and as arrays."""

from medxgan.report.html import render_report
from medxgan.report.saving import save_explanation, write_report

__all__ = ["render_report", "save_explanation", "write_report"]
