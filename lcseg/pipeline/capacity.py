"""How much memory and disk may still be taken.

free_memory_bytes()                            # the machine's, or the least of its control groups
free_disk_bytes("runs/one/cache")              # of the file system where it is or will be
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_FILES = {
    "cgroup2": (("memory.max", "memory.high"), "memory.current", "inactive_file"),
    "cgroup": (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"),
}
"""File system type of control groups -> files of the limits, of what is used, key of old pages."""


def free_memory_bytes(root: Path = Path("/")) -> int:
    """Memory that this process may still take, from MemAvailable and all of its control groups.

    A group is bound by those around it too. Pages of files that were not used lately count as
    used in a group, but are given back when memory is short.

    Args:
        root: where `proc` and `sys` are; for tests.
    """
    lines = (root / "proc/meminfo").read_text().splitlines()
    available = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    left = [_left_in_group(folder, kind) for kind, folder in _own_groups(root)]
    return max(min([int(available) * 1024, *(n for n in left if n is not None)]), 0)


def free_disk_bytes(folder: str | Path) -> int:
    """What the file system has left where a folder is, or will be made."""
    folder = Path(folder).absolute()
    return shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free


def _own_groups(root: Path) -> Iterator[tuple[str, Path]]:
    """(file system type, folder) of each control group that bounds the memory of this process."""
    paths = _read_memberships(root)
    for line in _read_text(root / "proc/self/mounts").splitlines():
        _, mount, kind, options, *_ = line.split()
        is_for_memory = kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(","))
        if not is_for_memory or kind not in paths:
            continue
        # A container may see only its own part of the tree, but be told its path in the whole.
        path = PurePosixPath(paths[kind])
        for part in (path, *path.parents):
            folder = root / mount.lstrip("/") / str(part).lstrip("/")
            if folder.is_dir():
                yield kind, folder


def _read_memberships(root: Path) -> dict[str, str]:
    """File system type -> the path of this process's group, from lines "id:controllers:path"."""
    paths = {}
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            paths["cgroup2"] = path
        elif "memory" in controllers.split(","):
            paths["cgroup"] = path
    return paths


def _left_in_group(folder: Path, kind: str) -> int | None:
    """Bytes that a group may still take; None: it sets no limit."""
    limit_files, used_file, old_pages = _FILES[kind]
    texts = [_read_text(folder / name).strip() for name in limit_files]
    limits = [int(text) for text in texts if text.isdigit()]
    used = _read_text(folder / used_file).strip()
    if not limits or not used.isdigit():
        return None
    stat = dict(line.split() for line in _read_text(folder / "memory.stat").splitlines())
    return min(limits) - (int(used) - int(stat.get(old_pages, 0)))


def _read_text(path: Path) -> str:
    """The text of a file; empty where there is none, as outside of control groups."""
    try:
        return path.read_text()
    except OSError:
        return ""
