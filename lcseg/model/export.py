"""A bundle in a form that other programs load: a SavedModel, an ONNX file, or what ArcGIS takes.

exported = export(ExportConfig(model="run/bundle", format="onnx", out="model.onnx"))
print(exported)

All take raw pixels "image" [N, H, W, bands] of the bundle's type, of any number and size (H and W
are multiples of the stride), and give float32 "logits" [N, H, W, classes]. All compute in float32,
whatever the model was trained in, and carry the bundle's `bundle.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from lcseg.documents import format_document
from lcseg.errors import LcsegError
from lcseg.files import replaced
from lcseg.model.arcgis import MODEL, require_exact, write_function
from lcseg.model.bundle import Bundle, load_bundle
from lcseg.model.config import ExportConfig
from lcseg.model.info import FILE, BundleInfo
from lcseg.records.folder import open_workspace

INPUT, OUTPUT = "image", "logits"
"""What all formats call what goes in and what comes out."""

ASSETS = "assets.extra"
"""The folder of a SavedModel for what TensorFlow does not read itself."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    out: Path  # File or folder.
    info: BundleInfo  # What the model says of itself.

    def __str__(self) -> str:
        info, names = self.info, self.info.class_scheme.names
        return (
            f"in: {INPUT}, {info.dtype} [N, H, W, {len(info.bands)}], raw {', '.join(info.bands)}; "
            f"H and W are multiples of {info.stride_px}\n"
            f"out: {OUTPUT}, float32 [N, H, W, {len(names)}], {', '.join(names)}\n"
            f"halo: read {info.halo_px} px more at each side, and cut them off\n"
        )


def export(config: ExportConfig) -> Exported:
    """Write a bundle in another format; the file or folder appears whole or not at all.

    Raises:
        LcsegError: the bundle is none, `out` exists, or what the format takes is not installed.
    """
    out = Path(config.out)
    if out.exists():
        raise LcsegError(out, "exists already", "name another --out, or remove it first")
    bundle = load_bundle(config.model)
    FORMATS[config.format](bundle, out)
    return Exported(out, bundle.info)


def write_onnx(bundle: Bundle, out: Path) -> None:
    """Write a bundle as an ONNX file, with `bundle.json` among its metadata."""
    try:
        from lcseg.model.graph import to_onnx
    except ImportError as error:
        raise LcsegError(
            "--format=onnx", f"takes the package onnx: {error}", "pip install 'lcseg[onnx]'"
        ) from error
    made = to_onnx(bundle.model, INPUT, OUTPUT, {FILE: format_document(bundle.info)})
    with replaced(out) as aside:
        aside.write_bytes(made.SerializeToString())


def write_saved_model(bundle: Bundle, out: Path) -> None:
    """Write a bundle as a SavedModel, with `bundle.json` among its assets."""
    model, info = to_float32(bundle.model), bundle.info
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda image: {OUTPUT: model(image, training=False)},
        [tf.TensorSpec([None, None, None, len(info.bands)], info.dtype, INPUT)],
    )
    with open_workspace(out) as space:
        archive.write_out(space.folder, verbose=False)
        assets = space.folder / ASSETS
        assets.mkdir()
        (assets / FILE).write_text(format_document(info), encoding="utf-8")


def write_arcgis(bundle: Bundle, out: Path) -> None:
    """Write a bundle as a folder for ArcGIS Pro, with the model as ONNX."""
    require_exact(bundle)
    with open_workspace(out) as space:
        write_onnx(bundle, space.folder / MODEL)
        write_function(bundle.info, space.folder, (INPUT, OUTPUT))


def to_float32(model: keras.Model) -> keras.Model:
    """Copy a model into one that computes in float32, with the same weights."""

    def copy(layer: layers.Layer) -> layers.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    plain = keras.models.clone_model(model, clone_function=copy)
    plain.set_weights(model.get_weights())
    return plain


FORMATS: dict[str, Callable[[Bundle, Path], Any]] = {
    "savedmodel": write_saved_model,
    "onnx": write_onnx,
    "arcgis": write_arcgis,
}
