"""What a bundle says of itself, read without Keras.

info = read_info("run/bundle")
info.class_scheme, info.bands, info.stride_px, info.halo_px
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lcseg.classes import ClassScheme
from lcseg.documents import parse_document, read_document
from lcseg.errors import LcsegError
from lcseg.files import exists, locate

FILE = "bundle.json"
FORMAT = "lcseg-bundle"
VERSION = "1.0"


@dataclass(frozen=True)
class BundleInfo:
    """What one must know to use a model."""

    format: str  # "lcseg-bundle".
    format_version: str  # "major.minor".
    created_by: str  # Program and version.
    model_file: str  # Name of the Keras file, in the folder of the bundle.
    model_sha256: str  # Of that file, in hexadecimal.
    class_scheme: ClassScheme  # What the outputs mean, in order.
    bands: tuple[str, ...]  # What the inputs are, in order.
    dtype: str  # Of the image.
    pixel_m: float | None  # Ground sample distance of the training imagery; None: unknown.
    stride_px: int  # Sides of an input must be a multiple of this.
    halo_px: int  # How far beyond a block the model looks.
    mean: tuple[float, ...]  # Of each band in training; the model normalises with it.
    std: tuple[float, ...]  # Of each band in training.
    data_digest: str  # Digest of the data set that it was trained on.
    step: int  # After how many steps.
    scores: dict[str, float | None]  # On the validation split.
    config: dict[str, Any]  # Of the training.


@dataclass(frozen=True)
class _Heading:
    """The part of `bundle.json` that every version has."""

    format: str
    format_version: str


def read_info(folder: str | Path) -> BundleInfo:
    """Read what a bundle says of itself, without loading the model."""
    path = locate(folder) / FILE
    if not exists(path):
        within = locate(folder) / "bundle"
        there = str(within) if exists(within / FILE) else "the bundle folder of a training run"
        raise LcsegError(folder, f"is not a bundle: it has no {FILE}", f"give {there}")
    _require_version(read_document(path, _Heading), path)
    return read_document(path, BundleInfo)


def parse_info(text: str, where: object) -> BundleInfo:
    """Parse the text of a `bundle.json`; errors are reported as those of `where`."""
    _require_version(parse_document(text, _Heading, where), where)
    return parse_document(text, BundleInfo, where)


def _require_version(heading: _Heading, where: object) -> None:
    major = heading.format_version.split(".")[0]
    if heading.format != FORMAT or major != VERSION.split(".", maxsplit=1)[0]:
        found = f"{heading.format} {heading.format_version}"
        raise LcsegError(where, f"is {found}, this lcseg reads {FORMAT} {VERSION}")
