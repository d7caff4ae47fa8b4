"""A report: what was evaluated against what, and how good it is, as JSON and as one HTML page.

report = Report("Evaluation", "run/bundle", "data, test", scheme, counts, scores, created)
write_report(report, "evaluation/", panels_png)
# evaluation/report.json  evaluation/report.html  evaluation/confusion.png
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.evaluation.confusion import Confusion, Scores, format_score
from lcseg.pages import page_environment, write_page
from lcseg.pictures import draw_confusion, save_figure


@dataclass(frozen=True)
class Report:
    """One evaluation, complete: all that its page shows but the pictures."""

    title: str  # The headline.
    subject: str  # What was evaluated: the path of a bundle or of a map.
    reference: str  # What it was held against: a data set and its split, or a label raster.
    scheme: ClassScheme  # The classes.
    counts: tuple[tuple[int, ...], ...]  # Pixels: reference in rows, prediction in columns.
    scores: Scores  # The scores of those counts.
    created: str  # When, as ISO 8601.
    details: dict[str, str] = field(default_factory=dict)  # More to show: name -> value.

    def __post_init__(self) -> None:
        n = self.scheme.n_classes
        if self.confusion.counts.shape != (n, n) or len(self.scores.classes) != n:
            raise ValueError(f"counts or scores are not those of the {n} classes")

    @property
    def confusion(self) -> Confusion:
        return Confusion(np.array(self.counts, np.int64))


def write_report(report: Report, out_dir: str | Path, panels: bytes | None = None) -> None:
    """Write `report.json`, `confusion.png` and `report.html`, each aside and renamed.

    Args:
        report: what to write.
        out_dir: the folder; it is made where it is missing.
        panels: a picture of samples for the page, as PNG.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    figure = draw_confusion(report.confusion.counts, report.scheme.names)
    save_figure(figure, out_dir / "confusion.png")
    write_page(out_dir / "report.html", render_html(report, panels))
    write_document(out_dir / "report.json", report)


def render_html(report: Report, panels: bytes | None = None) -> str:
    """Render a report as one page that asks for nothing else; `panels` is a PNG to show."""
    return score_pages().get_template("report.html").render(report=report, panels=panels)


def score_pages(*packages: str) -> jinja2.Environment:
    """Make the environment for the templates of packages that show scores.

    They can `{% import "scores.html" as score_parts %}`: the pieces of the report's page.
    """
    return page_environment(*packages, "lcseg.evaluation", score=format_score)
