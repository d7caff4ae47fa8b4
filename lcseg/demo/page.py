"""The demo's page: imagery, label and map side by side, the scores, and how they came about.

write_page(Path("demo-run"), predict_config, "demo-run/scenes/scene-9_label.tif")
"""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.figure import Figure

from lcseg import pages
from lcseg.classes import IGNORE, ClassScheme
from lcseg.documents import read_document
from lcseg.evaluation.report import Report, score_pages
from lcseg.pictures import Curve, draw_curves, draw_panels, figure_png, save_figure, stretch
from lcseg.prediction.config import PredictConfig
from lcseg.raster.cog import read_class_map
from lcseg.raster.grid import Window
from lcseg.raster.label import open_label
from lcseg.raster.source import open_image
from lcseg.training.run import History, RunFolder

PICTURE_DPI = 160


def write_page(out: Path, config: PredictConfig, label: str) -> str:
    """Write `index.html` and `panels.png`; returns what the page is."""
    report = read_document(out / "report" / "report.json", Report)
    panels = _draw_panels(config, label, report)
    history = RunFolder(out / "run").read_history()
    page = score_pages("lcseg.demo").get_template("index.html")
    html = page.render(
        report=report,
        panels=figure_png(panels, PICTURE_DPI),
        losses=figure_png(_draw_losses(history)),
        scores=figure_png(_draw_scores(history, report.scheme)),
    )
    save_figure(panels, out / "panels.png", PICTURE_DPI)
    pages.write_page(out / "index.html", html)
    return "all of it on one page"


def _draw_panels(config: PredictConfig, label: str, report: Report) -> Figure:
    """The scene that was mapped: image, label and prediction."""
    with open_image(config.image) as image:
        whole = Window(0, 0, image.grid.height, image.grid.width)
        image_hwc, valid_hw = image.read(whole)
        with open_label(label, image.grid, report.scheme) as source:
            label_hw = source.read(whole)
    label_hw[~valid_hw] = IGNORE
    pictures = [
        stretch(image_hwc, valid_hw),
        report.scheme.colorize(label_hw),
        report.scheme.colorize(read_class_map(config.out)),
    ]
    return draw_panels(["image", "label", "prediction"], [pictures], report.scheme)


def _draw_losses(history: History) -> Figure:
    steps = [row.step for row in history.rows]
    curves = [
        Curve("training", steps, [row.loss for row in history.rows], "#D66C34"),
        Curve("validation", steps, [row.validation_loss for row in history.rows], "#2E7DA0"),
    ]
    return draw_curves(curves, "step", "cross-entropy")


def _draw_scores(history: History, scheme: ClassScheme) -> Figure:
    steps = [row.step for row in history.rows]
    curves = [Curve("mean", steps, [row.mean_iou or math.nan for row in history.rows], "#444444")]
    for land in scheme.classes:
        iou = [row.iou[land.name] or math.nan for row in history.rows]
        curves.append(Curve(land.name, steps, iou, land.color))
    return draw_curves(curves, "step", "IoU on validation")
