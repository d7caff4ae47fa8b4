"""Transitions as a picture: bands from the classes that were to those that are (Sankey diagram).

figure = draw_flow(cells, scheme, ("2013", "2017"), "{:.1f} ha".format)
figure = draw_trend([[…], […], […]], scheme, ["2013", "2015", "2017"], "ha")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from lcseg.classes import ClassScheme

_BAR = 0.02
_LEAST = 0.11
"""What the text of a bar takes, and with it the least distance from one to the next."""

_GAP = 0.03
_INCHES = 3.4
"""How high the bars of all that changed are drawn."""

_LEAST_SHOWN = 0.002
"""Share of all change of the least band that is drawn."""


def draw_flow(
    cells: np.ndarray, scheme: ClassScheme, dates: tuple[str, str], show: Callable[[float], str]
) -> Figure:
    """Draw what changed: bands as wide as their area, in the colour of the class that was.

    Args:
        cells: areas [n, n], before in rows, after in columns. What stayed is left out, as it would
            hide the rest.
        scheme: the classes.
        dates: names of the two sides.
        show: sets an area as text.
    """
    moved = np.array(cells, float)
    np.fill_diagonal(moved, 0)
    totals = moved.sum(axis=1), moved.sum(axis=0)
    shares = moved / max(moved.sum(), 1e-300)
    # What is too little to be seen is not drawn, but counts.
    shares[shares < _LEAST_SHOWN] = 0
    sides = [shares.sum(axis=1), shares.sum(axis=0)]
    height = max(_take(side).sum() for side in sides)
    figure = Figure(figsize=(7.2, 0.8 + _INCHES * height), layout="constrained")
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_xlim(-0.42, 1.42)
    if not moved.any():
        axis.text(0.5, 0.5, "nothing changed", ha="center", va="center", color="#626b72")
        return figure
    tops = [_stack(side) for side in sides]
    axis.set_ylim(-height, 0.1)
    palette = scheme.palette / 255
    starts, ends = tops[0].copy(), tops[1].copy()
    for i, j in zip(*np.nonzero(shares), strict=True):
        _draw_band(axis, starts[i], ends[j], shares[i, j], palette[i])
        starts[i] -= shares[i, j]
        ends[j] -= shares[i, j]
    for x, date in enumerate(dates):
        outwards = 2 * x - 1
        axis.text(x, 0.05, date, ha="center", fontweight="bold", fontsize=10)
        for k in np.flatnonzero(sides[x]):
            foot, height = tops[x][k] - sides[x][k], sides[x][k]
            axis.add_patch(Rectangle((x, foot), outwards * _BAR, height, color=palette[k]))
            axis.text(
                x + 2 * outwards * _BAR,
                foot + height / 2,
                f"{scheme.names[k]}\n{show(totals[x][k])}",
                ha="left" if x else "right",
                va="center",
                fontsize=9,
                linespacing=1.25,
            )
    return figure


def draw_trend(
    areas: Sequence[Sequence[float]], scheme: ClassScheme, dates: Sequence[str], unit: str
) -> Figure:
    """Draw the area of each class at each date; `areas` is [dates][classes]."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axis = figure.subplots()
    for k, name in enumerate(scheme.names):
        values = [of_date[k] for of_date in areas]
        color = scheme.palette[k] / 255
        axis.plot(range(len(dates)), values, label=name, color=color, marker="o", linewidth=2)
    axis.set_xticks(range(len(dates)), dates)
    axis.set_ylabel(unit)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3, axis="y")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, ncols=2, loc="outside lower center")
    return figure


def _take(shares: np.ndarray) -> np.ndarray:
    """How much of a side each bar takes with the gap below it; none that is not there."""
    return np.where(shares > 0, np.maximum(shares + _GAP, _LEAST), 0)


def _stack(shares: np.ndarray) -> np.ndarray:
    """Where each bar of a side begins, downwards from 0."""
    return _take(shares) - np.cumsum(_take(shares))


def _draw_band(axis: Axes, start: float, end: float, width: float, color: np.ndarray) -> None:
    middle = 0.5
    places = [
        (0, start), (middle, start), (middle, end), (1, end),
        (1, end - width), (middle, end - width), (middle, start - width), (0, start - width),
        (0, start),
    ]  # fmt: skip
    curve = [Path.MOVETO, *[Path.CURVE4] * 3, Path.LINETO, *[Path.CURVE4] * 3, Path.CLOSEPOLY]
    axis.add_patch(PathPatch(Path(places, curve), facecolor=color, alpha=0.55, linewidth=0))
