"""A scaling report for people: tables for a terminal, a picture, and one HTML page.

print(format_tables(report))
write_report(report, "scaling")
# scaling/report.json  scaling/scaling.png  scaling/report.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from tabulate import tabulate

from lcseg.documents import write_document
from lcseg.pages import page_environment, write_page
from lcseg.pictures import figure_png, save_figure
from lcseg.scaling.advice import advise, format_ms
from lcseg.scaling.model import forecast_step
from lcseg.scaling.report import Projection, ScalingReport

PICTURE_DPI = 160

_MEASURED, _QUIET = "#D66C34", "#8a9299"
_PROJECTED = ("#2E7DA0", "#6B4E9B")
_CURVE_POINTS = 60


def write_report(report: ScalingReport, out: str | Path) -> None:
    """Write the picture, the page and `report.json`, each aside and renamed."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    figure = draw_scaling(report)
    save_figure(figure, folder / "scaling.png", PICTURE_DPI)
    write_page(folder / "report.html", render_html(report, figure_png(figure, PICTURE_DPI)))
    write_document(folder / "report.json", report)


def render_html(report: ScalingReport, picture: bytes) -> str:
    """Render a report as one page that asks for nothing else; `picture` is a PNG."""
    environment = page_environment("lcseg.scaling", ms=format_ms, digits=_digits, times=_times)
    return environment.get_template("scaling.html").render(
        report=report, picture=picture, advice=list(advise(report))
    )


def draw_scaling(report: ScalingReport) -> Figure:
    """Draw speed-up over workers, both logarithmic: measured, projected, published and ideal."""
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axis = figure.subplots()
    most = max(row.workers for row in report.projections[0].rows)
    most = max(most, report.measured[-1].workers, report.published[-1].gpus)
    axis.plot([1, most], [1, most], "--", color=_QUIET, linewidth=1, label="ideal")
    for projection, color in zip(report.projections, _PROJECTED, strict=False):
        _plot_projection(axis, report, projection, color)
    axis.plot(
        [row.gpus for row in report.published],
        [row.speedup for row in report.published],
        *("x",),
        color=_QUIET,
        label="published: the work of 2018, by GPUs",
    )
    _plot_measured(axis, report)
    _set_axes(axis, report, most)
    return figure


def _plot_projection(axis: Axes, report: ScalingReport, projection: Projection, color: str) -> None:
    at = np.geomspace(1, projection.rows[-1].workers, _CURVE_POINTS).round().astype(int)
    sizes = [int(workers) for workers in np.unique(at)]
    seconds = [forecast_step(projection.terms, n, report.network).seconds for n in sizes]
    speedups = [n * seconds[0] / step_s for n, step_s in zip(sizes, seconds, strict=True)]
    name = f"projected: {projection.name}, {format_ms(seconds[0])} ms"
    axis.plot(sizes, speedups, color=color, label=name)
    rows = projection.rows
    axis.plot([r.workers for r in rows], [r.speedup for r in rows], "o", color=color, markersize=3)


def _plot_measured(axis: Axes, report: ScalingReport) -> None:
    looks = {False: ("measured", _MEASURED), True: ("measured, on shared cores", "white")}
    for is_crowded, (name, face) in looks.items():
        rows = [row for row in report.measured if row.is_crowded == is_crowded]
        if rows:
            axis.plot(
                [row.workers for row in rows],
                [row.speedup for row in rows],
                *("o",),
                color=_MEASURED,
                markerfacecolor=face,
                markersize=8,
                label=name,
            )


def _set_axes(axis: Axes, report: ScalingReport, most: int) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    doubled = [2**i for i in range(most.bit_length()) if 2**i < 0.75 * most]
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(FixedLocator([*doubled, most]))
        one.set_minor_locator(NullLocator())
        one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel("workers")
    axis.set_ylabel("speed-up over one worker")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=9)


def format_tables(report: ScalingReport) -> str:
    """What was measured and what is projected, as tables for a terminal."""
    return "\n\n".join([_format_measured(report), *map(_format_projection, report.projections)])


def _format_measured(report: ScalingReport) -> str:
    base = report.base
    head = ["workers", "steps/s", "step ms", "all-reduce ms", "input wait", "epoch 1 s", "epoch s"]
    rows = [
        [
            f"{row.workers}{' (shared cores)' if row.is_crowded else ''}",
            _digits(row.steps_per_s),
            format_ms(row.step_s),
            format_ms(row.reduce_s),
            f"{100 * row.wait_s / row.step_s:.1f} %",
            _digits(row.first_epoch_s),
            _digits(row.epoch_s),
            *_verdict(row.speedup, row.efficiency, row.kind),
        ]
        for row in report.measured
    ]
    return (
        f"base: 1 worker, {base.devices} x {base.device}, cores of its own: {base.cores}, "
        f"batch {base.batch} of {base.crop_px} px for each worker, cache: {base.cache}\n"
        + _tabulate(rows, [*head, "speed-up", "efficiency", ""])
    )


def _format_projection(projection: Projection) -> str:
    head = ["workers", "step ms", "compute", "all-reduce", "input", "sums", "slowest"]
    rows = [
        [
            str(row.workers),
            format_ms(row.step_s),
            *map(format_ms, row.step.parts.values()),
            *_verdict(row.speedup, row.efficiency, row.kind),
        ]
        for row in projection.rows
    ]
    return f"{projection.name}:\n" + _tabulate(rows, [*head, "speed-up", "efficiency", ""])


def _verdict(speedup: float, efficiency: float, kind: str) -> list[str]:
    return [_times(speedup), f"{100 * efficiency:.0f} %", kind]


def _tabulate(rows: list[list[str]], head: list[str]) -> str:
    left = ["left"] + ["right"] * (len(head) - 2) + ["left"]
    return tabulate(rows, head, disable_numparse=True, colalign=left)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(speedup: float) -> str:
    return f"{speedup:.0f}x" if speedup >= 100 else f"{speedup:.3g}x"
