"""Rasters of probabilities, as `lcseg predict` writes them: bytes that are shares of 254.

with open_probabilities("probabilities.tif", scheme) as source:
    shares_hwk, is_known_hw = source.read(window)     # uint8, 0 to 254; 0 where not known
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.raster.cog import CogProfile
from lcseg.raster.grid import Window
from lcseg.raster.source import Imagery, bands_agree, open_image

PROBABILITY_ONE = 254
"""The value of probability 1; 255 is no data."""

CONFIDENCE = "confidence"
"""The band of a raster that holds the probability of the mapped class alone."""


class Probabilities:
    """An open raster of probabilities: Imagery of shares of 254, valid where they are known."""

    def __init__(self, source: Imagery) -> None:
        self._source = source
        self.path, self.grid = source.path, source.grid
        self.dtype, self.bands = source.dtype, source.bands

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window; see `Imagery`. What is above 254 is not known, declared or not."""
        shares_hwk, valid_hw = self._source.read(window)
        is_known_hw = valid_hw & (shares_hwk <= PROBABILITY_ONE).all(axis=-1)
        shares_hwk[~is_known_hw] = 0
        return shares_hwk, is_known_hw


@contextmanager
def open_probabilities(
    path: str, scheme: ClassScheme, takes_confidence: bool = False
) -> Iterator[Probabilities]:
    """Open a raster of probabilities for reading by windows.

    Args:
        path: the raster.
        scheme: the classes, of each of which it has a band.
        takes_confidence: take the one band of `lcseg predict --confidence` too.

    Raises:
        LcsegError: it has other bands, or does not hold bytes.
    """
    with open_image(path, alpha=0) as source:
        fits = bands_agree(source.bands, scheme.names)
        if takes_confidence:
            fits |= bands_agree(source.bands, (CONFIDENCE,))
        if source.dtype != "uint8" or not fits:
            more = f", or {CONFIDENCE}" if takes_confidence else ""
            raise LcsegError(
                path,
                f"has {source.dtype} bands {', '.join(source.bands)}, expected uint8 and a band "
                f"for each of {', '.join(scheme.names)}{more}",
                "give what lcseg predict wrote as --probabilities"
                + (f" or --{CONFIDENCE}" if takes_confidence else ""),
            )
        yield Probabilities(source)


def to_shares(probabilities: np.ndarray) -> np.ndarray:
    """Shares of 254, uint8, of probabilities, float of any shape; 255 where these are NaN."""
    shares = np.rint(probabilities * np.float32(PROBABILITY_ONE))
    shares[np.isnan(shares)] = IGNORE
    return shares.astype(np.uint8)


def probability_profile(bands: tuple[str, ...], tags: dict[str, str] | None = None) -> CogProfile:
    """The profile of a raster of shares, whose scale gives back probabilities."""
    return CogProfile("uint8", bands, IGNORE, scale=1 / PROBABILITY_ONE, tags=tags or {})
