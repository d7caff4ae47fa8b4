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
    with _claimed(aside, out):
        try:
            _clear(aside)
            yield aside
            aside.rename(out)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _claimed(aside: Path, out: Path) -> Iterator[None]:
    """Hold a folder against other processes; the claim ends with this one, however it ends."""
    handle = os.open(aside, os.O_RDONLY)
    try:
        # Some network file systems know no locks: there, runs must be kept apart by their users.
        with suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LcsegError(
                    out, "is being written by another run", "wait for it, or name another --out"
                ) from error
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
