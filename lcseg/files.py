"""Files here, and in object stores (`s3://`, `az://`), which take the extra lcseg[io].

folder = locate("s3://bucket/run")             # names things as pathlib.Path does
exists(folder / "run.json")
with replaced(folder / "run.json") as aside: … # a file here, which then takes that name
with fetched(folder / "model.keras") as path: …  # a file here with the same content

An object is made here and put in one piece, so that it appears whole, like a file that is renamed:
what is written last can say there, too, that all the rest is there.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from lcseg.errors import LcsegError, StoreError
from lcseg.runtime import start_tensorflow

STORES = {"s3": "BUCKET/FOLDER", "az": "ACCOUNT/CONTAINER/FOLDER"}
"""The object stores: how their addresses begin, and what must follow."""

SCRATCH = ".scratch"
"""Where files are made before they take their names."""

_TEMPORARY = "lcseg-"
_PIECE_BYTES = 1 << 24
_NOT_FOUND = "NotFoundError"

_AT_ONCE_S = 15
"""Where nothing is, a store says so at once; a client that nobody answers tries for a minute, and
then says the same."""


def is_remote(path: str | Path) -> bool:
    """Whether a path is the address of something in an object store, or the like."""
    return "://" in os.fspath(path)


def locate(path: str | Path) -> Path:
    """The path of a file or folder; of one in a store it can name others, but opens nothing.

    Raises:
        LcsegError: it is in no store that is known, or what reads stores is not installed.
    """
    if not is_remote(path):
        return Path(path)
    scheme, _, rest = os.fspath(path).partition("://")
    if scheme not in STORES:
        known = " and ".join(f"{name}://" for name in STORES)
        raise LcsegError(path, f"no store is known by {scheme}://", f"use a folder, {known}")
    if len(list(filter(None, rest.split("/")))) <= STORES[scheme].count("/"):
        raise LcsegError(path, "is a whole store", f"name a folder: {scheme}://{STORES[scheme]}")
    try:
        return cast(Path, _load_stores()(path))
    except ImportError as error:
        raise LcsegError(
            path, f"is in a store, which takes tensorflow-io: {error}", "pip install 'lcseg[io]'"
        ) from error


@functools.cache
def _load_stores() -> type:
    """Have TensorFlow know the stores; returns the class of their paths."""
    # TensorFlow is waited for by those alone who use a store.
    start_tensorflow()
    import tensorflow_io  # noqa: F401
    from etils import epath

    path_type: type = epath.Path
    return path_type


def require_local(path: str, flag: str) -> None:
    """Refuse an address in a store where only a path of this machine will do."""
    if is_remote(path):
        raise LcsegError(f"--{flag}={path}", "is in a store", "write it here, and copy it there")


def exists(path: Path) -> bool:
    """Whether a file is there."""
    asked_s = time.monotonic()
    with told(path):
        is_there = path.exists()
    if not is_there:
        _require_answer(path, asked_s)
    return is_there


def size_of(path: Path) -> int:
    """Bytes of a file; -1 if there is none."""
    if not exists(path):
        return -1
    with told(path):
        stat = path.stat()
        return int(stat.length if is_remote(path) else stat.st_size)  # type: ignore[attr-defined]


def list_files(folder: Path, pattern: str = "*") -> list[Path]:
    """What is in a folder and has a name that fits a pattern, in order; none without a folder."""
    asked_s = time.monotonic()
    with told(folder):
        try:
            found = list(folder.iterdir())
        except Exception as error:
            is_none = isinstance(error, (FileNotFoundError, NotADirectoryError))
            if not is_none and type(error).__name__ != _NOT_FOUND:
                raise
            _require_answer(folder, asked_s)
            return []
    return sorted(path for path in found if fnmatchcase(path.name, pattern))


def make_folder(folder: Path) -> None:
    """Make a folder and those around it; a store needs none."""
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; one of a store is read in pieces as they are asked for."""
    _require(path)
    with told(path), path.open("rb") as file:
        yield cast(BinaryIO, file)


def read_bytes(path: Path) -> bytes:
    """Read a whole file."""
    with open_binary(path) as file:
        return file.read()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file of at least one byte, which appears at once."""
    with replaced(path) as aside:
        aside.write_bytes(content)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with _unless_gone(path), told(path):
        if not is_remote(path) or path.exists():
            path.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Have a file that lies here take the name `target`, which may be in a store."""
    if is_remote(target):
        _upload(path, target)
        path.unlink()
    else:
        path.replace(target)


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; on success it takes the place of `path`, else it is removed.

    For a file of a store it lies here, in a folder for temporary files.
    """
    target = locate(path)
    if is_remote(target):
        with scratch_in(target.parent) as scratch:
            aside = scratch / target.name
            yield aside
            _upload(aside, target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """Yield an empty folder here, whose files can be moved into a folder; it is removed at the end.

    It lies in that folder, where the next one clears away what a killed process has left; that of a
    store lies among the temporary files of this machine.
    """
    if is_remote(folder):
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as name:
            yield Path(name)
        return
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def fetched(*paths: Path) -> Iterator[Path]:
    """Yield a file here with the content of the first of some files of one folder.

    The others lie beside it. They are the files themselves, or copies of those of a store.
    """
    if not is_remote(paths[0]):
        yield paths[0]
        return
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as name:
        for path in paths:
            with open_binary(path) as source, (Path(name) / path.name).open("wb") as copy:
                shutil.copyfileobj(source, copy, _PIECE_BYTES)
        yield Path(name) / paths[0].name


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Around what asks a store: what TensorFlow says of it is a StoreError.

    What went wrong with a file here is raised as it is.
    """
    try:
        yield
    except (LcsegError, OSError) as error:
        if isinstance(error, FileNotFoundError) and error.errno is None:
            raise _missing(path) from error
        raise
    except Exception as error:
        is_foreign = type(error).__module__.startswith("tensorflow")
        if not is_remote(path) or not (is_foreign or isinstance(error, RuntimeError)):
            raise
        kind = type(error).__name__.removesuffix("Error")
        raise StoreError(
            path, f"the store refuses: {kind}: {error}", "are address and credentials right?"
        ) from error


def _require_answer(path: Path, asked_s: float) -> None:
    """Refuse to believe that nothing is there if it took long to hear so."""
    if is_remote(path) and time.monotonic() - asked_s > _AT_ONCE_S:
        raise StoreError(path, "the store does not answer", "is its address right?")


def _upload(path: Path, target: Path) -> None:
    """Put a file into a store, over the one that is there; on an error that one stays."""
    import tensorflow as tf

    # S3 has a file when its writer is closed, Azure has half of it before.
    is_put_whole = str(target).startswith("s3://")
    aside = target if is_put_whole else target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    with told(target), path.open("rb") as source:
        # Closed by hand: not where something went wrong.
        copy = tf.io.gfile.GFile(str(aside), "wb")
        shutil.copyfileobj(source, copy, _PIECE_BYTES)
        copy.close()
    size = path.stat().st_size
    _require_size(aside, size)
    if not is_put_whole:
        with _unless_gone(aside), told(target):
            tf.io.gfile.rename(str(aside), str(target), overwrite=True)
        _require_size(target, size)


@contextmanager
def _unless_gone(path: Path) -> Iterator[None]:
    """Around what takes a file of a store away: no error counts if the file is gone.

    A request that a signal or the network cuts off is sent again, and finds nothing to take away.
    """
    try:
        yield
    except StoreError:
        if exists(path):
            raise


def _require_size(path: Path, size: int) -> None:
    """Refuse a file of a store that is not as long as what was put there."""
    if size_of(path) != size:
        raise StoreError(path, "is not what was put there", "try again")


def _require(path: Path) -> None:
    """Refuse a file that is not there: Azure's would read as empty."""
    if is_remote(path) and not exists(path):
        raise _missing(path)


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
