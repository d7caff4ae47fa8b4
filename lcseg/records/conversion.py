"""From pairs of image and label rasters to a data set.

manifest = convert(ConvertConfig(images="*_naip.tif", labels="*_lc.tif",
                                 classes="chesapeake-4", out="data"))
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.classes import IGNORE, ClassScheme, load_scheme
from lcseg.errors import LcsegError
from lcseg.progress import Progress
from lcseg.raster.grid import Grid, Window, cover, pixel_size_m, pixel_sizes_agree
from lcseg.raster.label import LabelSource, open_label
from lcseg.raster.pairing import SPLITS, Pair, pair_globs, read_pairs
from lcseg.raster.source import bands_agree, open_image, require_crs
from lcseg.records import manifest as manifests
from lcseg.records.codec import encode_chip
from lcseg.records.config import ConvertConfig
from lcseg.records.folder import written_aside
from lcseg.records.manifest import BandStatistics, Manifest, SourceInfo, SplitSummary
from lcseg.records.shards import write_shard
from lcseg.records.spec import Chip, RecordSpec
from lcseg.records.splits import assign_splits
from lcseg.records.statistics import Moments, count_classes


@dataclass(frozen=True)
class Scene:
    """A pair whose rasters have been opened once and found fit."""

    pair: Pair  # Where its rasters are.
    grid: Grid  # Of the image.
    bands: tuple[str, ...]  # Names.
    dtype: str  # Of the image.
    pixel_m: float | None  # Ground sample distance.


def convert(config: ConvertConfig) -> Manifest:
    """Pack scenes into a data set at `config.out`, which appears whole or not at all."""
    scheme = load_scheme(config.classes)
    pairs = find_pairs(config)
    with written_aside(Path(config.out)) as folder:
        scenes = [_survey(pair, scheme, config) for pair in pairs]
        _check_alike(scenes)
        places = _plan(scenes, config)
        manifest = _pack(scenes, places, scheme, config, folder)
        manifests.write_manifest(folder, manifest)
    return manifest


def find_pairs(config: ConvertConfig) -> list[Pair]:
    """The pairs that the flags name."""
    return read_pairs(config.pairs) if config.pairs else pair_globs(config.images, config.labels)


def _survey(pair: Pair, scheme: ClassScheme, config: ConvertConfig) -> Scene:
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
        with _open_label(pair, image.grid, scheme, config):
            pass
        return Scene(pair, image.grid, image.bands, image.dtype, pixel_size_m(image.grid))


@contextmanager
def _open_label(
    pair: Pair, grid: Grid, scheme: ClassScheme, config: ConvertConfig
) -> Iterator[LabelSource]:
    with open_label(
        pair.label, grid, scheme, config.label_band, config.allow_ungeoreferenced
    ) as label:
        yield label


def _check_alike(scenes: list[Scene]) -> None:
    """Refuse scenes that cannot be learnt together: other bands or types."""
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


def _common_pixel_m(scenes: list[Scene]) -> float | None:
    """The ground sample distance of the scenes, that of the first one that has any."""
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


def _plan(scenes: list[Scene], config: ConvertConfig) -> list[list[tuple[Window, str]]]:
    """The chips of each scene with their splits; no pixel is in two splits."""
    block_px = config.chip_px * config.block_chips

    def unit_of(scene: Scene, window: Window) -> str:
        if config.split_by == "scene":
            return scene.pair.key
        return f"{scene.pair.key}/{window.row // block_px}/{window.col // block_px}"

    windows = [list(cover(s.grid.height, s.grid.width, config.chip_px)) for s in scenes]
    undecided = {
        unit_of(scene, window)
        for scene, of_scene in zip(scenes, windows, strict=True)
        for window in of_scene
        if not scene.pair.split
    }
    shares = {"val": config.val_share, "test": config.test_share}
    splits = assign_splits(undecided, shares, config.seed) if undecided else {}
    return [
        [(window, scene.pair.split or splits[unit_of(scene, window)]) for window in of_scene]
        for scene, of_scene in zip(scenes, windows, strict=True)
    ]


def _pack(
    scenes: list[Scene],
    places: list[list[tuple[Window, str]]],
    scheme: ClassScheme,
    config: ConvertConfig,
    folder: Path,
) -> Manifest:
    spec = RecordSpec(
        config.chip_px, len(scenes[0].bands), scenes[0].dtype, scheme.n_classes, config.compression
    )
    pixel_m = _common_pixel_m(scenes)
    moments = Moments.empty(spec.bands)
    counts = {split: np.zeros(scheme.n_classes + 1, np.int64) for split in SPLITS}
    sources = []
    total = sum(map(len, places))
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("convert", total, "chips", config.quiet))
        writers = {
            split: stack.enter_context(write_shard(folder / f"{split}-00000.tfrecord", split))
            for split in SPLITS
        }
        for scene, of_scene in zip(scenes, places, strict=True):
            kept = 0
            for chip, split, valid_hw in _cut(scene, of_scene, scheme, config):
                progress.advance()
                if (chip.label_hw == IGNORE).all():
                    continue
                kept += 1
                writers[split].write(encode_chip(spec, chip))
                counts[split] += count_classes(chip.label_hw, scheme.n_classes)
                if split == "train":
                    moments = moments.add(chip.image_hwc[valid_hw])
            sources.append(_describe_source(scene, kept))
    shards = tuple(writer.info for writer in writers.values() if writer.info)
    if not any(shard.split == "train" for shard in shards):
        raise LcsegError(config.out, "no labelled chip fell into the training split")
    chips = {split: sum(s.records for s in shards if s.split == split) for split in SPLITS}
    return Manifest(
        format=manifests.FORMAT,
        format_version=manifests.VERSION,
        created_by=f"lcseg {__version__}",
        chip_px=spec.chip_px,
        bands=scenes[0].bands,
        dtype=spec.dtype,
        compression=spec.compression,
        pixel_m=pixel_m,
        class_scheme=scheme,
        statistics=_statistics(moments),
        splits={
            split: SplitSummary(chips[split], tuple(map(int, n[:-1])), int(n[-1]))
            for split, n in counts.items()
        },
        shards=shards,
        sources=tuple(sources),
        settings={k: v for k, v in dataclasses.asdict(config).items() if k not in ("out", "quiet")},
    )


def _cut(
    scene: Scene, places: list[tuple[Window, str]], scheme: ClassScheme, config: ConvertConfig
) -> Iterator[tuple[Chip, str, np.ndarray]]:
    """Read the chips of a scene, with their splits and which of their pixels are valid."""
    with (
        open_image(scene.pair.image) as image,
        _open_label(scene.pair, scene.grid, scheme, config) as label,
    ):
        for window, split in places:
            image_hwc, valid_hw = image.read(window)
            label_hw = np.where(valid_hw, label.read(window), IGNORE)
            chip = Chip(
                image_hwc,
                label_hw.astype(np.uint8, copy=False),
                scene.pair.key,
                window.row,
                window.col,
                scene.grid.transform_of(window),
                scene.grid.crs or "",
            )
            yield chip, split, valid_hw


def _describe_source(scene: Scene, chips: int) -> SourceInfo:
    return SourceInfo(
        scene.pair.key,
        scene.pair.image,
        scene.pair.label,
        scene.grid.height,
        scene.grid.width,
        scene.grid.transform,
        scene.grid.crs,
        "",
        chips,
    )


def _statistics(moments: Moments) -> BandStatistics:
    mean, std, low, high = (
        tuple(values.tolist()) for values in (moments.mean, moments.std, moments.low, moments.high)
    )
    return BandStatistics(moments.count, mean, std, low, high)
