"""From image rasters to class maps, part by part.

summary = predict_map(PredictConfig(model="run/bundle", image="scene.tif", out="map.tif"))
summaries = predict_maps(PredictConfig(model="run/bundle", images="*.tif", out="maps/{name}.tif"))
"""

from __future__ import annotations

import errno
import glob
import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.files import replaced
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


_COPY_CACHE_MB = 32
"""What is read in order once needs little of GDAL's cache."""


@dataclass(frozen=True)
class PredictSummary:
    """What was mapped."""

    out: str  # Path of the class map.
    pixels: int  # Of the map.
    earlier: int  # Of these, predicted by an earlier start.
    class_pixels: tuple[int, ...]  # By class.
    names: tuple[str, ...]  # Of the classes.
    pixel_m: float | None  # Ground sample distance.
    seconds: float  # Taken.

    @property
    def speed_mpx_s(self) -> float:
        """Million pixels a second, in this start."""
        return (self.pixels - self.earlier) / 1e6 / self.seconds


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
        if not plan.parts:
            continue
        if _is_done(plan, each):
            is_anything_there = True
            continue
        with suppress(_NothingThereError):
            summaries.append(_carry_out(plan, each, started_s))
            is_anything_there = True
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
        found = {part.number: shop.find(part) for part in plan.parts}
        done = {number: outcome for number, outcome in found.items() if outcome}
        earlier = sum(_pixels(part) for part in plan.parts if part.number in done)
        try:
            outcomes = _finish_parts(plan, config, shop, done)
        finally:
            # GDAL takes the room of the network when it joins the parts, not room beside it.
            forget()
        if not any(_count(outcomes)) and config.aoi:
            shop.sweep(plan.parts, {})
            raise _nothing_there(config)
        _finish_maps(plan, config, shop, outcomes)
    return PredictSummary(
        config.out,
        plan.grid.height * plan.grid.width,
        earlier,
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
    polygons, note = Path(config.polygons), _polygons_note(config)
    if config.polygons and polygons.exists():
        is_own = note.exists() and note.read_text() == str(polygons.resolve())
        if not is_own:
            raise _taken(polygons)
    if is_foreign(item_path(Path(config.out))):
        raise _taken(item_path(Path(config.out)))


def _finish_parts(
    plan: Plan, config: PredictConfig, shop: Workshop, done: dict[int, PartOutcome]
) -> list[PartOutcome]:
    """Do the parts that an earlier start has not done; returns the outcomes of all, in order."""
    if done:
        _LOG.info("%d of %d parts were done by an earlier start", len(done), len(plan.parts))
    todo = [part for part in plan.parts if part.number not in done]
    shop.sweep(plan.parts, done)
    workers = min(config.workers or count_cores(), max(len(todo), 1))
    # Local workers share the cores; one alone, or those of a cluster, have theirs.
    threads = max(count_cores() // workers, 1) if workers > 1 and not config.scheduler else 0
    work = partial(predict_part, folder=str(shop.stage), threads=threads)
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
    if not config.quiet:
        _LOG.info("writing %s", ", ".join(map(str, [*outs.values(), *_polygons(config)])))
    made = {product: shop.folder / f"{product}.tif" for product in outs}
    for product, path in made.items():
        _join(plan, product, shop.folder, outcomes, path)
    if config.polygons:
        # By this note the next start knows its own.
        _polygons_note(config).write_text(str(Path(config.polygons).resolve()))
        with bounded_cache(_COPY_CACHE_MB):
            polygons = Path(config.polygons)
            write_polygons(str(made[CLASSES]), polygons, plan.scheme, config.min_area_m2)
    for product, path in made.items():
        give_name(path, outs[product])
        aux_path(outs[product]).unlink(missing_ok=True)
    write_legend(outs[CLASSES], plan.scheme, _count(outcomes))
    # People change styles to their liking.
    if not style_path(outs[CLASSES]).exists():
        write_style(style_path(outs[CLASSES]), plan.scheme)
    item = item_path(outs[CLASSES])
    try:
        described = describe_map(plan, outs, item) if plan.grid.crs else None
    except LcsegError as error:
        # A CRS need not have longitude and latitude.
        _LOG.warning("warning: the map has no catalogue entry: %s", error)
        described = None
    if described:
        write_item(described, item)


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
    with bounded_cache(_COPY_CACHE_MB):
        join_pieces(joined, pieces, plan.grid, profile)
        replace_cog(joined, path, profile)


def give_name(path: Path, out: Path) -> None:
    """Have a file that is whole take its name, on whatever disk."""
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with replaced(out) as aside:
            shutil.copyfile(path, aside)
        path.unlink()


def _polygons(config: PredictConfig) -> list[Path]:
    return [Path(config.polygons)] if config.polygons else []


def _polygons_note(config: PredictConfig) -> Path:
    return workshop_folder(Path(config.out)) / "polygons"


def _outs(config: PredictConfig) -> dict[str, Path]:
    """The files of the products that are wanted."""
    flags = ("probabilities", "confidence", "margin")
    wanted = {flag: Path(getattr(config, flag)) for flag in flags if getattr(config, flag)}
    return {CLASSES: Path(config.out), **wanted}


def _is_done(plan: Plan, config: PredictConfig) -> bool:
    """Whether an earlier start has made all of a map."""
    if workshop_folder(Path(config.out)).exists():
        return False
    is_there = not config.polygons or Path(config.polygons).exists()
    return is_there and all(path.exists() and _is_of(path, plan) for path in _outs(config).values())


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


class _NothingThereError(LcsegError):
    """No pixel with data is in the area of interest."""


def _nothing_there(config: PredictConfig) -> LcsegError:
    images = config.images or config.image
    return _NothingThereError(
        config.aoi, f"there is nothing to map in it: {images} has no data there"
    )
