"""A report: what was evaluated against what, and how good it is, as JSON and as one HTML page.

report = Report("Evaluation", "run/bundle", "data, test", scheme, counts, scores, created)
write_report(report, "evaluation/", panels_png)
# evaluation/report.json  evaluation/report.html  evaluation/confusion.png
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from lcseg.classes import ClassScheme
from lcseg.documents import replaced, write_document
from lcseg.evaluation.confusion import NO_SCORE, Confusion, Scores, format_score
from lcseg.pictures import draw_confusion, save_figure

_PACKAGE = "lcseg.evaluation"


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
    with replaced(out_dir / "report.html") as aside:
        aside.write_text(render_html(report, panels), encoding="utf-8")
    write_document(out_dir / "report.json", report)


def render_html(report: Report, panels: bytes | None = None) -> str:
    """Render a report as one page that asks for nothing else; `panels` is a PNG to show."""
    return page_environment().get_template("report.html").render(report=report, panels=panels)


@functools.cache
def page_environment(package: str = _PACKAGE) -> jinja2.Environment:
    """Make the environment for the HTML templates of a package.

    They can `{% import "parts.html" as parts %}`: the style and the pieces of the report's page.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name, "") for name in dict.fromkeys((package, _PACKAGE))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FILTERS
    return environment


def _percent(share: float | None) -> str:
    return NO_SCORE if share is None else f"{100 * share:.1f}"


def _thousands(count: int) -> str:
    return f"{count:,}"


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


FILTERS = {
    "score": format_score,
    "percent": _percent,
    "thousands": _thousands,
    "data_url": _data_url,
}
"""What the templates may call: `{{ scores.kappa | score }}`."""
