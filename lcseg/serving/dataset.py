"""A scene that is shown: opened, checked, and known by its version.

dataset = open_dataset("dover", entry)
dataset.version                                # changes with the model, the image and the others
dataset.is_current()                           # whether the files are still those that were opened
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.classes import ClassScheme
from lcseg.errors import LcsegError
from lcseg.model.info import FILE, BundleInfo
from lcseg.pictures import STRETCH_PERCENT
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.plan import make_plan
from lcseg.prediction.products import CLASSES, PROBABILITIES
from lcseg.prediction.task import Task
from lcseg.raster.cog import read_tags
from lcseg.raster.crs import LONLAT, transform_places
from lcseg.raster.dataset import identify, open_raster, source_files
from lcseg.raster.grid import Grid
from lcseg.raster.label import open_label
from lcseg.raster.levels import Level, list_levels
from lcseg.raster.source import open_image
from lcseg.serving.changes import Changes, find_probability, open_changes
from lcseg.serving.entries import Entry

BLOCK_PX = 256
"""Side of the blocks that are predicted for people who look, where blocks need not be blended."""

_PLAIN = ("GTiff", "COG", "HFA", "JP2OpenJPEG", "NITF", "ENVI", "EHdr", "AAIGrid", "PNG", "JPEG")
"""Drivers of GDAL for files that hold their pixels themselves; many others name files and hosts."""

_MAP_TAG = "lcseg_model"
"""Metadata that maps of lcseg have."""

_LOOK_PX = 1024
_EDGE = 33


@dataclass(frozen=True)
class Dataset:
    """An open scene and what goes with it."""

    id: str
    entry: Entry
    info: BundleInfo
    task: Task  # Predicts blocks.
    grid: Grid  # Of the image, as the model reads it.
    date: str  # When the image was taken; empty: not known.
    files: tuple[tuple[str, int, int], ...]  # Path, size and time of change of all of them.
    map_levels: tuple[Level, ...]  # Of the map; empty: there is none.
    changes: Changes | None  # None: there is no map of transitions.
    image_levels: tuple[Level, ...]
    image_bands: tuple[str, ...]  # Numbers of those that are shown, three or one.
    alpha: int  # Band of the image that is transparency; 0: none.
    limits: tuple[float, float] | None  # Values shown black and white; None: as they are.

    @property
    def scheme(self) -> ClassScheme:
        return self.info.class_scheme

    @property
    def title(self) -> str:
        return self.entry.title or self.id

    @property
    def block_px(self) -> int:
        return self.task.block_px

    @cached_property
    def version(self) -> str:
        """One checksum for all that pictures of it depend on."""
        text = f"{__version__} {self.task.digest} {self.files} {self.limits} {self.entry}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def bounds_lonlat(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        edge = np.linspace(0, 1, _EDGE)
        cols, rows = np.meshgrid(edge * self.grid.width, edge * self.grid.height)
        x, y = self.grid.affine @ (cols, rows)
        lon, lat = transform_places(self.grid.crs or "", LONLAT, x, y, self.entry.image)
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())

    @property
    def prediction_version(self) -> str:
        """One checksum for all that its blocks depend on: the model, the image, how it is read."""
        return self.task.digest

    def is_current(self) -> bool:
        """Whether all files are as they were when it was opened."""
        return identify([path for path, _, _ in self.files]) == self.files


def open_dataset(identifier: str, entry: Entry) -> Dataset:
    """Open a scene and what goes with it.

    Raises:
        LcsegError: something is missing, or does not fit the rest.
    """
    if not entry.allow_vrt:
        for path in _list_rasters(entry):
            _require_plain(path)
    paths = _list_files(entry)
    files = identify(paths)
    if entry.label and _MAP_TAG in read_tags(entry.label):
        raise LcsegError(
            entry.label, "is a map of lcseg, not a reference", "name it as map, or another label"
        )
    try:
        config = _predict_config(entry)
    except ValueError as error:
        raise LcsegError(f"[{identifier}]", str(error).replace("--", "")) from error
    plan = make_plan(config, [entry.image])
    task = replace(plan.task, products=(CLASSES, PROBABILITIES))
    if not task.blend_px:
        stride_px = plan.info.stride_px
        task = replace(task, block_px=-(-BLOCK_PX // stride_px) * stride_px)
    if entry.label:
        with open_label(entry.label, plan.grid, plan.scheme, entry.label_band):
            pass
    image_levels = list_levels(entry.image)
    shown, limits = _choose_look(entry, plan.info, plan.task.scene.images[0].alpha, image_levels)
    models = {plan.info.model_sha256, _read_bundle_sha256(entry.model, plan.info)}
    map_levels = _open_map(entry.map, plan.grid, models) if entry.map else ()
    changes = open_changes(entry.change, plan.grid) if entry.change else None
    if identify(paths) != files:
        raise LcsegError(entry.image, "or what goes with it changed while it was opened")
    return Dataset(
        id=identifier,
        entry=entry,
        info=plan.info,
        task=task,
        grid=plan.grid,
        date=entry.date or plan.date,
        files=files,
        map_levels=map_levels,
        changes=changes,
        image_levels=image_levels,
        image_bands=shown,
        alpha=plan.task.scene.images[0].alpha,
        limits=limits,
    )


def _predict_config(entry: Entry) -> PredictConfig:
    """What `lcseg predict` would be told; nothing is written."""
    return PredictConfig(
        model=entry.model,
        image=entry.image,
        out="unwritten.tif",
        bands=entry.bands,
        scale=entry.scale,
        offset=entry.offset,
        resample=entry.resample,
        date=entry.date,
        quiet=True,
    )


def _list_files(entry: Entry) -> list[str]:
    """The files that it depends on."""
    model = entry.model if Path(entry.model).is_file() else f"{entry.model}/{FILE}"
    return [model, *(file for path in _list_rasters(entry) for file in source_files(path))]


def _list_rasters(entry: Entry) -> list[str]:
    probability = find_probability(entry.change) if entry.change else ""
    named = (entry.image, entry.label, entry.map, entry.change, probability)
    return [path for path in named if path]


def _require_plain(path: str) -> None:
    with open_raster(path) as dataset:
        if dataset.driver not in _PLAIN:
            raise LcsegError(
                path,
                f"is a {dataset.driver}, which may show any file of this machine",
                "if you trust it, write allow_vrt = true for it in the file of --config",
            )


def _read_bundle_sha256(model: str, info: BundleInfo) -> str:
    """The checksum of the bundle that an ONNX file comes from, or of the bundle itself."""
    if not Path(model).is_file():
        return info.model_sha256
    from lcseg.prediction.onnx import OnnxModel

    return OnnxModel(model).info.model_sha256


def _open_map(path: str, grid: Grid, models: set[str]) -> tuple[Level, ...]:
    """The levels of a map, which must be on the grid of the image, and by one of some models."""
    levels = list_levels(path)
    if levels[0].grid != grid:
        raise LcsegError(path, "does not lie on the grid of the image", "map the image")
    if read_tags(path).get(_MAP_TAG) not in models:
        raise LcsegError(path, "was not made by this model", "map the image again")
    return levels


def _choose_look(
    entry: Entry, info: BundleInfo, alpha: int, levels: tuple[Level, ...]
) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """The bands of the image that are shown, and the values that are black and white."""
    with open_image(entry.image, alpha, entry.bands) as image:
        # Its overviews do not know the names of its bands.
        order = image.numbers
        names = [band.casefold() for band in info.bands]
        colors = ["red", "green", "blue"]
        has_colors = len(order) == len(names) and set(colors) <= set(names)
        at = [names.index(color) for color in colors] if has_colors else [0, 1, 2]
        shown = tuple(order[i] for i in at) if len(order) >= len(at) else (order[0],)
        dtype = image.dtype
    if dtype == "uint8":
        return shown, None
    coarsest = levels[-1]
    window = coarsest.grid.window
    if max(window.height, window.width) > _LOOK_PX:
        row, col = ((size - _LOOK_PX) // 2 for size in (window.height, window.width))
        window = replace(window, row=row, col=col, height=_LOOK_PX, width=_LOOK_PX)
    with open_image(entry.image, alpha, shown, coarsest.overview) as image:
        image_hwc, valid_hw = image.read(window)
    values = image_hwc[valid_hw].astype(np.float64)
    if not len(values):
        return shown, (0.0, 1.0)
    low, high = np.percentile(values, STRETCH_PERCENT)
    return shown, (float(low), float(max(high, low + 1e-6)))
