"""Which label raster goes with which image raster.

pairs = pair_globs("scenes/*_naip.tif", "scenes/*_lc.tif")     # mates share the text of *
pairs = read_pairs("pairs.csv")                                # image,label,split,date
"""

from __future__ import annotations

import csv
import glob
import os
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lcseg.errors import LcsegError

SPLITS = ("train", "val", "test")
_SHOWN = 6


@dataclass(frozen=True)
class Pair:
    """An image raster and its label raster: one labelled scene."""

    key: str  # What the two have in common; unique in a data set.
    image: str  # Path of the image raster.
    label: str  # Path of the label raster.
    split: str = ""  # train, val or test; empty: to be decided.
    date: str = ""  # When the image was taken, as ISO 8601; empty: not known.


def pair_globs(images: str, labels: str) -> list[Pair]:
    """Pair files where the text matched by the wildcards of the two patterns is equal.

    Raises:
        LcsegError: nothing matches, or a file has no mate or several.
    """
    image_paths = _match(images, "--images")
    label_paths = _match(labels, "--labels")
    alone = [p for k, p in image_paths.items() if k not in label_paths]
    alone += [p for k, p in label_paths.items() if k not in image_paths]
    if alone:
        raise LcsegError(
            "--images, --labels",
            f"{len(alone)} files have no mate: {', '.join(alone)}",
            "files pair where the text matched by their * is equal",
        )
    return [
        Pair("/".join(key) or Path(path).stem, path, label_paths[key])
        for key, path in sorted(image_paths.items())
    ]


def read_pairs(path: str) -> list[Pair]:
    """Read a CSV with the columns image, label, split and date; the last two may be empty.

    Relative paths are meant from the folder of the CSV.
    """
    folder = Path(path).parent
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LcsegError(path, f"cannot be read as CSV: {error}") from error
    if not rows or not {"image", "label"} <= set(rows[0]):
        found = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise LcsegError(path, f"expected the columns image,label,split, found {found}")
    pairs = []
    for line, row in enumerate(rows, start=2):
        if None in row:
            raise LcsegError(path, f"line {line}: has more fields than the header")
        split = (row.get("split") or "").strip()
        if split not in ("", *SPLITS):
            raise LcsegError(
                path, f"line {line}: split is {split!r}, expected {' or '.join(SPLITS)}"
            )
        image, label = ((row[name] or "").strip() for name in ("image", "label"))
        if not image or not label:
            raise LcsegError(path, f"line {line}: image or label is empty")
        date = (row.get("date") or "").strip()
        if date and not _is_date(date):
            raise LcsegError(path, f"line {line}: date is {date!r}, expected as 2024-07-31")
        pairs.append(Pair(image, _resolve(folder, image), _resolve(folder, label), split, date))
    twice = [path for path, n in Counter(pair.image for pair in pairs).items() if n > 1]
    if twice:
        raise LcsegError(path, f"images that stand twice: {_list(twice)}")
    return pairs


def _is_date(text: str) -> bool:
    """Whether a text is a date, or a date and time, of ISO 8601."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "-" in text


def _resolve(folder: Path, path: str) -> str:
    """Paths of GDAL's virtual file systems, and URLs, are left as they are."""
    if path.startswith("/vsi") or "://" in path:
        return path
    return os.path.normpath(folder / path)


def _match(pattern: str, flag: str) -> dict[tuple[str, ...], str]:
    """Files by the text that the wildcards matched."""
    expression = re.compile(_expression(pattern))
    found: dict[tuple[str, ...], str] = {}
    for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207
        match = expression.fullmatch(path)
        if match is None or path.endswith(".aux.xml"):
            continue
        key = tuple(text or "" for text in match.groups())
        if key in found:
            raise LcsegError(flag, f"{found[key]} and {path} match with the same text of *")
        found[key] = path
    if not found:
        raise LcsegError(flag, f"no file matches {pattern}")
    return found


def _expression(pattern: str) -> str:
    """A glob pattern as a regular expression whose groups are what * and ** match."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", pattern)
    wild = {"**/": r"(?:(.*)/)?", "**": r"(.*)", "*": r"([^/]*)", "?": r"[^/]"}
    return "".join(
        wild.get(part, part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
        for part in parts
    )


def _list(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
