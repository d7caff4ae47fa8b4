"""Reading a data set back: is it whole, and what is in it?

print(inspect(InspectConfig(data="data", preview="chips.png")))
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.files import locate, size_of
from lcseg.pictures import draw_pairs, save_figure, stretch
from lcseg.progress import Progress
from lcseg.records.codec import decode_chip
from lcseg.records.config import InspectConfig
from lcseg.records.manifest import Manifest, ShardInfo, describe, read_manifest
from lcseg.records.shards import file_crc32c, read_shard
from lcseg.records.spec import Chip
from lcseg.records.statistics import count_classes


def inspect(config: InspectConfig) -> str:
    """Verify every shard and record of a data set, and describe it.

    Raises:
        LcsegError: a shard is missing or its size, checksum, record count or class counts differ
            from the manifest.
    """
    manifest = read_manifest(config.data)
    folder = locate(config.data)
    total = sum(shard.records for shard in manifest.shards)
    wanted = _spread(config.preview_chips, total) if config.preview else set()
    counts = {
        split: np.zeros(manifest.class_scheme.n_classes + 1, np.int64) for split in manifest.splits
    }
    shown: list[tuple[str, Chip]] = []
    with Progress("inspect", total, "records", config.quiet) as progress:
        for shard in manifest.shards:
            _check_file(folder, shard)
            before = progress.count
            for chip in _read_chips(folder, manifest, shard):
                counts[shard.split] += count_classes(chip.label_hw, manifest.class_scheme.n_classes)
                if progress.count in wanted:
                    shown.append((shard.split, chip))
                progress.advance()
            records = progress.count - before
            if records != shard.records:
                raise LcsegError(
                    folder / shard.file, f"holds {records} records, manifest {shard.records}"
                )
    _check_counts(folder, manifest, counts)
    if config.preview:
        draw_chips(manifest, shown, config.preview)
    return _format(config, manifest)


def draw_chips(manifest: Manifest, chips: list[tuple[str, Chip]], path: str) -> None:
    """Draw chips beside their labels, each under its split and the name of its scene."""
    scheme = manifest.class_scheme
    titles = [f"{split}   {shorten(chip.source)}" for split, chip in chips]
    pairs = [
        (stretch(chip.image_hwc, np.any(chip.image_hwc, axis=-1)), scheme.colorize(chip.label_hw))
        for _, chip in chips
    ]
    save_figure(draw_pairs(titles, pairs, scheme), path)


def shorten(name: str, most: int = 48) -> str:
    """Cut a long name in its middle: scenes of a folder differ at the ends of their names."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def _spread(n: int, total: int) -> set[int]:
    """Pick n of `total` numbers, from 0, at equal distances; all of them if there are no more."""
    return {(2 * i + 1) * total // (2 * n) for i in range(n)} if n < total else set(range(total))


def _read_chips(folder: Path, manifest: Manifest, shard: ShardInfo) -> Iterator[Chip]:
    path = folder / shard.file
    for record in read_shard(path):
        try:
            chip = decode_chip(manifest.spec, record)
        except LcsegError as error:
            raise LcsegError(path, f"a record does not fit the manifest: {error}") from error
        yield chip


def _check_file(folder: Path, shard: ShardInfo) -> None:
    path = folder / shard.file
    size = size_of(path)
    if size < 0:
        raise LcsegError(path, "is missing", "convert again")
    if size != shard.bytes:
        raise LcsegError(path, f"has {size:,} bytes, manifest {shard.bytes:,}", "convert again")
    if file_crc32c(path) != shard.crc32c:
        raise LcsegError(path, "its checksum differs from the manifest's", "convert again")


def _check_counts(folder: Path, manifest: Manifest, counts: dict[str, np.ndarray]) -> None:
    for split, summary in manifest.splits.items():
        expected = [*summary.class_pixels, summary.ignored_pixels]
        if counts[split].tolist() != expected:
            raise LcsegError(
                folder, f"class counts of {split} are {counts[split].tolist()}, manifest {expected}"
            )


def _format(config: InspectConfig, manifest: Manifest) -> str:
    size_mb = sum(shard.bytes for shard in manifest.shards) / 1e6
    pixel = f"{manifest.pixel_m:.4g} m pixels" if manifest.pixel_m else "not georeferenced"
    lines = [
        describe(manifest.splits, manifest.class_scheme),
        "",
        f"{config.data}: {sum(s.records for s in manifest.shards):,} chips "
        f"of {manifest.chip_px} px, "
        f"{', '.join(manifest.bands)} as {manifest.dtype}, {pixel}",
        f"{len(manifest.shards)} shards, {size_mb:.1f} MB, from {len(manifest.sources)} scenes; "
        "sizes, checksums and counts are right",
    ]
    if config.preview:
        lines.append(f"preview: {config.preview}")
    return "\n".join(lines)
