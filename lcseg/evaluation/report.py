"""A report: what was evaluated against what, and how good it is, as JSON and as one HTML page.

report = Report("Evaluation", "run/bundle", "data, test", scheme, counts, scores, created)
write_report(report, "evaluation/", Pictures(panels_png, tiles))
# report.json, report.html, confusion.png and, where confidences are known, reliability.png
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import numpy as np

from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.evaluation.calibration import Calibration, draw_reliability
from lcseg.evaluation.confusion import Confusion, Scores, format_score
from lcseg.evaluation.spots import Spot, Tiles
from lcseg.evaluation.tally import PartScores
from lcseg.pages import page_environment, write_page
from lcseg.pictures import draw_confusion, figure_png, save_figure


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
    calibration: Calibration | None = None  # None: no confidence is known.
    by_distance: tuple[PartScores, ...] = ()  # By distance to the label border, nearest first.
    by_scene: tuple[PartScores, ...] = ()  # The least accurate one first; none: there is but one.
    worst: tuple[Spot, ...] = ()  # Where it is worst, the least accurate one first.

    def __post_init__(self) -> None:
        n = self.scheme.n_classes
        if self.confusion.counts.shape != (n, n) or len(self.scores.classes) != n:
            raise ValueError(f"counts or scores are not those of the {n} classes")

    @property
    def confusion(self) -> Confusion:
        return Confusion(np.array(self.counts, np.int64))

    def text(self) -> str:
        """Set what matters most as text: the scores, and a line for each closer look."""
        lines = [self.scores.table()]
        if self.calibration:
            lines.append(
                f"calibration error (ECE, {len(self.calibration.bins)} bins) "
                f"{format_score(self.calibration.ece)}: confidence "
                f"{format_score(self.calibration.confidence)}, "
                f"accuracy {format_score(self.calibration.accuracy)}"
            )
        known = [part for part in self.by_distance if part.n_pixels]
        if known:
            bands = (f"{part.name} px {format_score(part.overall_accuracy)}" for part in known)
            lines.append(f"overall accuracy by distance to the label border: {', '.join(bands)}")
        if len(self.by_scene) > 1:
            least = self.by_scene[0]
            lines.append(
                f"worst of {len(self.by_scene):,} scenes: {least.name}, "
                f"overall accuracy {format_score(least.overall_accuracy)}"
            )
        return "\n".join(lines)


@dataclass(frozen=True)
class Pictures:
    """What a page shows beside the numbers."""

    panels: bytes | None = None  # Samples, as PNG; None: none are shown.
    tiles: Sequence[Tiles] = ()  # Of each of the worst spots.


NO_PICTURES = Pictures()


def write_report(report: Report, out_dir: str | Path, pictures: Pictures = NO_PICTURES) -> None:
    """Write the files of a report, each aside and renamed.

    Args:
        report: what to write.
        out_dir: the folder; it is made where it is missing.
        pictures: for the page.
    """
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    figure = draw_confusion(report.confusion.counts, report.scheme.names)
    save_figure(figure, out_dir / "confusion.png")
    if report.calibration:
        save_figure(draw_reliability(report.calibration), out_dir / "reliability.png")
    write_page(out_dir / "report.html", render_html(report, pictures))
    write_document(out_dir / "report.json", report)


def render_html(report: Report, pictures: Pictures = NO_PICTURES) -> str:
    """Render a report as one page that asks for nothing else."""
    calibration = report.calibration
    reliability = figure_png(draw_reliability(calibration)) if calibration else None
    template = score_pages().get_template("report.html")
    return template.render(report=report, pictures=pictures, reliability=reliability)


def score_pages(*packages: str) -> jinja2.Environment:
    """Make the environment for the templates of packages that show scores.

    They can `{% import "scores.html" as score_parts %}`: the pieces of the report's page.
    """
    return page_environment(*packages, "lcseg.evaluation", score=format_score)
