"""A site as a part of a picture: its scenes' outlines, its chips in the colours of their splits.

plot_panel(figure.add_axes(place), panel, scale, width_in, height_in)
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patheffects import withStroke

from lcseg.records.ground import FATES, Panel
from lcseg.records.looks import LOOKS, Look

TITLE_IN, SCALE_IN = 0.3, 0.42
INK = "#1d2327"
_MOST_NAMES, _MANY = 8, 100
_FEWEST_EDGED_IN = 0.05
_HALO = [withStroke(linewidth=2.2, foreground="white", alpha=0.85)]


def plot_panel(axis: Axes, panel: Panel, scale: float, width_in: float, height_in: float) -> None:
    """Plot a site below its title and above its scale.

    Args:
        axis: an empty one, `width_in` by `height_in` inches large.
        panel: the site.
        scale: pixels of the frame to an inch.
        width_in: width of the axis.
        height_in: height of the axis; TITLE_IN and SCALE_IN more than the site is high.
    """
    left, top, _, bottom = panel.bounds
    axis.set_axis_off()
    axis.set_xlim(left, left + width_in * scale)
    axis.set_ylim(top + (height_in - TITLE_IN) * scale, top - TITLE_IN * scale)
    for name in reversed(FATES):
        _plot_chips(axis, panel.chips[name], LOOKS[name], scale)
    axis.add_collection(
        LineCollection(
            list(panel.outlines),
            colors=INK,
            linewidths=0.7 if len(panel.names) < _MANY else 0.3,
            capstyle="projecting",
            clip_on=False,
        )
    )
    many = len(panel.names)
    has_names = 1 < many <= _MOST_NAMES
    title = panel.names[0]
    if has_names:
        title = f"{many} scenes"
    elif many > 1:
        title = f"{many:,} scenes, {panel.names[0]} to {panel.names[-1]}"
    axis.text(
        left,
        top - 0.08 * scale,
        _shorten(title, int(width_in * 12.5)),
        fontsize=9.5,
        color=INK,
        parse_math=False,
    )
    if has_names:
        _plot_names(axis, panel, scale)
    _plot_scale(axis, panel, scale, bottom + 0.16 * scale)


def _plot_chips(axis: Axes, corners: np.ndarray, look: Look, scale: float) -> None:
    if not len(corners):
        return
    is_large = np.median(np.ptp(corners[..., 0], axis=1)) / scale > _FEWEST_EDGED_IN
    axis.add_collection(
        PolyCollection(
            # A list of them would be turned into paths one by one.
            cast(Any, corners),
            facecolors=look.face,
            edgecolors=look.edge if is_large or look.hatch else "none",
            linewidths=0.6 if is_large else 0.0,
            antialiaseds=bool(is_large),
            hatch=look.hatch or None,
        )
    )


def _plot_names(axis: Axes, panel: Panel, scale: float) -> None:
    """Write the name of each scene into the upper left of its outline."""
    for name, outline in zip(panel.names, panel.outlines, strict=True):
        col, row = outline[np.argmin(outline.sum(axis=1))]
        room_in = (outline[:, 0].max() - col) / scale
        axis.text(
            col + 0.06 * scale,
            row + 0.06 * scale,
            _shorten(name, int(room_in * 14)),
            fontsize=7.5,
            color=INK,
            va="top",
            path_effects=_HALO,
            parse_math=False,
        )


def _plot_scale(axis: Axes, panel: Panel, scale: float, row: float) -> None:
    """Plot a bar of a round length on the ground, and an arrow to the north."""
    left, _, right, _ = panel.bounds
    if panel.pixel_m:
        length_m = _round_down((right - left) * panel.pixel_m / 3)
        length_px = length_m / panel.pixel_m
        axis.plot(
            [left, left + length_px], [row, row], color=INK, linewidth=2, solid_capstyle="butt"
        )
        text = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
        place = left + length_px + 0.07 * scale
        axis.text(place, row, text, fontsize=8.5, color=INK, va="center")
    if panel.north:
        col, length = right - 0.12 * scale, 0.1 * scale
        col_step, row_step = length * panel.north[0], length * panel.north[1]
        axis.annotate(
            "",
            (col + col_step, row + row_step),
            (col - col_step, row - row_step),
            arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.8, "mutation_scale": 7},
            annotation_clip=False,
        )
        axis.text(col - 0.2 * scale, row, "N", fontsize=8.5, color=INK, va="center")


def _round_down(length: float) -> float:
    """1, 2 or 5 times a power of ten, at most `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))


def _shorten(name: str, most: int) -> str:
    """Leave out the middle of a name that is too long."""
    if len(name) <= most:
        return name
    kept = max(most - 1, 2)
    return f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
