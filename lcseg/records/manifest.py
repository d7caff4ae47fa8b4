"""`dataset.json`: what a data set is, and whether it is whole.

manifest = read_manifest("data")
manifest.spec, manifest.class_scheme, manifest.shards_of("train")
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from lcseg.classes import ClassScheme
from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.files import exists, locate
from lcseg.records.spec import RecordSpec
from lcseg.records.statistics import Moments

FILE = "dataset.json"
FORMAT = "lcseg-dataset"
VERSION = "2.1"
_MAJOR = VERSION.split(".", maxsplit=1)[0]


@dataclass(frozen=True)
class BandStatistics:
    """Over the valid pixels of the training split; one number for each band."""

    pixels: int  # How many pixels were counted.
    mean: tuple[float, ...]  # In the image's own units.
    std: tuple[float, ...]  # Standard deviation; 1 for a constant band.
    low: tuple[float, ...]  # Least value.
    high: tuple[float, ...]  # Greatest value.

    @classmethod
    def of(cls, moments: Moments) -> BandStatistics:
        sums = (moments.mean, moments.std, moments.low, moments.high)
        return cls(moments.count, *(tuple(values.tolist()) for values in sums))


@dataclass(frozen=True)
class SplitSummary:
    """What a split holds."""

    chips: int  # Records.
    class_pixels: tuple[int, ...]  # Labelled pixels of each class.
    ignored_pixels: int  # Pixels whose label is 255.


@dataclass(frozen=True)
class ShardInfo:
    """One TFRecord file."""

    file: str  # Name, in the folder of the manifest.
    split: str  # train, val or test.
    records: int  # How many it holds.
    bytes: int  # Size of the file.
    crc32c: str  # CRC-32C of the file, 8 hexadecimal digits.


@dataclass(frozen=True)
class SourceInfo:
    """One scene that chips were cut from."""

    key: str  # Its name in the records.
    image: str  # Path of its image raster.
    label: str  # Path of its label raster.
    height: int  # Rows.
    width: int  # Columns.
    transform: tuple[float, ...]  # a, b, c, d, e, f.
    crs: str | None  # WKT or "EPSG:n"; None: not georeferenced.
    date: str  # When the image was taken, as ISO 8601; empty: not known.
    chips: int  # Records that it gave.


@dataclass(frozen=True)
class ChangeInfo:
    """Pixels whose label was corrected in one way."""

    label: str | None  # Class that they had; None: no label.
    new_class: str | None  # Class that they have; None: they are ignored.
    pixels: int  # Of the records; where chips overlap, once for each.


@dataclass(frozen=True)
class CorrectionsInfo:
    """What people have said of labels, and what came of it."""

    file: str  # Name of the file, without its folder.
    sha256: str  # Of the file, 64 hexadecimal digits.
    places: dict[str, int]  # By verdict: wrong, right, unsure, or open, where nobody has said.
    relabelled_pixels: int  # That have another class, or have one where there was none.
    ignored_pixels: int  # That had a class and are ignored.
    changes: tuple[ChangeInfo, ...]  # The same by classes, in the order of the class scheme.


@dataclass(frozen=True)
class Manifest:
    """A data set."""

    format: str  # "lcseg-dataset".
    format_version: str  # "major.minor".
    created_by: str  # Program and version.
    chip_px: int  # Side of a chip, in pixels.
    bands: tuple[str, ...]  # Names, in order.
    dtype: str  # Of the image.
    compression: str  # Of the pixels and labels in the records: none or zlib.
    pixel_m: float | None  # Ground sample distance in metres; None: not georeferenced.
    class_scheme: ClassScheme  # What the labels mean.
    statistics: BandStatistics  # Of the training split.
    splits: dict[str, SplitSummary]  # By name.
    shards: tuple[ShardInfo, ...]  # In writing order.
    sources: tuple[SourceInfo, ...]  # In reading order.
    settings: dict[str, str | int | float | bool]  # The flags that made it.
    corrections: CorrectionsInfo | None = None  # Of labels; None: they are those of the rasters.

    def __post_init__(self) -> None:
        n_bands, n_classes = self.spec.bands, self.class_scheme.n_classes
        for name in ("mean", "std", "low", "high"):
            found = len(getattr(self.statistics, name))
            if found != n_bands:
                raise ValueError(f"statistics.{name} has {found} numbers for {n_bands} bands")
        for split, summary in self.splits.items():
            found = len(summary.class_pixels)
            if found != n_classes:
                raise ValueError(f"splits.{split} counts {found} classes of {n_classes}")
            records = sum(shard.records for shard in self.shards_of(split))
            if records != summary.chips:
                raise ValueError(f"splits.{split} has {summary.chips} chips, its shards {records}")
        unknown = {shard.split for shard in self.shards} - set(self.splits)
        if unknown:
            raise ValueError(f"shards are of splits that are not described: {sorted(unknown)}")
        _check_files([shard.file for shard in self.shards])

    @property
    def spec(self) -> RecordSpec:
        return RecordSpec(
            self.chip_px,
            len(self.bands),
            self.dtype,
            self.class_scheme.n_classes,
            self.compression,
        )

    @property
    def digest(self) -> str:
        """One checksum for all records: the same digest, the same data."""
        text = "".join(f"{s.split}:{s.records}:{s.bytes}:{s.crc32c}\n" for s in self.shards)
        return hashlib.sha256(text.encode()).hexdigest()

    def shards_of(self, split: str) -> tuple[ShardInfo, ...]:
        return tuple(shard for shard in self.shards if shard.split == split)

    def chips_of(self, split: str) -> int:
        return self.splits[split].chips if split in self.splits else 0


def _check_files(files: Sequence[str]) -> None:
    """Refuse what is not a file of the manifest's own folder, and what stands twice."""
    for file, times in Counter(files).items():
        if Path(file).name != file or file in ("", ".", ".."):
            raise ValueError(f"shard {file!r} is not the plain name of a file")
        if times > 1:
            raise ValueError(f"shard {file!r} is listed {times} times")


@dataclass(frozen=True)
class _Heading:
    """The part of a manifest that every version has."""

    format: str
    format_version: str


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of a data set.

    Raises:
        LcsegError: there is none, it is broken, or its major version is another one. A newer minor
            version is read; fields that are not known are passed over.
    """
    path = locate(folder) / FILE
    if not exists(path):
        raise LcsegError(
            folder,
            f"is not a data set: it has no {FILE}",
            "make one with lcseg convert",
        )
    heading = read_document(path, _Heading)
    if heading.format != FORMAT:
        raise LcsegError(path, f"format is {heading.format!r}, expected {FORMAT!r}")
    major, _, minor = heading.format_version.partition(".")
    if major != _MAJOR or not minor.isdecimal():
        raise LcsegError(
            path,
            f"has format version {heading.format_version}, this lcseg reads {VERSION}",
            "use the lcseg that wrote it, or convert again",
        )
    return read_document(path, Manifest)


def write_manifest(folder: str | Path, manifest: Manifest) -> None:
    """Write the manifest; it is the last file of a data set to be written."""
    write_document(locate(folder) / FILE, manifest)


def describe(splits: Mapping[str, SplitSummary], scheme: ClassScheme) -> str:
    """A table of the splits: chips, and the share of each class among the labelled pixels."""
    rows = []
    for split, summary in splits.items():
        labelled = max(sum(summary.class_pixels), 1)
        pixels = max(labelled + summary.ignored_pixels, 1)
        shares = [f"{100 * n / labelled:.1f} %" for n in summary.class_pixels]
        ignored = f"{100 * summary.ignored_pixels / pixels:.1f} %"
        rows.append([split, f"{summary.chips:,}", *shares, ignored])
    headers = ["split", "chips", *scheme.names, "ignored"]
    return tabulate(rows, headers, stralign="right", disable_numparse=True)
