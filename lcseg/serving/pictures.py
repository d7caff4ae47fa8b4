"""Pictures as clients take them: PNG, JPEG, and GeoTIFF of what the pixels mean.

body = encode(Picture(values_hw, palette_nc), "png")
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from lcseg.classes import IGNORE

_FEW_COLORS = 15
"""So many and one for nothing fit into four bits a pixel."""

_QUICK = 1
_JPEG_QUALITY = 85
_BACKGROUND = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Picture:
    """What is drawn."""

    values: (
        np.ndarray
    )  # uint8: indices into the palette [H, W], 255 for nothing; or RGBA [H, W, 4].
    palette: np.ndarray | None = None  # uint8 [n, 3]; None: the values are colours.
    note: str = ""  # Why there is nothing; empty: there is, or nothing is there.

    @property
    def rgba(self) -> np.ndarray:
        """The colours, uint8 [H, W, 4]; what is nothing is transparent."""
        if self.palette is None:
            return self.values
        table = np.zeros((256, 4), np.uint8)
        table[: len(self.palette), :3] = self.palette
        table[: len(self.palette), 3] = 255
        return table[self.values]


def encode(picture: Picture, kind: str) -> bytes:
    """Encode a picture as "png" or "jpeg", which has white where nothing is."""
    buffer = io.BytesIO()
    if kind == "jpeg":
        rgba = Image.fromarray(picture.rgba)
        flat = Image.new("RGB", rgba.size, _BACKGROUND)
        flat.paste(rgba, mask=rgba)
        flat.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    elif picture.palette is None or len(picture.palette) > IGNORE:
        Image.fromarray(picture.rgba).save(buffer, "PNG", compress_level=_QUICK)
    else:
        _save_indexed(picture.values, picture.palette, buffer)
    return buffer.getvalue()


def _save_indexed(values_hw: np.ndarray, palette: np.ndarray, buffer: io.BytesIO) -> None:
    """Four or eight bits a pixel: a fifth of the time that colours take, and half the size."""
    nothing = len(palette)
    image = Image.fromarray(np.minimum(values_hw, nothing), mode="P")
    image.putpalette([*palette.ravel().tolist(), 0, 0, 0])
    bits = 4 if nothing <= _FEW_COLORS else 8
    image.save(buffer, "PNG", bits=bits, transparency=nothing, compress_level=_QUICK)


def draw_note(text: str, height: int, width: int) -> Picture:
    """A picture that says why it shows nothing."""
    image = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(image)
    left, top, right, bottom = draw.textbbox((0, 0), text, stroke_width=2)
    place = (width - right - left) / 2, (height - bottom - top) / 2
    draw.text(place, text, fill=(70, 70, 70, 255), stroke_width=2, stroke_fill=(255, 255, 255, 200))
    return Picture(np.asarray(image), note=text)
