"""A bundle: the folder that is a trained model, complete.

save_bundle("run/bundle", model, info)
bundle = load_bundle("run/bundle")
bundle.model, bundle.info.class_scheme, bundle.info.halo_px
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from lcseg.classes import ClassScheme
from lcseg.documents import read_document, write_document
from lcseg.errors import LcsegError
from lcseg.files import exists, fetched, list_files, locate, move, remove, scratch_in

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
class Bundle:
    """A loaded bundle."""

    path: Path  # Its folder.
    info: BundleInfo  # What it says of itself.
    model: keras.Model  # Raw pixels in, logits out.


@dataclass(frozen=True)
class _Heading:
    """The part of `bundle.json` that every version has."""

    format: str
    format_version: str


def save_bundle(folder: str | Path, model: keras.Model, info: BundleInfo) -> BundleInfo:
    """Write a bundle, replacing the one that is there.

    The Keras file is named by its content, and `bundle.json`, which names it, is renamed into
    place last: at every moment the folder holds one whole bundle, the old or the new.
    """
    folder = locate(folder)
    with scratch_in(folder) as scratch:
        aside = scratch / "model.keras"
        model.save(aside)
        digest = hashlib.sha256(aside.read_bytes()).hexdigest()
        model_file = f"model-{digest[:12]}.keras"
        move(aside, folder / model_file)
    info = dataclasses.replace(info, model_file=model_file, model_sha256=digest)
    write_document(folder / FILE, info)
    for old in list_files(folder, "model-*.keras"):
        if old.name != model_file:
            remove(old)
    return info


def read_info(folder: str | Path) -> BundleInfo:
    """Read what a bundle says of itself, without loading the model."""
    path = locate(folder) / FILE
    if not exists(path):
        within = locate(folder) / "bundle"
        there = str(within) if exists(within / FILE) else "the bundle folder of a training run"
        raise LcsegError(folder, f"is not a bundle: it has no {FILE}", f"give {there}")
    heading = read_document(path, _Heading)
    major = heading.format_version.split(".")[0]
    if heading.format != FORMAT or major != VERSION.split(".", maxsplit=1)[0]:
        found = f"{heading.format} {heading.format_version}"
        raise LcsegError(path, f"is {found}, this lcseg reads {FORMAT} {VERSION}")
    return read_document(path, BundleInfo)


def load_bundle(folder: str | Path) -> Bundle:
    """Load a bundle; a damaged one is an LcsegError."""
    info = read_info(folder)
    path = locate(folder) / info.model_file
    if not exists(path):
        raise LcsegError(path, "is missing", "copy the whole folder of the bundle")
    with fetched(path) as here:
        if hashlib.sha256(here.read_bytes()).hexdigest() != info.model_sha256:
            raise LcsegError(path, "its checksum differs from the bundle's", "copy it again")
        model = keras.models.load_model(here, compile=False)
    return Bundle(locate(folder), info, model)
