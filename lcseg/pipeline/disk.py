"""The chips of a split in one raw file, mapped into memory: the kernel keeps what it has room for.

store = map_chips("data", manifest, "train", "run/cache")

The file holds all images, all labels and all histograms as plain arrays, each begun at a multiple
of 64 bytes. Its name says which data it holds, so it is made once and never taken for another.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lcseg.errors import LcsegError
from lcseg.pipeline.reading import read_split, require_chips
from lcseg.pipeline.share import WHOLE, Share
from lcseg.pipeline.store import ArrayStore
from lcseg.records.manifest import Manifest

_ALIGNMENT = 64
_DIGEST_CHARS = 32

Part = tuple[int, tuple[int, ...], np.dtype]


def map_chips(
    folder: str | Path,
    manifest: Manifest,
    split: str,
    cache: str | Path,
    quiet: bool = True,
    share: Share = WHOLE,
) -> ArrayStore:
    """Map the file of a share of a split; it is written first if it is not there.

    Args:
        folder: where the data set lies.
        manifest: its manifest.
        split: train, val or test.
        cache: folder of the cache.
        quiet: show no progress.
        share: what the worker holds.

    Raises:
        LcsegError: the split is empty, its shards are damaged, or the disk is full.
    """
    require_chips(folder, manifest, split)
    path = cache_path(cache, manifest, split, share)
    while not has_cache(cache, manifest, split, share):
        with _written_once(path) as handle:
            if handle is not None:
                _fill(handle, folder, manifest, split, quiet, share)
    # Private: nothing that is written to these arrays reaches the file.
    mapped = np.memmap(path, np.uint8, "c")
    parts, _ = _lay_out(manifest, split, share)
    images, labels, histograms = (
        mapped[start : start + _size(shape, dtype)].view(dtype).reshape(shape)
        for start, shape, dtype in parts
    )
    first = share.first(manifest, split)
    return ArrayStore.wrap(images, labels, np.array(histograms), first)


def cache_path(cache: str | Path, manifest: Manifest, split: str, share: Share = WHOLE) -> Path:
    """Where the file of a share of a split lies, or would."""
    name = f"{manifest.digest[:_DIGEST_CHARS]}-{split}"
    part = f"-{share.index}-of-{share.count}" if share.count > 1 else ""
    return Path(cache) / f"{name}{part}.chips"


def cache_bytes(manifest: Manifest, split: str, share: Share = WHOLE) -> int:
    """Size of the file of a share of a split."""
    return _lay_out(manifest, split, share)[1]


def has_cache(cache: str | Path, manifest: Manifest, split: str, share: Share = WHOLE) -> bool:
    """Whether the file of a share of a split is there, and whole."""
    path = cache_path(cache, manifest, split, share)
    return path.exists() and path.stat().st_size == cache_bytes(manifest, split, share)


def _lay_out(manifest: Manifest, split: str, share: Share) -> tuple[list[Part], int]:
    """(first byte, shape, dtype) of images, labels and histograms, and the size of the file."""
    count, spec = share.chips(manifest, split), manifest.spec
    arrays: tuple[tuple[tuple[int, ...], np.dtype], ...] = (
        ((count, *spec.image_shape), np.dtype(spec.dtype)),
        ((count, *spec.image_shape[:2]), np.dtype(np.uint8)),
        ((count, spec.classes + 1), np.dtype(np.int64)),
    )
    parts, at = [], 0
    for shape, dtype in arrays:
        parts.append((at, shape, dtype))
        at += -(-_size(shape, dtype) // _ALIGNMENT) * _ALIGNMENT
    return parts, at


def _size(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return int(np.prod(shape)) * dtype.itemsize


@contextmanager
def _written_once(path: Path) -> Iterator[int | None]:
    """Yield a handle of a file beside `path`, renamed at the end; None: another process made it.

    Who comes second waits for the first. What a killed process has left is written over.
    """
    aside = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(aside, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not aside.exists() or os.fstat(handle).st_ino != aside.stat().st_ino:
            yield None
            return
        try:
            yield handle
            os.fsync(handle)
            aside.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        finally:
            aside.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _fill(
    handle: int, folder: str | Path, manifest: Manifest, split: str, quiet: bool, share: Share
) -> None:
    parts, size = _lay_out(manifest, split, share)
    # The room is taken at once, so that a full disk is known before hours of reading.
    os.ftruncate(handle, 0)
    os.posix_fallocate(handle, 0, size)
    at = 0
    for arrays in read_split(folder, manifest, split, quiet, share):
        for (start, shape, dtype), array in zip(parts, arrays, strict=True):
            place = start + at * _size(shape[1:], dtype)
            _write_all(handle, np.ascontiguousarray(array).data.cast("B"), place)
        at += len(arrays[0])


def _write_all(handle: int, content: memoryview, place: int) -> None:
    while content:
        written = os.pwrite(handle, content, place)
        content, place = content[written:], place + written


def _unwritable(path: Path, error: OSError) -> LcsegError:
    return LcsegError(
        path, f"cannot be written: {error.strerror}", "name another --cache_dir, or --cache=none"
    )
