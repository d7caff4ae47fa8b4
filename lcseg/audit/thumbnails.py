"""Pictures of a place: image, label and prediction, each with its outline.

thumbnail = draw_thumbnail(evidence, shape, scheme)
thumbnail.tiles                                # ("label", bytes of a PNG), …
thumbnail.outline                              # the path of an SVG over each of them
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import shapely
from PIL import Image

from lcseg.audit.evidence import Evidence
from lcseg.classes import IGNORE, ClassScheme
from lcseg.raster.grid import Window

SIDE_PX = 160
"""Most pixels of a thumbnail; one of more ground shows every second pixel, or fewer."""

_LEAST_PX, _MOST_PX = 64, 1024
_AROUND = 2.0
_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """Pictures of the same ground."""

    side_px: int  # Of the ground, in pixels of the scene.
    tiles: tuple[tuple[str, str, bytes], ...]  # Title, kind (png or jpeg) and bytes of each.
    outline: str  # Of the place: an SVG path in pixels of the scene, from the upper left corner.


def draw_thumbnail(evidence: Evidence, shape: shapely.Geometry, scheme: ClassScheme) -> Thumbnail:
    """Draw a place with as much ground around it; of a large place, only a part is shown.

    Args:
        evidence: of its scene.
        shape: its outline, in pixels of the scene.
        scheme: the classes.
    """
    window = choose_window(shape)
    step = -(-window.height // SIDE_PX)
    probs_hwk, label_hw = (values[::step, ::step] for values in evidence.read(window))
    is_known_hw = probs_hwk.any(axis=-1)
    prediction_hw = np.where(is_known_hw, probs_hwk.argmax(axis=-1), IGNORE).astype(np.uint8)
    tiles = [
        ("label", "png", _encode(scheme.colorize(label_hw), "png")),
        ("prediction", "png", _encode(scheme.colorize(prediction_hw), "png")),
    ]
    image_hwc = evidence.picture(window)
    if image_hwc is not None:
        tiles.insert(0, ("image", "jpeg", _encode(image_hwc[::step, ::step], "jpeg")))
    return Thumbnail(window.height, tuple(tiles), _draw_path(shape, window, step))


def choose_window(shape: shapely.Geometry) -> Window:
    """The square that shows a place; its middle, where that is all that can be shown."""
    left, top, right, bottom = shape.bounds
    side = int(_AROUND * max(right - left, bottom - top))
    col, row = (left + right) / 2, (top + bottom) / 2
    if side > _MOST_PX:
        middle = shape.representative_point()
        col, row = middle.x, middle.y
    side = min(max(side, _LEAST_PX), _MOST_PX)
    return Window(int(row - side / 2), int(col - side / 2), side, side)


def _draw_path(shape: shapely.Geometry, window: Window, step: int) -> str:
    """The rings of an outline, as far as the window shows them, not finer than the picture."""
    frame = shapely.box(
        window.col, window.row, window.col + window.width, window.row + window.height
    )
    shown = shape.intersection(frame) if step > 1 else shape
    shown = shown.simplify(step / 2) if step > 1 else shown
    rings = [
        ring
        for part in shapely.get_parts(shown)
        if isinstance(part, shapely.Polygon)
        for ring in (part.exterior, *part.interiors)
    ]
    return "".join(
        "M" + "L".join(f"{x - window.col:g} {y - window.row:g}" for x, y in ring.coords[:-1]) + "Z"
        for ring in rings
    )


def _encode(rgb_hwc: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb_hwc)).save(buffer, kind, quality=_QUALITY)
    return buffer.getvalue()
