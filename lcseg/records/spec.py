"""What one record holds; the encoder and the parser are both built from it.

spec = RecordSpec(chip_px=256, bands=4, dtype="uint8", classes=6)
chip = Chip(image_hwc, label_hw, source="scene-1", row=0, col=512, transform=(…), crs="EPSG:…")
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.raster.source import DTYPES

IMAGE, LABEL, SHAPE = "image", "label", "shape"
SOURCE, ROW, COL, TRANSFORM, CRS = "source", "row", "col", "transform", "crs"
DATE, HISTOGRAM = "date", "histogram"
"""The keys of a record; `tfrecords_spec/README.md` says what they mean."""


COMPRESSIONS = ("none", "zlib")
"""How the pixels and labels of a record are stored."""


_PLACE_BYTES = 8192
"""Room for all that says where a chip is; the text of a CRS is the largest of it."""


@dataclass(frozen=True)
class RecordSpec:
    """The sizes and types that all chips of a data set share."""

    chip_px: int  # Side of a chip, in pixels.
    bands: int  # Bands of the image.
    dtype: str  # Of the image: uint8, uint16, int16 or float32; stored little-endian.
    classes: int  # Classes of the label.
    compression: str = "none"  # Of image and label: none or zlib.

    def __post_init__(self) -> None:
        if min(self.chip_px, self.bands, self.classes) < 1:
            raise ValueError(
                f"chips of {self.chip_px} px with {self.bands} bands and {self.classes} classes"
            )
        if self.compression not in COMPRESSIONS:
            raise ValueError(
                f"compression is {self.compression!r}, expected one of {', '.join(COMPRESSIONS)}"
            )
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}, expected one of {', '.join(DTYPES)}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.chip_px, self.chip_px, self.bands

    @property
    def chip_bytes(self) -> int:
        """Size of the raw pixels of one chip and its label."""
        return self.chip_px**2 * (self.bands * np.dtype(self.dtype).itemsize + 1)

    @property
    def record_bytes(self) -> int:
        """What a record takes at most in a shard, without compression."""
        return self.chip_bytes + _PLACE_BYTES


@dataclass(frozen=True, eq=False)
class Chip:
    """A square sample of a scene."""

    image_hwc: np.ndarray  # Raw pixels; those that are missing are 0 in every band.
    label_hw: np.ndarray  # uint8 class indices, 255 where nothing is to be learnt.
    source: str  # Key of the scene in the manifest.
    row: int  # First row in the scene; below 0 where the chip overhangs its upper edge.
    col: int  # First column in the scene; below 0 where the chip overhangs its left edge.
    transform: tuple[float, ...]  # Of the chip's own pixels: a, b, c, d, e, f.
    crs: str  # Of the transform; empty: not georeferenced.
    date: str = ""  # When the image was taken, as ISO 8601; empty: not known.

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chip):
            return NotImplemented
        place = ("source", "row", "col", "transform", "crs", "date")
        return (
            np.array_equal(self.image_hwc, other.image_hwc)
            and self.image_hwc.dtype == other.image_hwc.dtype
            and np.array_equal(self.label_hw, other.label_hw)
            and all(getattr(self, name) == getattr(other, name) for name in place)
        )

    __hash__ = None  # type: ignore[assignment]
