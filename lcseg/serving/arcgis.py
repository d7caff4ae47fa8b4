"""The ArcGIS REST API: image and map services, for ArcGIS Pro, ArcGIS Online and QGIS.

arcgis/rest/services/dover/classes/ImageServer/exportImage?bbox=…&size=800,600&f=image
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from lcseg.classes import IGNORE
from lcseg.raster.cog import CogProfile, class_map_profile
from lcseg.raster.geotiff import encode_geotiff
from lcseg.raster.grid import Grid
from lcseg.serving import esri, services
from lcseg.serving.dataset import Dataset
from lcseg.serving.esri import EsriError
from lcseg.serving.layers import list_entries, say_title
from lcseg.serving.pictures import Picture, encode
from lcseg.serving.places import inspect_place, make_point
from lcseg.serving.replies import (
    base_url,
    find_layer,
    gallery_of,
    reply_picture,
    until_gone,
)
from lcseg.serving.tiling import tile_grid

router = APIRouter(prefix="/arcgis/rest", tags=["arcgis"])

_FORMATS = dict.fromkeys(("", "png", "png8", "png24", "png32", "jpgpng"), "png")
_FORMATS |= {"jpg": "jpeg", "tiff": "tiff"}


async def read_keys(request: Request) -> dict[str, str]:
    """The parameters of a request, by name in small letters, from its address and its form."""
    values = dict(request.query_params)
    if request.method == "POST":
        form = await request.form(max_files=0, max_fields=100)
        values |= {key: value for key, value in form.items() if isinstance(value, str)}
    return {key.lower(): value for key, value in values.items()}


Keys = Annotated[dict[str, str], Depends(read_keys)]


def _reply(values: dict[str, Any], keys: dict[str, str]) -> Response:
    pretty = 2 if keys.get("f") == "pjson" else None
    return Response(json.dumps(values, indent=pretty), media_type="application/json")


@router.get("/info")
async def show_info(keys: Keys) -> Response:
    """What clients ask first."""
    return _reply(
        {"currentVersion": esri.VERSION, "authInfo": {"isTokenBasedSecurity": False}}, keys
    )


@router.get("/services")
@router.get("/services/", include_in_schema=False)
async def list_folders(request: Request, keys: Keys) -> Response:
    """A folder for each data set."""
    folders = list(gallery_of(request).entries)
    return _reply({"currentVersion": esri.VERSION, "folders": folders, "services": []}, keys)


@router.get("/services/{dataset}")
@router.get("/services/{dataset}/", include_in_schema=False)
async def list_services(request: Request, dataset: str, keys: Keys) -> Response:
    """The services of a data set, two for each layer."""
    found = (await find_layer(request, dataset, "imagery")).dataset
    listed = services.list_services(found)
    return _reply({"currentVersion": esri.VERSION, "folders": [], "services": listed}, keys)


def _describe(path: str, describe: Callable[[Dataset, str], dict[str, Any]], purpose: str) -> None:
    """Add a resource that is a function of a data set and a layer."""

    async def show(request: Request, dataset: str, layer: str, keys: Keys) -> Response:
        found = (await find_layer(request, dataset, layer)).dataset
        return _reply(describe(found, layer), keys)

    show.__doc__ = purpose
    # esri-leaflet writes a slash at the end.
    for end in ("", "/"):
        whole = f"/services/{{dataset}}/{{layer}}/{path}{end}"
        router.add_api_route(whole, show, name=path, include_in_schema=not end)


for _path, _describer, _purpose in (
    ("ImageServer", services.describe_image, "An image service."),
    ("ImageServer/rasterAttributeTable", services.describe_table, "The classes."),
    ("ImageServer/colormap", services.describe_colors, "The colours of the classes."),
    ("ImageServer/keyProperties", services.describe_properties, "What else is known."),
    ("ImageServer/legend", services.describe_legend, "The classes, as pictures."),
    ("MapServer", services.describe_map, "A map service."),
    ("MapServer/0", services.describe_layer, "The layer of a map service."),
    ("MapServer/legend", services.describe_legend, "The classes, as pictures."),
):
    _describe(_path, _describer, _purpose)


async def export(request: Request, dataset: str, layer: str, keys: Keys) -> Response:
    """A picture of a box: of any size, in any CRS; as TIFF, what the pixels mean."""
    shown = await find_layer(request, dataset, layer)
    # PROJ takes up to half a second for references that it has not met.
    grid = await gallery_of(request).artist.run(lambda: _parse_grid(keys, shown.dataset))
    if keys.get("f", "image") != "image":
        return _reply(_refer(request, keys, grid), keys)
    wanted = keys.get("format", "").lower()
    if wanted not in _FORMATS:
        raise EsriError(f"format is one of {', '.join(filter(None, _FORMATS))}")
    kind = _FORMATS[wanted]
    write = encode if kind != "tiff" else _geotiff_writer(shown.dataset, layer, grid)
    return await reply_picture(request, shown, layer, grid, kind, write)


def _parse_grid(keys: dict[str, str], dataset: Dataset) -> Grid:
    """The grid of the picture that is asked for."""
    box_crs, crs = (
        esri.parse_reference(keys.get(key, ""), dataset) for key in ("bboxsr", "imagesr")
    )
    if "bbox" not in keys:
        raise EsriError("bbox is missing")
    box, size = esri.parse_bbox(keys["bbox"]), esri.parse_size(keys.get("size", ""))
    return esri.make_grid(box, size, box_crs, crs)


def _refer(request: Request, keys: dict[str, str], grid: Grid) -> dict[str, Any]:
    """Where the picture lies that was asked for."""
    kept = ("bbox", "bboxsr", "imagesr", "size", "format")
    wanted = {key: keys[key] for key in kept if key in keys} | {"f": "image"}
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return {
        "href": f"{base_url(request)}{path}?{urlencode(wanted)}",
        "width": grid.width,
        "height": grid.height,
        "extent": esri.say_extent(grid),
        "scale": 0,
    }


def _geotiff_writer(dataset: Dataset, layer: str, grid: Grid) -> Callable[[Picture, str], bytes]:
    def write(picture: Picture, _: str) -> bytes:
        if picture.note:
            raise EsriError(f"this takes too much: {picture.note}, or ask for less")
        if layer in ("classes", "labels") and picture.palette is not None:
            return encode_geotiff(picture.values, grid, class_map_profile(dataset.scheme))
        if layer == "change" and dataset.changes and picture.palette is not None:
            return encode_geotiff(picture.values, grid, class_map_profile(dataset.changes.scheme))
        if picture.palette is not None:
            return encode_geotiff(picture.values, grid, CogProfile("uint8", (layer,), IGNORE))
        profile = CogProfile("uint8", ("red", "green", "blue", "alpha"))
        return encode_geotiff(picture.rgba, grid, profile)

    return write


async def identify(request: Request, dataset: str, layer: str, keys: Keys) -> Response:
    """What the layer says of a place, and what the model says of it."""
    shown = await find_layer(request, dataset, layer)
    artist = gallery_of(request).artist
    x, y, crs = await artist.run(
        lambda: esri.parse_point(keys.get("geometry", ""), keys.get("sr", ""), shown.dataset)
    )
    picture = await until_gone(request, artist.draw(shown, layer, make_point(x, y, crs)))
    place = await until_gone(request, inspect_place(artist, shown, x, y, crs))
    value, name = _read_value(picture, list_entries(shown.dataset, layer))
    names = shown.dataset.scheme.names
    shares = dict(zip(names, place.probabilities, strict=True)) if place.probabilities else {}
    attributes = {"Pixel Value": value, "ClassName": name, **shares}
    if place.transition is not None and shown.dataset.changes:
        # Also of what is stable, which the layer does not show.
        attributes["Transition"] = shown.dataset.changes.scheme.names[place.transition]
        attributes["Probability of change"] = place.change_probability
    title = say_title(shown.dataset, layer)
    return _reply(
        {
            "objectId": 0,
            "name": "Pixel",
            "value": value,
            "location": {"x": x, "y": y, "spatialReference": esri.say_reference(crs)},
            "properties": {"Values": [value], "ClassName": name, "Probabilities": shares},
            "catalogItems": None,
            "catalogItemVisibilities": [],
            # As map services answer, which QGIS expects of both.
            "results": [
                {
                    "layerId": 0,
                    "layerName": title,
                    "displayFieldName": "ClassName",
                    "value": value,
                    "attributes": attributes,
                }
            ],
        },
        keys,
    )


def _read_value(
    picture: Picture, entries: list[tuple[int, str, tuple[int, int, int]]]
) -> tuple[str, str | None]:
    """The value of a picture of one pixel, and its name if it has one."""
    values = picture.values[0, 0]
    if picture.palette is None:
        *colors, opaque = values.tolist()
        return (" ".join(map(str, colors)) if opaque else "NoData"), None
    if values == IGNORE:
        return "NoData", None
    return str(values), next((name for index, name, _ in entries if index == values), None)


@router.get("/services/{dataset}/{layer}/ImageServer/tile/{z}/{row}/{col}", response_class=Response)
@router.get("/services/{dataset}/{layer}/MapServer/tile/{z}/{row}/{col}", response_class=Response)
async def show_tile(
    request: Request, dataset: str, layer: str, z: int, row: int, col: int
) -> Response:
    """A tile of 256 px in Web Mercator; the row comes first."""
    shown = await find_layer(request, dataset, layer)
    return await reply_picture(request, shown, layer, tile_grid(z, col, row), "png")


for _path, _answer in (
    ("ImageServer/exportImage", export),
    ("MapServer/export", export),
    ("ImageServer/identify", identify),
    ("MapServer/identify", identify),
):
    for _method in ("GET", "POST"):
        router.add_api_route(
            f"/services/{{dataset}}/{{layer}}/{_path}",
            _answer,
            methods=[_method],
            name=f"{_path} by {_method}",
            response_class=Response,
        )


def reply_error(message: str, status: int) -> Response:
    """An error as ArcGIS says it."""
    return JSONResponse(
        {"error": {"code": status, "message": message, "details": []}}, status_code=status
    )
