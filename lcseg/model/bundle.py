"""A bundle: the folder that is a trained model, complete.

save_bundle("run/bundle", model, info, card)   # the card is for people
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

from lcseg import __version__
from lcseg.classes import ClassScheme
from lcseg.documents import write_document
from lcseg.errors import LcsegError
from lcseg.files import (
    exists,
    fetched,
    list_files,
    locate,
    move,
    remove,
    scratch_in,
    write_bytes,
)
from lcseg.model.info import FILE, FORMAT, VERSION, BundleInfo, read_info
from lcseg.model.receptive import measure_halo
from lcseg.model.unet import ModelInput

CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    path: Path  # Its folder.
    info: BundleInfo  # What it says of itself.
    model: keras.Model  # Raw pixels in, logits out.


def make_info(
    model: keras.Model,
    stride_px: int,
    model_input: ModelInput,
    scheme: ClassScheme,
    bands: tuple[str, ...],
    pixel_m: float | None,
    **training: Any,
) -> BundleInfo:
    """What a bundle says of itself, before its file is saved.

    Args:
        model: raw pixels in, logits out.
        stride_px: of the network.
        model_input: what it is fed.
        scheme: what its outputs mean.
        bands: names of its inputs.
        pixel_m: ground sample distance of the training imagery; None: unknown.
        training: `data_digest`, `step`, `scores`, `config`; what is left out is empty.
    """
    about: dict[str, Any] = {"data_digest": "", "step": 0, "scores": {}, "config": {}}
    return BundleInfo(
        format=FORMAT,
        format_version=VERSION,
        created_by=f"lcseg {__version__}",
        model_file="",
        model_sha256="",
        class_scheme=scheme,
        bands=bands,
        dtype=model_input.dtype,
        pixel_m=pixel_m,
        stride_px=stride_px,
        halo_px=measure_halo(model, stride_px),
        mean=model_input.mean,
        std=model_input.std,
        **(about | training),
    )


def save_bundle(
    folder: str | Path, model: keras.Model, info: BundleInfo, card: str = ""
) -> BundleInfo:
    """Write a bundle, replacing the one that is there; without a `card` it has none.

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
    if card:
        write_bytes(folder / CARD, card.encode())
    else:
        remove(folder / CARD)
    write_document(folder / FILE, info)
    for old in list_files(folder, "model-*.keras"):
        if old.name != model_file:
            remove(old)
    return info


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
