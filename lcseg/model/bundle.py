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

import keras

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
from lcseg.model.info import FILE, BundleInfo, read_info

CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle."""

    path: Path  # Its folder.
    info: BundleInfo  # What it says of itself.
    model: keras.Model  # Raw pixels in, logits out.


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
