"""Folders that appear whole or not at all, and the work that fills them.

with open_workspace(Path("data")) as space:    # ".data.partial", until the end
    (space.folder / "part").write_bytes(…)     # becomes data/part
    (space.progress / "note").write_text(…)    # kept if the work is interrupted

In a store nothing can be renamed: there the files have their names at once, and the folder is whole
when the one is there that names the others.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lcseg.errors import LcsegError
from lcseg.files import exists, is_remote, list_files, remove, scratch_in, write_bytes


@dataclass(frozen=True)
class Workspace:
    """Where unfinished work lies."""

    folder: Path  # What is to become the result.
    progress: Path  # What the next start must know to go on.
    stage: Path  # What workers write into; each start has its own, as those of an earlier one may
    # still be at work.

    @property
    def has_progress(self) -> bool:
        """Whether there is anything that the next start could use."""
        return bool(list_files(self.progress))


@contextmanager
def open_workspace(out: Path, last: str = "") -> Iterator[Workspace]:
    """Yield a workspace whose folder takes the name `out` at the end.

    Args:
        out: what is to appear.
        last: the file that is written last, by which a folder in a store is known to be whole.

    If the work ends early, the workspace is kept if anything was noted as progress, and found
    again by the next start; else it is removed.

    Raises:
        LcsegError: `out` exists, or another process is writing it.
    """
    if is_remote(out):
        with _open_in_store(out, last) as space:
            yield space
        return
    if not out.name:
        raise LcsegError(f"--out={out}", "has no name", "name a folder that is to be made")
    aside = out.with_name(f".{out.name}.partial")
    stage = aside / f"stage-{uuid.uuid4().hex[:8]}"
    space = Workspace(aside / out.name, aside / "progress", stage)
    taken = LcsegError(out, "exists already", "name another --out, or remove it first")
    if out.exists():
        if aside.exists() and not space.folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        raise taken
    aside.mkdir(parents=True, exist_ok=True)
    with claimed(aside, out, "--out"):
        try:
            # The one who held it may have ended just now, and done all of it.
            if out.exists():
                raise taken
            space.progress.mkdir(exist_ok=True)
            if not space.has_progress:
                shutil.rmtree(space.folder, ignore_errors=True)
            for left in aside.glob("stage-*"):
                shutil.rmtree(left, ignore_errors=True)
            space.folder.mkdir(exist_ok=True)
            space.stage.mkdir()
            yield space
            settle_folder(space.folder)
            space.folder.rename(out)
            settle_folder(out.absolute().parent)
            shutil.rmtree(aside, ignore_errors=True)
        finally:
            if not (space.progress.exists() and space.has_progress):
                shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _open_in_store(out: Path, last: str) -> Iterator[Workspace]:
    """The same where nothing can be renamed or held: a mark says that the work has not ended."""
    mark, progress = (out.with_name(f".{out.name}.{what}") for what in ("begun", "progress"))
    is_whole = bool(last) and exists(out / last)
    if is_whole:
        # The one who wrote it may have been killed before it had cleared up.
        _clear(mark, progress)
    if is_whole or (list_files(out) and not exists(mark)):
        raise LcsegError(out, "exists already", "name another --out, or remove it first")
    write_bytes(mark, b"begun\n")
    try:
        with scratch_in(out) as stage:
            yield Workspace(out, progress, stage)
        _clear(mark, progress)
    finally:
        # Nothing was done that the next start could use.
        if exists(mark) and not list_files(progress):
            for path in (*list_files(out), mark):
                remove(path)


def _clear(mark: Path, progress: Path) -> None:
    for path in (mark, *list_files(progress)):
        remove(path)


@contextmanager
def claimed(folder: Path, name: object, flag: str) -> Iterator[None]:
    """Hold a folder against other processes; the claim ends with this one, however it ends.

    Args:
        folder: what is held; what lies in a store cannot be: there, users keep their work apart.
        name: what the user calls it.
        flag: with which another one could be named.
    """
    if is_remote(folder):
        yield
        return
    busy = LcsegError(
        name, "is being written by another process", f"wait for it, or name another {flag}"
    )
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:
        raise busy from error
    try:
        # Some network file systems know no locks: there, users must keep their runs apart.
        with suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise busy from error
        # The one who held it may have ended just now, and taken the folder away.
        if not folder.exists() or os.fstat(handle).st_ino != folder.stat().st_ino:
            raise busy
        yield
    finally:
        os.close(handle)


def settle_folder(folder: Path) -> None:
    """Have the disk keep the names in a folder, also if the power goes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
