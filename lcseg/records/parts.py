"""Parts of a conversion: what one process does at a time, and what came of it.

for part in cut_parts(scenes, layouts, setting, most_bytes=128_000_000): …
outcome = convert_part(part, "data")           # writes train-00007.tfrecord, …

An outcome depends on its part alone, so parts may be done anywhere, in any order, and again. A part
holds as many chips as fit into one shard, of one scene or of several.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lcseg.documents import format_document
from lcseg.raster.dataset import bounded_cache, to_absolute
from lcseg.raster.pairing import SPLITS
from lcseg.records.codec import encode_chip
from lcseg.records.layout import Layout
from lcseg.records.manifest import ShardInfo
from lcseg.records.piece import Piece, Setting, read_chips
from lcseg.records.relabelling import Changes, Correction, Touching
from lcseg.records.selection import KEPT
from lcseg.records.shards import ShardWriter, write_shard
from lcseg.records.statistics import Moments, count_classes
from lcseg.records.survey import Scene


@dataclass(frozen=True)
class Part:
    """What one process does at a time."""

    number: int  # From 0; gives the shards their names.
    setting: Setting
    pieces: tuple[Piece, ...]

    @property
    def digest(self) -> str:
        """One checksum for all that the outcome depends on."""
        return hashlib.sha256(format_document(self).encode()).hexdigest()

    @property
    def source(self) -> str:
        """The first image that it reads."""
        return self.pieces[0].image

    @property
    def chips(self) -> int:
        return sum(len(piece.windows) for piece in self.pieces)


@dataclass(frozen=True)
class PieceTally:
    """What was found in a piece."""

    scene: int  # Its number.
    fates: str  # What became of each chip, a letter of `selection` for each.
    pixels: int  # That were looked at.
    missing: int  # Of these, where the image has no data.
    ignored: int  # Of these, without a label; the missing ones too.
    class_pixels: dict[str, tuple[int, ...]]  # By split: labels of the chips kept, last ignored.
    changes: Changes = field(default_factory=Changes)  # Of labels, in the chips kept.


@dataclass(frozen=True)
class MomentSums:
    """Moments as a document; see `statistics.Moments`."""

    count: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, moments: Moments) -> MomentSums | None:
        sums = (moments.mean, moments.deviation, moments.low, moments.high)
        return cls(moments.count, *(tuple(x.tolist()) for x in sums)) if moments.count else None

    @property
    def moments(self) -> Moments:
        sums = (self.mean, self.deviation, self.low, self.high)
        return Moments(self.count, *map(np.array, sums))


@dataclass(frozen=True)
class PartOutcome:
    """What came of a part."""

    digest: str  # Of the part.
    shards: tuple[ShardInfo, ...]  # That it wrote.
    tallies: tuple[PieceTally, ...]  # One for each piece.
    moments: MomentSums | None  # Of the valid pixels of the training chips kept; None: no such.


def cut_parts(
    scenes: Sequence[Scene],
    layouts: Sequence[Layout],
    setting: Setting,
    most_bytes: int,
    corrections: Sequence[Sequence[Correction]] = (),
) -> Iterator[Part]:
    """Cut the chips of all scenes, in order, into parts whose records fit into `most_bytes`.

    A part holds those of the corrections of its scenes that touch its chips, and no others: so a
    verdict that is changed has those parts alone done again that it is about.
    """
    most_chips = max(most_bytes // setting.spec.record_bytes, 1)
    pieces: list[Piece] = []
    number, room = 0, most_chips
    for index, (scene, layout) in enumerate(zip(scenes, layouts, strict=True)):
        touching = Touching(corrections[index] if corrections else ())
        start = 0
        while start < len(layout.windows):
            stop = min(start + room, len(layout.windows))
            pieces.append(_make_piece(index, scene, layout, slice(start, stop), touching))
            room -= stop - start
            start = stop
            if not room:
                yield Part(number, setting, tuple(pieces))
                pieces, number, room = [], number + 1, most_chips
    if pieces:
        yield Part(number, setting, tuple(pieces))


def _make_piece(
    index: int, scene: Scene, layout: Layout, chips: slice, touching: Touching
) -> Piece:
    return Piece(
        index,
        scene.pair.key,
        to_absolute(scene.pair.image),
        to_absolute(scene.pair.label),
        scene.date,
        scene.alpha,
        scene.grid,
        scene.files,
        tuple(map(tuple, layout.windows[chips].tolist())),
        tuple(layout.splits[chips].tolist()),
        touching.find(layout.windows[chips]),
    )


def convert_part(part: Part, folder: str | None) -> PartOutcome:
    """Read the chips of a part, and write those that are kept as shards into a folder.

    Args:
        part: what to do.
        folder: where the shards go; None: nothing is written.
    """
    moments = Moments.empty(part.setting.spec.bands)
    tallies = []
    writers: dict[str, ShardWriter] = {}
    with bounded_cache(), ExitStack() as stack:
        if folder is not None:
            for split in SPLITS:
                path = Path(folder) / f"{split}-{part.number:05d}.tfrecord"
                writers[split] = stack.enter_context(write_shard(path, split))
        for piece in part.pieces:
            tally, of_piece = _convert_piece(piece, part.setting, writers)
            tallies.append(tally)
            moments = moments.merge(of_piece)
    shards = tuple(writer.info for writer in writers.values() if writer.info)
    return PartOutcome(part.digest, shards, tuple(tallies), MomentSums.of(moments))


def _convert_piece(
    piece: Piece, setting: Setting, writers: dict[str, ShardWriter]
) -> tuple[PieceTally, Moments]:
    spec = setting.spec
    moments = Moments.empty(spec.bands)
    counts = {split: np.zeros(spec.classes + 1, np.int64) for split in SPLITS}
    fates, pixels, missing, ignored = "", 0, 0, 0
    changes = Changes()
    for split, (chip, valid_hw, of_labels) in zip(
        piece.splits, read_chips(piece, setting), strict=True
    ):
        of_chip = count_classes(chip.label_hw, spec.classes)
        pixels += valid_hw.size
        missing += valid_hw.size - int(np.count_nonzero(valid_hw))
        ignored += int(of_chip[-1]) - (chip.label_hw.size - valid_hw.size)
        fate = setting.selection.judge(of_chip, SPLITS[split])
        fates += fate
        if fate != KEPT:
            continue
        counts[SPLITS[split]] += of_chip
        changes = changes.merge(of_labels)
        if SPLITS[split] == "train":
            moments = moments.add(_valid_pixels(chip.image_hwc, valid_hw))
        if writers:
            writers[SPLITS[split]].write(encode_chip(spec, chip, of_chip))
    class_pixels = {split: tuple(n.tolist()) for split, n in counts.items()}
    tally = PieceTally(piece.scene, fates, pixels, missing, ignored, class_pixels, changes)
    return tally, moments


def _valid_pixels(image_hwc: np.ndarray, valid_hw: np.ndarray) -> np.ndarray:
    """The pixels [n, C] of the upper left of an image that are valid."""
    height, width = valid_hw.shape
    inside = image_hwc[:height, :width]
    return inside.reshape(-1, inside.shape[2]) if valid_hw.all() else inside[valid_hw]
