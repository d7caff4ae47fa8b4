"""From pairs of image and label rasters to a data set.

if __name__ == "__main__":                     # a script must be importable by its workers
    manifest = convert(ConvertConfig(images="*_naip.tif", labels="*_lc.tif",
                                     classes="chesapeake-4", out="data"))
report = rehearse(config)                      # what would come of it; no records are written
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from lcseg import __version__
from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError, StoreError
from lcseg.files import list_files, locate, move, remove, size_of
from lcseg.processes import count_cores, open_team, run_parts
from lcseg.progress import Progress
from lcseg.raster.pairing import SPLITS
from lcseg.records import manifest as manifests
from lcseg.records.config import ConvertConfig
from lcseg.records.correction_report import sum_corrections
from lcseg.records.folder import Workspace, open_workspace
from lcseg.records.manifest import BandStatistics, Manifest, SourceInfo, SplitSummary
from lcseg.records.parts import Part, PartOutcome, convert_part
from lcseg.records.plan import Plan, make_plan
from lcseg.records.report import (
    ConversionReport,
    list_settings,
    make_report,
    write_report,
)
from lcseg.records.selection import KEPT
from lcseg.records.shards import settle_shard
from lcseg.records.statistics import Moments
from lcseg.records.survey import Scene, common_pixel_m

_BEHIND = 16
"""Parts that may wait to be kept, each of which takes the room of its shards."""

_LOG = logging.getLogger("lcseg")


def convert(config: ConvertConfig) -> Manifest:
    """Pack scenes into a data set at `config.out`, which appears whole or not at all.

    The bytes depend on the rasters and on the settings, not on the number of workers. A conversion
    that was interrupted goes on with the same call: parts that are done are not done again.
    """
    plan = make_plan(config)
    with open_workspace(locate(config.out), manifests.FILE) as space:
        outcomes = _finish_parts(plan, space)
        manifest = _describe(plan, outcomes)
        report = _report(plan, outcomes, space.folder)
        manifests.write_manifest(space.folder, manifest)
    _warn(report)
    return manifest


def rehearse(config: ConvertConfig) -> ConversionReport:
    """Read all scenes as `convert` does, and write the report alone, into `OUT.plan`."""
    plan = make_plan(dataclasses.replace(config, plan=True))
    outcomes = _collect(plan, plan.parts, None)
    in_order = [outcomes[part.number] for part in plan.parts]
    report = _report(plan, in_order, plan_folder(config.out))
    _warn(report)
    return report


def plan_folder(out: str) -> Path:
    """Where the report of a rehearsal lies."""
    folder = locate(out)
    return folder.with_name(f"{folder.name}.plan")


def _report(plan: Plan, outcomes: Sequence[PartOutcome], folder: Path) -> ConversionReport:
    # matplotlib takes longer to be loaded than a slip in the flags should take to be told.
    from lcseg.records.chart import draw_ground

    report = make_report(plan, outcomes)
    write_report(report, draw_ground(plan, outcomes), folder)
    return report


def _warn(report: ConversionReport) -> None:
    for warning in report.warnings:
        _LOG.warning("warning: %s", warning)


def _finish_parts(plan: Plan, space: Workspace) -> list[PartOutcome]:
    """Do the parts that an earlier start has not done; returns the outcomes of all, in order."""
    found = {part.number: _find_outcome(space, part) for part in plan.parts}
    done = {number: outcome for number, outcome in found.items() if outcome}
    if done:
        _LOG.info("%d of %d parts were done by an earlier start", len(done), len(plan.parts))
    _sweep(space, done)
    done |= _collect(plan, [part for part in plan.parts if part.number not in done], space)
    _sweep(space, done)
    return [done[part.number] for part in plan.parts]


def _find_outcome(space: Workspace, part: Part) -> PartOutcome | None:
    """What an earlier start has noted of a part, if the part and its shards are as they were."""
    try:
        outcome = read_document(_note_path(space, part.number), PartOutcome)
    except StoreError:
        raise
    except LcsegError:
        # Not there, or half written when the power went: the part is done again.
        return None
    is_whole = all(size_of(space.folder / shard.file) == shard.bytes for shard in outcome.shards)
    return outcome if is_whole and outcome.digest == part.digest else None


def _sweep(space: Workspace, done: Mapping[int, PartOutcome]) -> None:
    """Remove what does not belong to the parts that are done."""
    shards = {shard.file for outcome in done.values() for shard in outcome.shards}
    notes = {_note_path(space, number).name for number in done}
    for folder, names in ((space.folder, shards), (space.progress, notes)):
        for path in list_files(folder):
            if path.name not in names:
                remove(path)


def _collect(plan: Plan, parts: Sequence[Part], space: Workspace | None) -> dict[int, PartOutcome]:
    """Do parts, and keep what came of each when it is there."""
    config = plan.config
    folder = str(space.stage.absolute()) if space else None
    total = sum(part.chips for part in plan.parts)
    before = total - sum(part.chips for part in parts)
    outcomes = {}
    name = "convert" if space else "plan"
    work = partial(convert_part, folder=folder)
    workers = min(config.workers or count_cores(), max(len(parts), 1))
    with (
        Progress(name, total, "chips", config.quiet, before) as progress,
        _keeping(space) as keep,
        open_team(workers, config.scheduler) as team,
    ):
        for part, outcome in run_parts(parts, work, team):
            keep(part, outcome)
            outcomes[part.number] = outcome
            progress.advance(part.chips)
    return outcomes


@contextmanager
def _keeping(space: Workspace | None) -> Iterator[Callable[[Part, PartOutcome], None]]:
    """Yield what keeps a part; it waits for the disk while the next part is converted.

    At the end, also on an error, everything that was given to it is kept.
    """
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as keeper:

        def keep(part: Part, outcome: PartOutcome) -> None:
            if space:
                waiting.append(keeper.submit(_keep, space, part, outcome))
            # Workers may be faster than the disk, or the way to a store.
            while waiting and (waiting[0].done() or len(waiting) > _BEHIND):
                waiting.popleft().result()

        yield keep
        for future in waiting:
            future.result()


def _keep(space: Workspace, part: Part, outcome: PartOutcome) -> None:
    """Take over what a worker has written, once the disk holds it, and note it."""
    for shard in outcome.shards:
        path = space.stage / shard.file
        if size_of(path) != shard.bytes:
            raise LcsegError(
                path,
                "is not what a worker has written",
                "all workers must have this file system at the same path",
            )
        settle_shard(path)
        move(path, space.folder / shard.file)
    write_document(_note_path(space, part.number), outcome)


def _note_path(space: Workspace, number: int) -> Path:
    return space.progress / f"part-{number:05d}.json"


def _describe(plan: Plan, outcomes: Sequence[PartOutcome]) -> Manifest:
    """The manifest of a data set."""
    config, spec = plan.config, plan.parts[0].setting.spec
    shards = tuple(
        shard for split in SPLITS for o in outcomes for shard in o.shards if shard.split == split
    )
    if not any(shard.split == "train" for shard in shards):
        raise LcsegError(
            config.out,
            "no labelled chip fell into the training split",
            "the report of --plan says what became of each scene",
        )
    moments = Moments.empty(spec.bands)
    counts = {split: np.zeros(spec.classes + 1, np.int64) for split in SPLITS}
    kept = [0] * len(plan.scenes)
    for outcome in outcomes:
        moments = moments.merge(outcome.moments.moments) if outcome.moments else moments
        for tally in outcome.tallies:
            kept[tally.scene] += tally.fates.count(KEPT)
            for split, pixels in tally.class_pixels.items():
                counts[split] += pixels
    chips = {split: sum(s.records for s in shards if s.split == split) for split in SPLITS}
    return Manifest(
        format=manifests.FORMAT,
        format_version=manifests.VERSION,
        created_by=f"lcseg {__version__}",
        chip_px=spec.chip_px,
        bands=plan.scenes[0].bands,
        dtype=spec.dtype,
        compression=spec.compression,
        pixel_m=common_pixel_m(plan.scenes),
        class_scheme=plan.scheme,
        statistics=BandStatistics.of(moments),
        splits={
            split: SplitSummary(chips[split], tuple(n[:-1].tolist()), int(n[-1]))
            for split, n in counts.items()
        },
        shards=shards,
        sources=tuple(map(_describe_source, plan.scenes, kept)),
        settings=list_settings(config),
        corrections=sum_corrections(plan, outcomes),
    )


def _describe_source(scene: Scene, chips: int) -> SourceInfo:
    grid, pair = scene.grid, scene.pair
    return SourceInfo(
        pair.key,
        pair.image,
        pair.label,
        grid.height,
        grid.width,
        grid.transform,
        grid.crs,
        scene.date,
        chips,
    )
