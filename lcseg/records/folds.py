"""Folds: a data set dealt anew, so that each of its chips is for testing once.

folders = make_folds("data", folds=5, out="folds")
# folds/fold-0 … folds/fold-4, each a whole data set over all chips of "data"

The ground is dealt into groups. Fold k has group k for testing, the next one for validation, and
the others for training. So a model of fold k has never seen the ground of group k, nor any other
date of it. The records are copied once, into shards of their groups, which all folds share.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.errors import LcsegError
from lcseg.files import is_remote, locate
from lcseg.progress import Progress
from lcseg.raster.pairing import SPLITS
from lcseg.records import manifest as manifests
from lcseg.records.codec import decode_chip
from lcseg.records.folder import Workspace, open_workspace, settle_folder
from lcseg.records.groups import Group, GroupWriter, find_shown
from lcseg.records.manifest import BandStatistics, Manifest, SplitSummary, read_manifest
from lcseg.records.shards import read_shard, settle_shard
from lcseg.records.spec import Chip
from lcseg.records.splits import deal_evenly
from lcseg.records.statistics import Moments
from lcseg.records.units import find_units

LEAST_FOLDS = 3
"""One for testing, one for validation, and one for training."""


def make_folds(data: str, folds: int, out: str, seed: int = 0, quiet: bool = False) -> list[Path]:
    """Deal all chips of a data set into folds; `out` appears whole or not at all.

    A pixel that is 0 in every band and has no label counts as missing: the records do not tell it
    from one that was measured.

    Args:
        data: folder of the data set.
        folds: how many, at least 3.
        out: folder of the folds, here and not in a store; must not exist yet.
        seed: another seed gives another deal.
        quiet: show no progress.

    Returns:
        The folders of the folds, in order.

    Raises:
        LcsegError: there is too little ground for so many folds, or the data set is damaged.
    """
    if folds < LEAST_FOLDS:
        raise LcsegError(f"--folds={folds}", f"expected at least {LEAST_FOLDS}")
    if is_remote(out):
        raise LcsegError(out, "is in a store", "name a folder of this machine")
    manifest = read_manifest(data)
    total = sum(shard.records for shard in manifest.shards)
    with (
        open_workspace(Path(out)) as space,
        Progress("folds", 2 * total, "chips", quiet) as progress,
    ):
        group_of = _deal_chips(data, manifest, folds, seed, progress)
        groups = _copy_records(data, manifest, folds, group_of, space.stage, progress)
        for fold in range(folds):
            _write_fold(manifest, groups, fold, seed, space)
    return [Path(out) / f"fold-{fold}" for fold in range(folds)]


def _deal_chips(
    data: str, manifest: Manifest, folds: int, seed: int, progress: Progress
) -> np.ndarray:
    """The group of each chip, int [n], in the order of the records."""
    number_of = {source.key: number for number, source in enumerate(manifest.sources)}
    scenes, windows = [], []
    for _, chip in _read_chips(data, manifest):
        if chip.source not in number_of:
            raise LcsegError(data, f"its manifest does not describe the scene {chip.source!r}")
        scenes.append(number_of[chip.source])
        windows.append(_find_window(chip))
        progress.advance()
    units = find_units(manifest, np.array(scenes), np.array(windows), data)
    sizes = Counter(units.names[unit] for unit in units.of_chip.tolist())
    if len(sizes) < folds:
        raise LcsegError(
            data,
            f"its ground can be dealt as {len(sizes)} units, too few for {folds} folds",
            "use fewer folds, or convert it with a smaller --block_chips",
        )
    dealt = deal_evenly(sizes, folds, seed)
    return np.array([dealt[name] for name in units.names])[units.of_chip]


def _read_chips(data: str, manifest: Manifest) -> Iterator[tuple[bytes, Chip]]:
    """All records, in order, each with its chip."""
    for shard in manifest.shards:
        path, records = locate(data) / shard.file, 0
        for record in read_shard(path):
            records += 1
            yield record, decode_chip(manifest.spec, record)
        if records != shard.records:
            raise LcsegError(path, f"holds {records} records, manifest {shard.records}")


def _find_window(chip: Chip) -> tuple[int, int, int, int]:
    """Row, col, height and width of what a chip shows of its scene."""
    is_shown = find_shown(chip)
    rows, cols = (np.flatnonzero(is_shown.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return chip.row, chip.col, *is_shown.shape
    return (
        chip.row + int(rows[0]),
        chip.col + int(cols[0]),
        int(rows[-1] - rows[0]) + 1,
        int(cols[-1] - cols[0]) + 1,
    )


def _copy_records(
    data: str,
    manifest: Manifest,
    folds: int,
    group_of: np.ndarray,
    folder: Path,
    progress: Progress,
) -> list[Group]:
    """Copy records into shards of their groups, as they are, and count what these hold."""
    with ExitStack() as stack:
        writers = [
            stack.enter_context(GroupWriter(folder, group, manifest.spec)) for group in range(folds)
        ]
        for group, (record, chip) in zip(group_of, _read_chips(data, manifest), strict=True):
            writers[group].write(record, chip)
            progress.advance()
        return [writer.finish() for writer in writers]


def _write_fold(
    manifest: Manifest, groups: Sequence[Group], fold: int, seed: int, space: Workspace
) -> None:
    """Make the data set of a fold of the shards of all groups."""
    folds, folder = len(groups), space.folder / f"fold-{fold}"
    split_of = [
        "test" if g == fold else "val" if g == (fold + 1) % folds else "train" for g in range(folds)
    ]
    folder.mkdir()
    shards, number = [], 0
    for group, split in zip(groups, split_of, strict=True):
        for shard in group.shards:
            own = dataclasses.replace(shard, file=f"{split}-{number:05d}.tfrecord", split=split)
            _link(space.stage / shard.file, folder / own.file)
            shards.append(own)
            number += 1
    members = {
        split: [g for g, of in zip(groups, split_of, strict=True) if of == split]
        for split in SPLITS
    }
    moments = functools.reduce(Moments.merge, (group.moments for group in members["train"]))
    manifests.write_manifest(
        folder,
        dataclasses.replace(
            manifest,
            format_version=manifests.VERSION,
            created_by=f"lcseg {__version__}",
            statistics=BandStatistics.of(moments),
            splits={split: _sum_up(of_split) for split, of_split in members.items()},
            shards=tuple(sorted(shards, key=lambda shard: SPLITS.index(shard.split))),
            settings={**manifest.settings, "folds": folds, "fold": fold, "fold_seed": seed},
        ),
    )
    settle_folder(folder)


def _sum_up(groups: Sequence[Group]) -> SplitSummary:
    *class_pixels, ignored = np.sum([group.counts for group in groups], axis=0).tolist()
    chips = sum(shard.records for group in groups for shard in group.shards)
    return SplitSummary(chips, tuple(class_pixels), ignored)


def _link(shard: Path, name: Path) -> None:
    """Give a shard one more name; where files can have but one, it is copied."""
    try:
        try:
            os.link(shard, name)
        except OSError:
            shutil.copyfile(shard, name)
            settle_shard(name)
    except OSError as error:
        raise LcsegError(name, f"cannot be written: {error.strerror}") from error
