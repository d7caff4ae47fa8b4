"""Arrays as pictures: imagery, labels, and panels of both with a legend.

rgb_hwc = stretch(image_hwc, valid_hw)
figure = draw_panels(["image", "label"], [[rgb_hwc, scheme.colorize(label_hw)]], scheme)
save_figure(figure, "preview.png")
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from lcseg.classes import ClassScheme
from lcseg.files import replaced

STRETCH_PERCENT = (2.0, 98.0)

_QUICK = 4
"""Compression of figures: a tenth larger than at the usual level, 6, in a third of the time."""


@dataclass(frozen=True)
class Curve:
    """A named line of points."""

    name: str  # For the legend.
    x: Sequence[float]  # As many as y.
    y: Sequence[float]  # NaN leaves a gap.
    color: str  # "#RRGGBB", or a name.


def stretch(image_hwc: np.ndarray, valid_hw: np.ndarray | None = None) -> np.ndarray:
    """Make an image of any bands and dtype visible.

    Args:
        image_hwc: [H, W, C] of any number dtype; the first three bands are shown as red, green
            and blue, or the first alone as grey where there are fewer.
        valid_hw: bool [H, W]; the other pixels are black and do not count in the stretch.

    Returns:
        uint8 [H, W, 3], stretched between the 2nd and the 98th percentile of the shown bands
        together, so that grey stays grey.
    """
    bands = [0, 1, 2] if image_hwc.shape[-1] >= 3 else [0, 0, 0]
    shown = image_hwc[..., bands].astype(np.float32)
    valid = np.ones(shown.shape[:2], bool) if valid_hw is None else valid_hw
    if not valid.any():
        return np.zeros(shown.shape, np.uint8)
    low, high = np.percentile(shown[valid], STRETCH_PERCENT)
    scaled = (shown - low) / max(high - low, 1e-6)
    return np.where(valid[..., None], scaled.clip(0, 1) * 255, 0).astype(np.uint8)


def encode_png(rgb_hwc: np.ndarray) -> bytes:
    """Encode uint8 [H, W, 3] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb_hwc).save(buffer, "png")
    return buffer.getvalue()


def draw_panels(
    titles: Sequence[str],
    rows: Sequence[Sequence[np.ndarray]],
    scheme: ClassScheme,
    has_ignored: bool = True,
) -> Figure:
    """Draw rows of uint8 [H, W, 3] pictures under their titles, with the legend of the scheme.

    Without `has_ignored` the legend does not say that black is ignored.
    """
    figure = Figure(figsize=(3.2 * len(titles), 3.2 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for row, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    _add_legend(figure, scheme, 2 * len(titles), has_ignored)
    return figure


def draw_pairs(
    titles: Sequence[str],
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    scheme: ClassScheme,
    columns: int = 2,
) -> Figure:
    """Draw pairs of square uint8 [H, W, 3] pictures, each pair side by side under its title."""
    columns = min(columns, len(pairs))
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(5.4 * columns, 2.9 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, title, (left, right) in zip(axes, titles, pairs, strict=False):
        gap = np.full((len(left), max(len(left) // 48, 1), 3), 255, np.uint8)
        axis.imshow(np.concatenate([left, gap, right], axis=1), interpolation="nearest")
        axis.set_title(title, fontsize=10, loc="left")
    _add_legend(figure, scheme, 4 * columns)
    return figure


def _add_legend(
    figure: Figure, scheme: ClassScheme, columns: int, has_ignored: bool = True
) -> None:
    patches = [
        Patch(color=c / 255.0, label=n) for c, n in zip(scheme.palette, scheme.names, strict=True)
    ]
    if has_ignored:
        patches.append(Patch(facecolor="black", label="ignored"))
    figure.legend(
        handles=patches, loc="outside lower center", ncols=columns, frameon=False, fontsize=9
    )


def draw_confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw a confusion matrix: each cell is coloured and labelled by its share of its row.

    Args:
        counts: int64 [n, n], reference in rows, prediction in columns, in pixels.
        names: the n class names.
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.8 + 0.65 * len(names)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axis.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.set_xlabel("predicted")
    axis.set_ylabel("reference")
    for row, column in np.ndindex(*share.shape):
        if counts[row].sum():
            color = "white" if share[row, column] > 0.55 else "black"
            text = f"{100 * share[row, column]:.1f} %"
            axis.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def draw_curves(curves: Sequence[Curve], x_label: str, y_label: str) -> Figure:
    """Draw curves over one pair of axes."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axis = figure.subplots()
    for curve in curves:
        axis.plot(curve.x, curve.y, label=curve.name, color=curve.color, marker="o", markersize=3)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def figure_png(figure: Figure, dpi: int = 110) -> bytes:
    """Render a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, pil_kwargs={"compress_level": _QUICK})
    return buffer.getvalue()


def save_figure(figure: Figure, path: str | Path, dpi: int = 110) -> None:
    """Write a figure as PNG, aside and renamed."""
    with replaced(path) as aside:
        aside.write_bytes(figure_png(figure, dpi))
