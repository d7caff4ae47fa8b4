"""A map as an item of a SpatioTemporal Asset Catalog (STAC 1.1).

item = describe_map(plan, {"classes": Path("map.tif")}, Path("map.json"))
write_item(item, Path("map.json"))

It says what the classes are (classification extension), and which model made the map (machine
learning model extension, MLM).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import shapely
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.mlm import (
    DataType,
    InputStructure,
    MLMExtension,
    ModelInput,
    ModelOutput,
    ResultStructure,
    TaskType,
)
from pystac.extensions.projection import ProjectionExtension

from lcseg.errors import LcsegError
from lcseg.files import is_remote, locate, replaced
from lcseg.prediction.plan import Plan
from lcseg.prediction.products import CLASSES
from lcseg.raster.crs import LONLAT, authority_code, transform_places
from lcseg.raster.grid import Grid

_TITLES = {
    CLASSES: "Land cover classes",
    "probabilities": "Probability of each class",
    "confidence": "Probability of the class that is mapped",
    "margin": "Lead of the class that is mapped over the second best",
}
_EDGE = 9
"""Places along each side of a footprint."""

_HALF_TURN = 180.0
_DECIMALS = 1e-7
_STRAIGHT = 1e-6
"""How far a footprint may be off, in degrees: a tenth of a metre."""


def item_path(out: Path) -> Path:
    """Where the item of a map lies."""
    return out.with_suffix(".json")


def is_foreign(path: Path) -> bool:
    """Whether a file is there that is no item of a catalogue."""
    return path.exists() and (path.is_dir() or b'"stac_version"' not in path.read_bytes())


def describe_map(plan: Plan, outs: Mapping[str, Path], path: Path) -> pystac.Item:
    """Describe the rasters of a map for an item that lies at `path`.

    Raises:
        LcsegError: the map has no place by longitude and latitude, or no date.
    """
    footprint = measure_footprint(plan.grid, str(outs[CLASSES]))
    item = pystac.Item(
        outs[CLASSES].stem,
        shapely.geometry.mapping(footprint),
        _bounds(footprint),
        _date_of(plan),
        {"title": f"Land cover ({plan.scheme.name})", "gsd": plan.pixel_m},
    )
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=authority_code(plan.grid.crs or ""),
        shape=[plan.grid.height, plan.grid.width],
        transform=list(plan.grid.transform),
    )
    for product, out in outs.items():
        asset = pystac.Asset(
            _relative(out, path), _TITLES[product], media_type=pystac.MediaType.COG, roles=["data"]
        )
        item.add_asset(product, asset)
    ClassificationExtension.add_to(item)
    ClassificationExtension.ext(item.assets[CLASSES]).apply(classes=_classes(plan))
    _describe_model(item, plan, path)
    return item


def write_item(item: pystac.Item, path: Path) -> None:
    """Write an item, aside and renamed."""
    with replaced(path) as aside:
        text = json.dumps(item.to_dict(include_self_link=False), indent=2, ensure_ascii=False)
        aside.write_text(text + "\n", encoding="utf-8")


def measure_footprint(grid: Grid, path: str) -> shapely.Geometry:
    """The outline of a grid in longitude and latitude; cut where it crosses the antimeridian.

    Raises:
        LcsegError: its CRS has no longitude and latitude there.
    """
    edge = np.linspace(0, 1, _EDGE)
    along, none = np.concatenate([edge, 1 + 0 * edge, edge[::-1], 0 * edge]), np.zeros(_EDGE)
    down = np.concatenate([none, edge, 1 + none, edge[::-1]])
    x, y = grid.affine @ (along * grid.width, down * grid.height)
    lon, lat = transform_places(grid.crs or "", LONLAT, x, y, path)
    if np.ptp(lon) > _HALF_TURN:
        lon = np.where(lon < 0, lon + 2 * _HALF_TURN, lon)
    outline = shapely.Polygon(np.stack([lon, lat], axis=1)).simplify(_STRAIGHT)
    west = shapely.intersection(outline, shapely.box(-_HALF_TURN, -90, _HALF_TURN, 90))
    east = shapely.intersection(outline, shapely.box(_HALF_TURN, -90, 3 * _HALF_TURN, 90))
    if east.is_empty or not east.area:
        return shapely.set_precision(outline, _DECIMALS)
    east = shapely.transform(east, lambda places: places - [2 * _HALF_TURN, 0])
    return shapely.MultiPolygon([shapely.set_precision(part, _DECIMALS) for part in (west, east)])


def _bounds(footprint: shapely.Geometry) -> list[float]:
    """West, south, east, north; across the antimeridian west is greater, as RFC 7946 has it."""
    west, south, east, north = footprint.bounds
    if footprint.geom_type == "MultiPolygon":
        west, east = footprint.geoms[0].bounds[0], footprint.geoms[1].bounds[2]
    return [west, south, east, north]


def _date_of(plan: Plan) -> datetime:
    """When the image was taken, else when its file was made.

    Raises:
        LcsegError: the image does not say, and is no file here.
    """
    if plan.date:
        date = datetime.fromisoformat(plan.date)
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    images = plan.task.scene.images
    stamps = [stamp for image in images for _, _, stamp in image.files]
    if not stamps:
        raise LcsegError(images[0].path, "does not say when it was taken")
    return datetime.fromtimestamp(max(stamps) // 10**9, UTC)


def _classes(plan: Plan) -> list[Classification]:
    return [
        Classification.create(
            value=index,
            name=_slug(land.name),
            description=land.name,
            color_hint=land.color[1:].upper(),
        )
        for index, land in enumerate(plan.scheme.classes)
    ]


def _slug(name: str) -> str:
    """A name of the letters that the extension allows."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name).strip("_") or "class"


def _describe_model(item: pystac.Item, plan: Plan, path: Path) -> None:
    info, scheme = plan.info, plan.scheme
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=f"{scheme.name} {info.model_sha256[:12]}",
        architecture="U-Net",
        tasks=[TaskType.SEMANTIC_SEGMENTATION],
        framework="ONNX" if plan.task.backend == "onnx" else "TensorFlow",
        input=[
            ModelInput.create(
                name="image",
                bands=list(info.bands),
                input=InputStructure.create(
                    [-1, -1, -1, len(info.bands)],
                    ["batch", "height", "width", "bands"],
                    DataType(info.dtype),
                ),
                description=f"Raw pixels of {info.pixel_m} m"
                if info.pixel_m
                else "Raw pixels, of unknown size",
            )
        ],
        output=[
            ModelOutput.create(
                name="logits",
                tasks=[TaskType.SEMANTIC_SEGMENTATION],
                result=ResultStructure.create(
                    [-1, -1, -1, scheme.n_classes],
                    ["batch", "height", "width", "classes"],
                    DataType.FLOAT32,
                ),
                classes=_classes(plan),
            )
        ],
    )
    is_onnx = plan.task.backend == "onnx"
    file = Path(plan.task.model) if is_onnx else locate(plan.task.model) / info.model_file
    item.add_asset(
        "model",
        pystac.Asset(
            _relative(file, path),
            "The model that made the map",
            media_type="application/octet-stream" if is_onnx else "application/vnd.keras",
            roles=["mlm:model"],
            extra_fields={"mlm:artifact_type": "onnx" if is_onnx else "keras.Model.save"},
        ),
    )


def _relative(target: Path, item: Path) -> str:
    """Where something lies, as seen from the item."""
    if is_remote(target):
        return str(target)
    return Path(os.path.relpath(target.absolute(), item.absolute().parent)).as_posix()
