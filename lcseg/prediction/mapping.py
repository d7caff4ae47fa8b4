"""From image rasters to class maps, part by part.

summary = predict_map(PredictConfig(model="run/bundle", image="scene.tif", out="map.tif"))
summaries = predict_maps(PredictConfig(model="run/bundle", images="*.tif", out="maps/{name}.tif"))
"""

from __future__ import annotations

import glob
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.prediction.catalog import describe_map, is_foreign, item_path, write_item
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.parts import forget, piece_path, predict_part
from lcseg.prediction.plan import Plan, make_plan
from lcseg.prediction.products import CLASSES, profile_of
from lcseg.prediction.task import Part, PartOutcome
from lcseg.prediction.workshop import Workshop, open_workshop, workshop_folder
from lcseg.processes import count_cores, run_parts
from lcseg.progress import Progress
from lcseg.raster.cog import read_tags, replace_cog
from lcseg.raster.dataset import bounded_cache
from lcseg.raster.legend import aux_path, style_path, write_legend, write_style
from lcseg.raster.pieces import join_pieces
from lcseg.raster.polygons import write_polygons

_LOG = logging.getLogger("lcseg")

_TAG = "lcseg_map"
"""The metadata by which a raster is known to be what a task makes."""


@dataclass(frozen=True)
class PredictSummary:
    """What was mapped."""

    out: str  # Path of the class map.
    pixels: int  # Of the map.
    class_pixels: tuple[int, ...]  # By class.
    names: tuple[str, ...]  # Of the classes.
    pixel_m: float | None  # Ground sample distance.
    seconds: float  # Taken.

    @property
    def speed_mpx_s(self) -> float:
        """Million pixels a second."""
        return self.pixels / 1e6 / self.seconds


def predict_maps(config: PredictConfig) -> list[PredictSummary]:
    """Map an image, a mosaic of images, or each of several images.

    Of several, those that an earlier start has mapped in the same way are left as they are, and
    those outside of the area of interest are left out.
    """
    if config.image or config.mosaic:
        return [predict_map(config)]
    images = _find_images(config)
    named = [config.named(image) for image in images]
    if len({each.out for each in named}) < len(named):
        raise LcsegError(f"--images={config.images}", "two images have the same name", "rename one")
    summaries = []
    is_anything_there = False
    for each in named:
        started_s = time.monotonic()
        plan = make_plan(each, [each.image])
        is_anything_there |= bool(plan.parts)
        if plan.parts and not _is_done(plan, each):
            summaries.append(_carry_out(plan, each, started_s))
    if not is_anything_there:
        raise _nothing_there(config)
    return summaries


def predict_map(config: PredictConfig) -> PredictSummary:
    """Make one map, of an image or of a mosaic; it appears whole or not at all.

    Blocks are read with a halo as wide as the model sees, so the map is the same as if the whole
    scene, mirrored at its edge, had been predicted at once. Invalid pixels are 255 in the map. A
    prediction that was interrupted goes on with the same call.
    """
    started_s = time.monotonic()
    images = _find_images(config) if config.images else [config.image]
    plan = make_plan(config, images)
    if not plan.parts:
        raise _nothing_there(config)
    return _carry_out(plan, config, started_s)


def _carry_out(plan: Plan, config: PredictConfig, started_s: float) -> PredictSummary:
    _require_free(plan, config)
    with open_workshop(Path(config.out)) as shop:
        try:
            outcomes = _finish_parts(plan, config, shop)
        finally:
            forget()
        _finish_maps(plan, config, shop, outcomes)
    return PredictSummary(
        config.out,
        plan.grid.height * plan.grid.width,
        _count(outcomes),
        plan.scheme.names,
        plan.pixel_m,
        time.monotonic() - started_s,
    )


def _count(outcomes: Sequence[PartOutcome]) -> tuple[int, ...]:
    """Pixels of each class."""
    return tuple(np.sum([outcome.class_pixels for outcome in outcomes], axis=0).tolist())


def _require_free(plan: Plan, config: PredictConfig) -> None:
    """Refuse to write over anything but what a start that was killed has made of this very task."""
    has_begun = workshop_folder(Path(config.out)).exists()
    for path in _outs(config).values():
        if path.exists() and not (has_begun and _is_of(path, plan)):
            raise _taken(path)
    if config.polygons and Path(config.polygons).exists() and not has_begun:
        raise _taken(Path(config.polygons))
    if is_foreign(item_path(Path(config.out))):
        raise _taken(item_path(Path(config.out)))


def _finish_parts(plan: Plan, config: PredictConfig, shop: Workshop) -> list[PartOutcome]:
    """Do the parts that an earlier start has not done; returns the outcomes of all, in order."""
    found = {part.number: shop.find(part) for part in plan.parts}
    done = {number: outcome for number, outcome in found.items() if outcome}
    if done:
        _LOG.info("%d of %d parts were done by an earlier start", len(done), len(plan.parts))
    todo = [part for part in plan.parts if part.number not in done]
    shop.sweep(plan.parts, done)
    workers = config.workers or count_cores()
    # Local workers share the cores; one alone, or those of a cluster, have theirs.
    threads = max(count_cores() // workers, 1) if workers > 1 and not config.scheduler else 0
    work = partial(predict_part, folder=str(shop.folder), threads=threads)
    total = sum(_pixels(part) for part in plan.parts)
    before = total - sum(map(_pixels, todo))
    with Progress("predict", total, "px", config.quiet, before, scale=True) as progress:
        for part, outcome in run_parts(todo, work, workers, config.scheduler):
            shop.keep(part, outcome)
            done[part.number] = outcome
            progress.advance(_pixels(part))
    return [done[part.number] for part in plan.parts]


def _pixels(part: Part) -> int:
    return part.window.height * part.window.width


def _finish_maps(
    plan: Plan, config: PredictConfig, shop: Workshop, outcomes: Sequence[PartOutcome]
) -> None:
    """Join the pieces of each product, and give all of them their names together."""
    outs = _outs(config)
    made = {product: out.with_name(f".{out.name}.whole.tif") for product, out in outs.items()}
    try:
        for product, path in made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            _join(plan, product, shop.folder, outcomes, path)
        if config.polygons:
            polygons = Path(config.polygons)
            write_polygons(str(made[CLASSES]), polygons, plan.scheme, config.min_area_m2)
        for product, path in made.items():
            give_name(path, outs[product])
    finally:
        for path in made.values():
            path.unlink(missing_ok=True)
    write_legend(outs[CLASSES], plan.scheme, _count(outcomes))
    # People change styles to their liking.
    if not style_path(outs[CLASSES]).exists():
        write_style(style_path(outs[CLASSES]), plan.scheme)
    if plan.grid.crs:
        item = item_path(outs[CLASSES])
        write_item(describe_map(plan, outs, item), item)


def _join(
    plan: Plan, product: str, folder: Path, outcomes: Sequence[PartOutcome], path: Path
) -> None:
    """Join the pieces of a product into a COG."""
    tags = {
        "lcseg_model": plan.info.model_sha256,
        "lcseg_classes": plan.scheme.name,
        _TAG: plan.task.digest,
    }
    profile = profile_of(product, plan.scheme, tags)
    pieces = [
        (piece_path(folder, product, part), part.window.within(plan.window))
        for part, outcome in zip(plan.parts, outcomes, strict=True)
        if product in outcome.files
    ]
    joined = folder / f"{product}.vrt"
    with bounded_cache():
        join_pieces(joined, pieces, plan.grid, profile)
        replace_cog(joined, path, profile)


def give_name(path: Path, out: Path) -> None:
    """Have a raster that is whole take its name."""
    path.replace(out)
    aux_path(out).unlink(missing_ok=True)


def _outs(config: PredictConfig) -> dict[str, Path]:
    """The files of the products that are wanted."""
    flags = ("probabilities", "confidence", "margin")
    wanted = {flag: Path(getattr(config, flag)) for flag in flags if getattr(config, flag)}
    return {CLASSES: Path(config.out), **wanted}


def _is_done(plan: Plan, config: PredictConfig) -> bool:
    """Whether an earlier start has made all of a map."""
    if workshop_folder(Path(config.out)).exists():
        return False
    return all(path.exists() and _is_of(path, plan) for path in _outs(config).values())


def _is_of(path: Path, plan: Plan) -> bool:
    """Whether a raster is what a task makes."""
    return read_tags(path).get(_TAG) == plan.task.digest


def _taken(path: Path) -> LcsegError:
    return LcsegError(path, "exists already", "name another file, or remove it first")


def _find_images(config: PredictConfig) -> list[str]:
    images = sorted(glob.glob(config.images, recursive=True))  # noqa: PTH207
    if not images:
        raise LcsegError(f"--images={config.images}", "matches no file")
    return images


def _nothing_there(config: PredictConfig) -> LcsegError:
    images = config.images or config.image
    return LcsegError(config.aoi, f"there is nothing to map in it: {images} lies elsewhere")
