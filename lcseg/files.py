"""Files here, and in object stores (`s3://`, `az://`), which take the extra lcseg[io].

folder = locate("s3://bucket/run")             # names things as pathlib.Path does
exists(folder / "run.json")
with replaced(folder / "run.json") as aside: … # a file here, which then takes that name
with fetched(folder / "model.keras") as path: …  # a file here with the same content

An object appears whole or not at all, like a file that is renamed: what is written last can say
there, too, that all the rest is there.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from lcseg.errors import LcsegError
from lcseg.runtime import start_tensorflow

STORES = {"s3": "BUCKET/FOLDER", "az": "ACCOUNT/CONTAINER/FOLDER"}
"""The object stores: how their addresses begin, and what must follow."""

SCRATCH = ".scratch"
"""Where a file is made before it takes its name."""

_NOT_FOUND = "NotFoundError"
_PIECE_BYTES = 1 << 24


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


def exists(path: Path) -> bool:
    """Whether a file is there."""
    with _told(path):
        return path.exists()


def absence(path: Path) -> str:
    """What else it may mean that a file is not there, to be said after the fix: S3 does not tell
    an address where nobody answers from one where nothing is."""
    return "; or does the store not answer, or know you?" if is_remote(path) else ""


def size_of(path: Path) -> int:
    """Bytes of a file; -1 if there is none."""
    with _told(path):
        if not path.exists():
            return -1
        stat = path.stat()
        return int(stat.length if is_remote(path) else stat.st_size)  # type: ignore[attr-defined]


def list_files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files of a folder whose names fit a pattern, in order; none if there is no folder."""
    with _told(folder):
        try:
            found = list(folder.iterdir())
        except Exception as error:
            # TensorFlow's own error is known by name: this module does not import TensorFlow.
            is_none = isinstance(error, (FileNotFoundError, NotADirectoryError))
            if not is_none and type(error).__name__ != _NOT_FOUND:
                raise
            return []
    return sorted(path for path in found if fnmatchcase(path.name, pattern))


def require_local(path: str, flag: str) -> None:
    """Refuse an address in a store where only a path of this machine will do."""
    if is_remote(path):
        raise LcsegError(f"--{flag}={path}", "is in a store", "write it here, and copy it there")


def make_folder(folder: Path) -> None:
    """Make a folder and those around it; a store needs none."""
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; one of a store is read in pieces as they are asked for."""
    with _told(path):
        _require(path)
        return cast(BinaryIO, path.open("rb"))


def read_bytes(path: Path) -> bytes:
    """Read a whole file."""
    with _told(path):
        _require(path)
        return path.read_bytes()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file of at least one byte, which appears at once."""
    with replaced(path) as aside:
        aside.write_bytes(content)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with _told(path):
        if not is_remote(path) or path.exists():
            path.unlink(missing_ok=True)


def move(path: Path, target: Path) -> None:
    """Have a file that lies here take the name `target`, which may be in a store."""
    with _told(target):
        if not is_remote(target):
            path.replace(target)
            return
        _upload(path, target)
        path.unlink()


@contextmanager
def replaced(path: str | Path) -> Iterator[Path]:
    """Yield a path beside `path`; on success it takes the place of `path`, else it is removed.

    For a file of a store it lies here, in a folder for temporary files.
    """
    target = locate(path)
    if is_remote(target):
        with tempfile.TemporaryDirectory() as folder:
            aside = Path(folder) / target.name
            yield aside
            with _told(target):
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

    Unless that is one of a store, it lies in it; what a killed process has left there is removed.
    """
    if is_remote(folder):
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)
        return
    scratch = folder / SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in paths:
            with open_binary(path) as source, (folder / path.name).open("wb") as copy:
                shutil.copyfileobj(source, copy, _PIECE_BYTES)
        yield folder / paths[0].name


def _upload(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, _PIECE_BYTES)


def _require(path: Path) -> None:
    """Refuse a file that is not there: Azure's would read as empty."""
    if is_remote(path) and not path.exists():
        raise FileNotFoundError(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Around what asks a store: TensorFlow's errors are told in one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except Exception as error:
        if not is_remote(path) or isinstance(error, LcsegError):
            raise
        kind = type(error).__name__.removesuffix("Error")
        raise LcsegError(
            path, f"the store refuses: {kind}: {error}", "are address and credentials right?"
        ) from error
