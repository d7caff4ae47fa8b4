"""How a label raster lies under its image, in words and numbers for a report.

fit = measure_fit(alignment, samples=(1, 1))
fit.sampling, fit.shift_px, fit.overlap        # "shifted", (0.0, 0.25), 0.98
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from lcseg.raster.alignment import Alignment
from lcseg.raster.crs import crs_name
from lcseg.raster.grid import pixel_size_m

_EDGE_POINTS = 33
_SAME_PX = 1e-6


@dataclass(frozen=True)
class LabelFit:
    """How a label raster lies under its image."""

    sampling: str  # "as it is", "shifted", "nearest" or "mode of r x c".
    # (Rows, columns) from the edges of the image's pixels to the nearest edges of the label's, at
    # the scene's centre, in image pixels: what sampling does not mend; 0 where edges coincide.
    shift_px: tuple[float, float]
    # (Rows, columns) from the image's first corner to the label's, in image pixels, as the two
    # lie to each other at the scene's centre.
    origin_px: tuple[float, float]
    overlap: float  # Share of the image's area that lies in the label raster, 0 .. 1.
    crs: str  # Name of the label's CRS; empty: none.
    pixel_m: float | None  # Ground sample distance of the label; None: not known.


def measure_fit(alignment: Alignment, samples: tuple[int, int]) -> LabelFit:
    """Measure how a label raster lies under its image.

    Args:
        alignment: of the two.
        samples: label pixels that are asked for the label of an image pixel: (down, across).
    """
    image, label = alignment.image, alignment.label
    # Not the inverse: about a pole, longitude has no slope.
    per_label = np.linalg.pinv(alignment.jacobian)
    # The corner of pixels that is next to the centre, and the corner of the label's next to it.
    corner = np.rint([image.width / 2, image.height / 2])
    place = np.array([axis[0] for axis in alignment.project(*corner[:, None])])
    shift = per_label @ (np.rint(place) - place)
    shift -= np.rint(shift)  # Of a coarser label the nearest corner may be some pixels away.
    shift[np.abs(shift) < _SAME_PX] = 0.0
    origin = corner - per_label @ place
    return LabelFit(
        _name_sampling(alignment, samples, shift),
        _round(shift),
        _round(origin),
        _measure_overlap(alignment),
        crs_name(label.crs) if label.crs else "",
        pixel_size_m(label),
    )


def _name_sampling(alignment: Alignment, samples: tuple[int, int], shift: np.ndarray) -> str:
    if max(samples) > 1:
        return f"mode of {samples[0]} x {samples[1]}"
    if alignment.shift is None:
        return "nearest"
    return "shifted" if shift.any() or any(alignment.shift) else "as it is"


def _round(place: np.ndarray) -> tuple[float, float]:
    """(rows, columns) of (columns, rows), to a millionth of a pixel, without a minus before 0."""
    col, row = (place.round(6) + 0.0).tolist()
    return row, col


def _measure_overlap(alignment: Alignment) -> float:
    """The share of the image's area, as it lies in the label raster, that this covers."""
    image, label = alignment.image, alignment.label
    edge = np.linspace(0, 1, _EDGE_POINTS)
    ones, zeros = np.ones_like(edge), np.zeros_like(edge)
    across = np.concatenate([edge, ones, edge[::-1], zeros]) * image.width
    down = np.concatenate([zeros, edge, ones, edge[::-1]]) * image.height
    outline = shapely.make_valid(shapely.Polygon(np.column_stack(alignment.project(across, down))))
    covered = outline.intersection(shapely.box(0, 0, label.width, label.height))
    return min(round(covered.area / outline.area, 6), 1.0) if outline.area else 0.0
