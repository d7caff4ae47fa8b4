"""From a configuration to a task: what is to be mapped, cut into parts.

plan = make_plan(config, ["scene.tif"])
plan.parts, plan.grid, plan.scheme
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lcseg.classes import ClassScheme
from lcseg.errors import LcsegError
from lcseg.model.info import BundleInfo, read_info
from lcseg.prediction.blocks import plan_blocks
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.fit import require_fit
from lcseg.prediction.fitness import measure_fitness
from lcseg.prediction.parts import cut_parts
from lcseg.prediction.products import CLASSES, PRODUCTS
from lcseg.prediction.task import ImageFile, Part, SceneSpec, Task, open_scene
from lcseg.raster.area import digest_area
from lcseg.raster.dataset import identify, source_files, to_absolute
from lcseg.raster.grid import Grid, Window, pixel_size_m
from lcseg.raster.pixel_area import measure_rows
from lcseg.raster.placing import require_crs
from lcseg.raster.source import open_image
from lcseg.raster.vector import find_driver

_LOG = logging.getLogger("lcseg")

_BLEND_SHARE = 8
"""Blocks that are blended reach this part of their side into their neighbours."""


@dataclass(frozen=True)
class Plan:
    """What is to be mapped."""

    info: BundleInfo
    task: Task
    parts: tuple[Part, ...]
    window: Window  # That is mapped, of the scene's grid.
    grid: Grid  # Of the map.
    pixel_m: float | None  # Ground sample distance of the map.
    date: str  # When the image was taken, in ISO 8601; empty: it does not say.

    @property
    def scheme(self) -> ClassScheme:
        return self.info.class_scheme


def make_plan(config: PredictConfig, images: Sequence[str]) -> Plan:
    """Look at the images of one map, refuse what does not fit, and cut it into parts."""
    info = _read_info(config)
    files, factors = [], set()
    dates: dict[str, str] = {}
    for path in images:
        with open_image(path, bands=config.bands) as image:
            allow = config.allow_ungeoreferenced or not info.pixel_m
            require_crs(path, image.grid, allow)
            factors.add(require_fit(info, image, pixel_size_m(image.grid), config))
            files.append(ImageFile(to_absolute(path), image.alpha, identify(source_files(path))))
            if image.date:
                dates.setdefault(image.date[:10], path)
    if len(dates) > 1:
        found = " and ".join(f"{date} ({path})" for date, path in sorted(dates.items())[:2])
        raise LcsegError(
            f"--images={config.images}",
            f"a mosaic is of one date, these are of {found}",
            "choose the images of one date, or map each by itself (--nomosaic)",
        )
    factor = sorted(factors)[0]
    scene = SceneSpec(
        images=tuple(files),
        bands=config.bands,
        dtype=info.dtype,
        scale=config.scale,
        offset=config.offset,
        factor=factor,
        aoi=to_absolute(config.aoi) if config.aoi else "",
        aoi_sha256=digest_area(config.aoi) if config.aoi else "",
    )
    with open_scene(scene) as opened:
        area, whole = opened.area, opened.image.grid
        fitness = measure_fitness(opened.image, info)
    if fitness and not fitness.is_fit:
        _LOG.warning("warning: %s: the model has not seen the like of it: %s", images[0], fitness)
    window = area.window if area else whole.window
    task = _make_task(config, info, scene, window)
    parts = cut_parts(task, window, info.stride_px) if window.height and window.width else []
    if area:
        parts = [part for part in parts if area.touches(part.window)]
        parts = [replace(part, number=number) for number, part in enumerate(parts)]
    grid = whole.part(window)
    if config.polygons:
        find_driver(Path(config.polygons))
        if config.min_area_m2:
            measure_rows(grid, images[0])
    pixel_m = pixel_size_m(grid)
    if factor != 1:
        _LOG.info("resampled: read at %.4g m, as in training", pixel_m)
    date = config.date or next(iter(dates), "")
    return Plan(info, task, tuple(parts), window, grid, pixel_m, date)


def _make_task(config: PredictConfig, info: BundleInfo, scene: SceneSpec, window: Window) -> Task:
    is_empty = not (window.height and window.width)
    blocks = iter(()) if is_empty else plan_blocks(window, config.block_px, info.stride_px)
    block_px = next((block.height for block in blocks), info.stride_px)
    blend_px = 0
    if info.config.get("norm") == "group":
        blend_px = max(block_px // _BLEND_SHARE // info.stride_px, 1) * info.stride_px
    return Task(
        model=to_absolute(config.model),
        model_sha256=info.model_sha256,
        backend=config.runs_on,
        scene=scene,
        products=(CLASSES, *(name for name in PRODUCTS if getattr(config, name))),
        block_px=block_px,
        blend_px=blend_px,
    )


def _read_info(config: PredictConfig) -> BundleInfo:
    if config.runs_on == "onnx":
        from lcseg.prediction.onnx import OnnxModel, digest_model

        return replace(OnnxModel(config.model).info, model_sha256=digest_model(config.model))
    return read_info(config.model)
