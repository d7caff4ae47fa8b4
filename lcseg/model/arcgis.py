"""A folder by which ArcGIS Pro maps with a model: a raster function, and a deep learning package.

write_function(bundle.info, folder, ("image", "logits"))   # beside its "model.onnx"

The function (`LcsegClassifier.py`) is the same for all models and knows nothing of lcseg: what it
must know of a model stands in the EMD, Esri's description of a model in JSON.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from string import Template
from typing import Any
from xml.sax.saxutils import escape

from lcseg.errors import LcsegError
from lcseg.model.bundle import Bundle
from lcseg.model.info import BundleInfo

MODEL, EMD, FUNCTION, TEMPLATE = (
    "model.onnx",
    "model.emd",
    "LcsegClassifier.py",
    "LcsegClassifier.rft.xml",
)
"""What the files are called; ArcGIS takes the name of the function for that of its class."""

_TILE_PX = 512
"""Side of what the network is asked at once; deep learning tools ask for blocks of this size."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files in a package, so that the same model gives the same bytes."""


def require_exact(bundle: Bundle) -> None:
    """Refuse a model that says something else of a pixel in each block that ArcGIS asks for."""
    if bundle.info.config.get("norm") == "group":
        raise LcsegError(
            bundle.path,
            "normalises by all that it is shown (--norm=group), so the blocks of ArcGIS would not "
            "be parts of one map",
            "map with lcseg predict, which blends them, or train with another --norm",
        )


def write_function(info: BundleInfo, folder: Path, ends: tuple[str, str]) -> None:
    """Write all but the model, which is there; the folder's name is that in ArcGIS.

    Args:
        info: what the model says of itself.
        folder: where the model is; it is to lie in the folder `Custom` of ArcGIS's functions.
        ends: what the model calls its input and its output.
    """
    here = Path(__file__)
    shutil.copyfile(here.with_name(FUNCTION), folder / FUNCTION)
    template = Template(here.with_name(TEMPLATE).read_text(encoding="utf-8"))
    text = template.substitute(folder=escape(folder.name))
    (folder / TEMPLATE).write_text(text, encoding="utf-8")
    (folder / EMD).write_text(json.dumps(describe(info, ends), indent=2) + "\n", encoding="utf-8")
    with zipfile.ZipFile(folder / f"{folder.name}.dlpk", "w") as package:
        for name in (EMD, MODEL, FUNCTION):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)


def describe(info: BundleInfo, ends: tuple[str, str]) -> dict[str, Any]:
    """Describe a model as an EMD; what ArcGIS has no word for stands under "Lcseg"."""
    scheme, stride_px = info.class_scheme, info.stride_px
    tile_px = -(-_TILE_PX // stride_px) * stride_px
    # Blocks begin anywhere, the network's windows at multiples of its stride.
    padding_px = info.halo_px + stride_px
    return {
        "Framework": "ONNX",
        "ModelConfiguration": "lcseg",
        "ModelType": "ImageClassification",
        "ModelName": scheme.name,
        "ModelFile": MODEL,
        "InferenceFunction": FUNCTION,
        "ExtractBands": list(range(len(info.bands))),
        "ImageHeight": tile_px + 2 * padding_px,
        "ImageWidth": tile_px + 2 * padding_px,
        "Padding": padding_px,
        "BatchSize": 1,
        "Classes": [
            {"Value": value, "Name": name, "Color": color}
            for value, (name, color) in enumerate(
                zip(scheme.names, scheme.palette.tolist(), strict=True)
            )
        ],
        "Lcseg": {
            "created_by": info.created_by,
            "model_sha256": info.model_sha256,
            "bands": list(info.bands),
            "dtype": info.dtype,
            "pixel_m": info.pixel_m,
            "stride_px": stride_px,
            "halo_px": info.halo_px,
            "input": ends[0],
            "output": ends[1],
        },
    }
