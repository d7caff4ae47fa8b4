"""Whether imagery looks like that which a model was trained on, band by band.

fitness = measure_fitness(image, info)
fitness.is_fit                                 # False: the model has not seen the like
str(fitness)                                   # "nir: mean 31 in place of 118 (-2.4 sd), …"

Another season, sensor or stretch shifts the values of a whole image. What a model says of it may be
as sure as ever, and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo
from lcseg.raster.grid import lattice
from lcseg.raster.source import Imagery

FAR_SD = 1.0
"""A band is strange whose mean is so many standard deviations of training away."""

MOST_SPREAD, LEAST_SPREAD = 2.0, 0.25
"""So is one that varies so many times as much as in training. A single place varies less than all
places of training do."""

_ALONG = 6
_SAMPLE_PX = 128


@dataclass(frozen=True)
class BandFitness:
    """A band of an image beside the same band in training."""

    name: str
    mean: float  # Of the image.
    std: float  # Of the image.
    training_mean: float
    training_std: float

    @property
    def off_sd(self) -> float:
        """How far the mean is off, in standard deviations of training."""
        return (self.mean - self.training_mean) / max(self.training_std, 1e-9)

    @property
    def spread(self) -> float:
        """How many times as much as in training it varies."""
        return self.std / max(self.training_std, 1e-9)

    @property
    def is_fit(self) -> bool:
        """Whether it is much as in training."""
        return abs(self.off_sd) <= FAR_SD and LEAST_SPREAD <= self.spread <= MOST_SPREAD

    def __str__(self) -> str:
        return (
            f"{self.name}: mean {self.mean:.4g} where training had {self.training_mean:.4g} "
            f"({self.off_sd:+.1f} sd), spread {self.std:.4g} where it had {self.training_std:.4g}"
        )


@dataclass(frozen=True)
class Fitness:
    """The bands of an image."""

    bands: tuple[BandFitness, ...]

    @property
    def strange(self) -> tuple[BandFitness, ...]:
        """Those that are not as in training."""
        return tuple(band for band in self.bands if not band.is_fit)

    @property
    def is_fit(self) -> bool:
        """Whether all bands are much as in training."""
        return not self.strange

    def __str__(self) -> str:
        return "; ".join(map(str, self.strange))


def measure_fitness(image: Imagery, info: BundleInfo) -> Fitness | None:
    """Compare an image, in a lattice of windows, with the statistics of a model's training split.

    Returns:
        None where no window has a valid pixel.

    Raises:
        LcsegError: the image has more bands than the model, or fewer.
    """
    if len(image.bands) != len(info.bands):
        raise LcsegError(
            image.path,
            f"has {len(image.bands)} bands, the model works on {', '.join(info.bands)}",
            "give an image with the bands of the model",
        )
    samples = []
    for window in lattice(image.grid, _SAMPLE_PX, _ALONG):
        image_hwc, valid_hw = image.read(window)
        samples.append(image_hwc[valid_hw].astype(np.float64))
    pixels = np.concatenate(samples)
    if not len(pixels):
        return None
    figures = zip(
        info.bands,
        pixels.mean(axis=0).tolist(),
        pixels.std(axis=0).tolist(),
        info.mean,
        info.std,
        strict=True,
    )
    return Fitness(tuple(BandFitness(*band) for band in figures))
