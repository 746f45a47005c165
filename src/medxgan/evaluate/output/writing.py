"""The files of an evaluation: figures as JSON and as a table, pictures, and a page."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from medxgan.classifiers.surrogate import true_model_of
from medxgan.data import Dataset
from medxgan.evaluate.evaluation import Evaluation
from medxgan.evaluate.output.rows import table_text
from medxgan.evaluate.output.worst import order_sentence, worst_cases
from medxgan.evaluate.parts import METRICS_FILE
from medxgan.explainer import Explainer
from medxgan.quality import poorness
from medxgan.report.evaluation import render_evaluation
from medxgan.report.evaluation_charts import CHARTS, Measured
from medxgan.report.evaluation_sheet import draw_sheet
from medxgan.report.evaluation_style import LIGHT, drawn
from medxgan.report.staging import staged_folder
from medxgan.version import __version__

TABLE_FILE = "metrics.csv"
REPORT_FILE = "report.html"
FIGURES_FOLDER = "figures"
SHEET = "worst"
WORST = 10


def write_evaluation(
    evaluation: Evaluation,
    explainer: Explainer,
    data: Dataset,
    folder: Path,
    *,
    settings: Mapping[str, object],
) -> Path:
    """Write ``metrics.json``, ``metrics.csv``, ``figures/`` and ``report.html``.

    Args:
        evaluation: of ``explainer`` on ``data``.
        explainer: draws the worst cases once more, for their pictures.
        data: the images that were measured.
        folder: made where missing; files of the same name are replaced.
        settings: of the run (data, split, ...), by name; kept in ``metrics.json`` under
            ``measured``, beside those of the evaluation, and shown at the end of the page.

    Returns:
        The path of ``report.html``.

    Raises:
        OutputError: the folder cannot be written; no file is left half-written.
    """
    measured = Measured(evaluation.document, evaluation.methods, evaluation.films)
    facts = facts_of(explainer) | evaluation.settings | dict(settings)
    cases = worst_cases(evaluation, explainer, data, WORST)
    pictures = {name: partial(chart.draw, measured) for name, chart in CHARTS.items()}
    pictures[SHEET] = partial(draw_sheet, cases)
    page = render_evaluation(
        measured,
        cases,
        order=order_sentence(evaluation),
        title=f"How good are the explanations of {explainer.bundle.name}?",
        facts=facts,
        timing=(
            f"on {evaluation.settings['device']}, in batches of up to "
            f"{evaluation.settings['images at once']} images"
        ),
        caution=caution_of(explainer),
    )
    table = table_text(evaluation, data)
    document = {**evaluation.document, "measured": facts}
    metrics = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    with staged_folder(folder) as stage:
        (stage / FIGURES_FOLDER).mkdir()
        for name, draw in pictures.items():
            (stage / FIGURES_FOLDER / f"{name}.png").write_bytes(drawn(draw, LIGHT, "png"))
        for name, text in (
            (METRICS_FILE, metrics + "\n"),
            (TABLE_FILE, table),
            (REPORT_FILE, page),
        ):
            (stage / name).write_text(text, encoding="utf-8")
    return folder / REPORT_FILE


def caution_of(explainer: Explainer) -> str | None:
    """What the bundle itself says against trusting it, from its figures on held-out images."""
    return poorness(explainer.bundle.metrics.get("held_out", {}))


def _stands_for(explainer: Explainer) -> dict[str, object]:
    known = true_model_of(explainer.classifier.measured)
    return {} if known is None else {"the classifier stands for": str(known)}


def facts_of(explainer: Explainer) -> dict[str, object]:
    """What was measured, for whoever reads the figures later."""
    return {
        "bundle": explainer.bundle.name,
        "method": explainer.bundle.method,
        "explained class": explainer.bundle.target_name,
        "classifier": explainer.bundle.classifier.fingerprint[:12],
        **_stands_for(explainer),
        "written by": f"medxgan {__version__}",
    }
