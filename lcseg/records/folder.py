"""Folders that appear whole or not at all.

with written_aside(Path("data")) as folder:    # ".data.partial", renamed to "data" at the end
    (folder / "part").write_bytes(…)
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lcseg.errors import LcsegError

_LOG = logging.getLogger("lcseg")


@contextmanager
def written_aside(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that takes its name at the end; on an error it is removed.

    Raises:
        LcsegError: `out` exists, or another process is writing it.
    """
    if out.exists():
        raise LcsegError(out, "exists already", "name another --out, or remove it first")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.with_name(f".{out.name}.partial")
    aside.mkdir(exist_ok=True)
    with claimed(aside, out, "--out"):
        try:
            _clear(aside)
            yield aside
            aside.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def claimed(folder: Path, name: object, flag: str) -> Iterator[None]:
    """Hold a folder against other processes; the claim ends with this one, however it ends.

    Args:
        folder: what is held.
        name: what the user calls it.
        flag: with which another one could be named.
    """
    busy = LcsegError(
        name, "is being written by another process", f"wait for it, or name another {flag}"
    )
    handle = os.open(folder, os.O_RDONLY)
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


def _clear(aside: Path) -> None:
    """Remove what an interrupted run has left."""
    left = list(aside.iterdir())
    if left:
        _LOG.info("%s was left by an interrupted run; starting again", aside)
    for path in left:
        path.unlink()
