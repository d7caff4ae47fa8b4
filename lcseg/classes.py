"""Class schemes: what the classes are, how they look, and which source codes mean them.

scheme = load_scheme("chesapeake-4")
label_hw = scheme.encode(codes_hw)             # uint8, 0 .. n-1, 255 where ignored
rgb_hwc = scheme.colorize(label_hw)
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lcseg.documents import read_document
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.files import exists, locate

IGNORE = 255
"""The label of a pixel that counts nowhere: no label, an ignored code, or no image."""

MAX_CLASSES = 254
_UNKNOWN = 254
_STRICT = {"extra": "forbid"}  # People write schemes by hand: a misspelt key must not go unseen.
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True)
class LandClass:
    """One class of land cover."""

    __pydantic_config__: ClassVar = _STRICT

    name: str  # What people call it.
    color: str  # "#RRGGBB", for maps and legends.
    codes: tuple[int | str, ...]  # Source codes that mean it: integers, or "#RRGGBB".

    def __post_init__(self) -> None:
        if not _COLOR.fullmatch(self.color):
            raise ValueError(f'color of class {self.name!r} is {self.color!r}, expected "#RRGGBB"')
        if not self.codes:
            raise ValueError(f"class {self.name!r} has no source codes")


@dataclass(frozen=True)
class ClassScheme:
    """An ordered list of classes; a class's index in it is its label."""

    __pydantic_config__: ClassVar = _STRICT

    name: str  # What the scheme is called.
    classes: tuple[LandClass, ...]  # In the order of their indices.
    ignore: tuple[int | str, ...] = ()  # Source codes that mean "no label".

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= MAX_CLASSES:
            raise ValueError(f"{len(self.classes)} classes, expected 2 to {MAX_CLASSES}")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two classes have the same name")
        codes = [code for land in self.classes for code in land.codes] + list(self.ignore)
        if len({isinstance(code, str) for code in codes}) > 1:
            raise ValueError("codes mix integers and colours; use one kind")
        numbers = [code_number(code) for code in codes]
        if len(set(numbers)) < len(numbers):
            raise ValueError("a source code stands twice; each means one class, or is ignored")

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(land.name for land in self.classes)

    @property
    def has_color_codes(self) -> bool:
        """Whether source labels are read by colour rather than by number."""
        return isinstance(self.classes[0].codes[0], str)

    @property
    def palette(self) -> np.ndarray:
        """Colours by class index, uint8 [n, 3]."""
        return np.array([unpack_color(code_number(c.color)) for c in self.classes], np.uint8)

    def colorize(self, label_hw: np.ndarray) -> np.ndarray:
        """Colour a label array as uint8 [H, W, 3]; ignored pixels are black."""
        lut = np.zeros((256, 3), np.uint8)
        lut[: self.n_classes] = self.palette
        return lut[label_hw]

    @functools.cached_property
    def _lut(self) -> np.ndarray:
        """Labels by code, for codes of one or two bytes; _UNKNOWN where no class has the code."""
        lut = np.full(1 << 16, _UNKNOWN, np.uint8)
        codes, labels = self._table
        is_small = (codes >= 0) & (codes < len(lut))
        lut[codes[is_small]] = labels[is_small]
        return lut

    @functools.cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = [(code_number(c), i) for i, land in enumerate(self.classes) for c in land.codes]
        pairs += [(code_number(c), IGNORE) for c in self.ignore]
        codes, labels = zip(*sorted(pairs), strict=True)
        return np.array(codes, np.int64), np.array(labels, np.uint8)

    def encode(self, codes_hw: np.ndarray) -> np.ndarray:
        """Turn source codes into labels.

        Args:
            codes_hw: integers of any width; colours packed as 0xRRGGBB.

        Returns:
            uint8 class indices of the same shape, 255 where the code is ignored.

        Raises:
            UnknownCodesError: where a code is neither a class's nor ignored.
        """
        if codes_hw.dtype in (np.uint8, np.uint16):
            label_hw = self._look_up(codes_hw)
            unknown = label_hw == _UNKNOWN
            if unknown.any():
                raise self._unknown(codes_hw[unknown])
            return label_hw
        codes, labels = self._table
        at = np.searchsorted(codes, codes_hw).clip(max=len(codes) - 1)
        unknown = codes[at] != codes_hw
        if unknown.any():
            raise self._unknown(codes_hw[unknown])
        return labels[at]

    def _look_up(self, codes_hw: np.ndarray) -> np.ndarray:
        """Labels of codes of one or two bytes."""
        if codes_hw.dtype == np.uint16:
            return self._lut[codes_hw]
        # Bytes are translated in place of being turned into indices of eight times their size.
        labels = codes_hw.tobytes().translate(self._lut[:256].tobytes())
        return np.frombuffer(labels, np.uint8).reshape(codes_hw.shape)

    def _unknown(self, codes: np.ndarray) -> UnknownCodesError:
        shown = ", ".join(self.format_code(code) for code in sorted(set(codes.tolist()))[:12])
        return UnknownCodesError(
            self.name,
            f"no class has the codes {shown}",
            "add them to a class or to the ignored codes of the scheme",
        )

    def knows(self, code: int) -> bool:
        """Whether a packed source code is a class's or ignored."""
        return code in self._table[0]

    def format_code(self, code: int) -> str:
        return f"#{code:06X}" if self.has_color_codes else str(code)


def code_number(code: int | str) -> int:
    """The number of a source code; "#RRGGBB" is 0xRRGGBB."""
    if isinstance(code, int):
        return code
    if not _COLOR.fullmatch(code):
        raise ValueError(f'code {code!r}, expected an integer or "#RRGGBB"')
    return int(code[1:], 16)


def unpack_color(code: int) -> tuple[int, int, int]:
    """(red, green, blue) of 0xRRGGBB, 0 .. 255."""
    return code >> 16 & 255, code >> 8 & 255, code & 255


_WATER = LandClass("water", "#1F78C8", (1,))
_FOREST = LandClass("tree/forest", "#1E6B34", (2,))
_GRASS = LandClass("grass/herbaceous", "#A8D66B", (3,))

# The codes are those of the Chesapeake Conservancy's land cover of 2013/2014.
SCHEMES = {
    "chesapeake-4": ClassScheme(
        "chesapeake-4",
        (_WATER, _FOREST, _GRASS, LandClass("barren/impervious", "#B5A79A", (4, 5, 6))),
        ignore=(0, 15),
    ),
    "chesapeake-6": ClassScheme(
        "chesapeake-6",
        (
            _WATER,
            _FOREST,
            _GRASS,
            LandClass("barren", "#D9B77E", (4,)),
            LandClass("impervious", "#9B9B9B", (5,)),
            LandClass("road", "#3C3C3C", (6,)),
        ),
        ignore=(0, 15),
    ),
}


def load_scheme(name_or_path: str) -> ClassScheme:
    """Get a built-in scheme by its name, or read one from a JSON file."""
    if name_or_path in SCHEMES:
        return SCHEMES[name_or_path]
    if not exists(locate(name_or_path)):
        raise LcsegError(
            f"--classes={name_or_path}",
            "neither a built-in scheme nor a file",
            f"the built-in ones are {', '.join(SCHEMES)}",
        )
    return read_document(name_or_path, ClassScheme)
