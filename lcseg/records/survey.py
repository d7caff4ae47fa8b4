"""A first look at every pair of rasters: does it fit together, and with the others?

scenes = survey(pairs, scheme, config)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dask.system import CPU_COUNT

from lcseg.classes import ClassScheme
from lcseg.errors import LcsegError
from lcseg.progress import Progress
from lcseg.raster.dataset import identify, source_files
from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Grid, pixel_size_m, pixel_sizes_agree
from lcseg.raster.label import open_label
from lcseg.raster.pairing import Pair
from lcseg.raster.placing import require_crs
from lcseg.raster.source import bands_agree, open_image
from lcseg.records.config import ConvertConfig


@dataclass(frozen=True)
class Scene:
    """A pair whose rasters have been opened once and found fit."""

    pair: Pair  # Where its rasters are.
    grid: Grid  # Of the image.
    bands: tuple[str, ...]  # Names.
    dtype: str  # Of the image.
    alpha: int  # Band of the image that is transparency, from 1; 0: none.
    pixel_m: float | None  # Ground sample distance of the image.
    fit: LabelFit  # How the label raster lies under the image.
    date: str  # When the image was taken, as ISO 8601; empty: not known.
    files: tuple[tuple[str, int, int], ...]  # Path, size and time of change of what is read.


def survey(pairs: Sequence[Pair], scheme: ClassScheme, config: ConvertConfig) -> list[Scene]:
    """Open all pairs, and refuse what cannot be paired, or not be learnt together."""
    scenes = []
    with (
        Progress("survey", len(pairs), "pairs", config.quiet) as progress,
        ThreadPoolExecutor(config.workers or CPU_COUNT) as threads,
    ):
        looks = [threads.submit(_look_at, pair, scheme, config) for pair in pairs]
        try:
            for look in looks:
                scenes.append(look.result())
                progress.advance()
        finally:
            # The first slip is told; those who have not begun to look need not.
            threads.shutdown(cancel_futures=True)
    _require_alike(scenes)
    return scenes


def _look_at(pair: Pair, scheme: ClassScheme, config: ConvertConfig) -> Scene:
    if os.path.realpath(pair.image) == os.path.realpath(pair.label):
        raise LcsegError(pair.image, "is its own label", "name a label raster for it")
    with open_image(pair.image) as image:
        require_crs(pair.image, image.grid, config.allow_ungeoreferenced)
        if min(image.grid.height, image.grid.width) < config.chip_px:
            raise LcsegError(
                pair.image,
                f"is {image.grid.height} x {image.grid.width} px, smaller than a chip",
                f"use --chip_px below {config.chip_px}, or take the image out",
            )
        with open_label(
            pair.label, image.grid, scheme, config.label_band, config.allow_ungeoreferenced
        ) as label:
            fit = label.fit
        return Scene(
            pair,
            image.grid,
            image.bands,
            image.dtype,
            image.alpha,
            pixel_size_m(image.grid),
            fit,
            pair.date or image.date,
            identify((*source_files(pair.image), *source_files(pair.label))),
        )


def _require_alike(scenes: Sequence[Scene]) -> None:
    """Refuse scenes that cannot be learnt together: other bands, types or pixel sizes."""
    first = scenes[0]
    for scene in scenes[1:]:
        where = scene.pair.image
        if len(scene.bands) != len(first.bands) or scene.dtype != first.dtype:
            raise LcsegError(
                where,
                f"has {len(scene.bands)} bands of {scene.dtype}, "
                f"{first.pair.image} has {len(first.bands)} of {first.dtype}",
                "convert unlike imagery into data sets of its own",
            )
        if not bands_agree(scene.bands, first.bands):
            raise LcsegError(
                where,
                f"has the bands {', '.join(scene.bands)}, "
                f"{first.pair.image} has {', '.join(first.bands)}",
                "put the bands of all images into one order",
            )
    common_pixel_m(scenes)


def common_pixel_m(scenes: Sequence[Scene]) -> float | None:
    """The ground sample distance of the scenes, that of the first one that has any, in metres."""
    placed = [(scene.pair.image, scene.pixel_m) for scene in scenes if scene.pixel_m]
    if not placed:
        return None
    first, first_m = placed[0]
    for image, pixel_m in placed:
        if not pixel_sizes_agree(pixel_m, first_m):
            raise LcsegError(
                image,
                f"has pixels of {pixel_m:.4g} m, {first} of {first_m:.4g} m",
                "resample the imagery to one pixel size",
            )
    return first_m
