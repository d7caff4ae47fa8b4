"""WMTS 1.0.0, by paths (REST) and by keys (KVP): what QGIS and ArcGIS ask for.

wmts/1.0.0/WMTSCapabilities.xml
wmts?SERVICE=WMTS&REQUEST=GetTile&LAYER=dover.classes&TILEMATRIXSET=WebMercatorQuad&…
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from lcseg.pages import page_environment
from lcseg.serving.dataset import Dataset
from lcseg.serving.gallery import UnknownError
from lcseg.serving.layers import list_layers, say_title
from lcseg.serving.replies import base_url, find_layer, gallery_of, reply_picture
from lcseg.serving.tiling import TMS, TMS_ID, list_limits, measure_zooms, tile_grid

router = APIRouter(prefix="/wmts", tags=["wmts"])

_STYLE = "default"
_INVALID = "InvalidParameterValue"


class KeyValueError(Exception):
    """A request by keys that is none; WMTS has an answer of its own for it.

    Args:
        code: of the OWS exception.
        key: the parameter at fault.
    """

    def __init__(self, code: str, key: str) -> None:
        super().__init__(code, key)
        self.code, self.key = code, key

    def reply(self) -> Response:
        """The exception report."""
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ExceptionReport xmlns="http://www.opengis.net/ows/1.1" version="1.1.0">'
            f'<Exception exceptionCode="{self.code}" locator="{self.key}"/></ExceptionReport>\n'
        )
        return Response(body, status_code=400, media_type="application/xml")


@router.get("/1.0.0/WMTSCapabilities.xml", response_class=Response)
async def show_capabilities(request: Request) -> Response:
    """All layers of all data sets."""
    layers, closest = [], 0
    for shown in await gallery_of(request).find_all():
        dataset = shown.dataset
        closest = max(closest, measure_zooms(dataset).most)
        layers += [_describe(dataset, layer) for layer in list_layers(dataset)]
    text = (
        page_environment("lcseg.serving")
        .get_template("wmts.xml")
        .render(
            base=base_url(request),
            layers=layers,
            tms=TMS_ID,
            # GDAL takes the last one for the resolution of all layers.
            matrices=TMS.tileMatrices[: closest + 1],
        )
    )
    return Response(text, media_type="application/xml")


def _describe(dataset: Dataset, layer: str) -> dict[str, Any]:
    zooms = measure_zooms(dataset, layer)
    spans = range(zooms.least, zooms.most + 1)
    return {
        "id": f"{dataset.id}.{layer}",
        "title": say_title(dataset, layer),
        "bounds": dataset.bounds_lonlat,
        "limits": [(zoom, list_limits(dataset, zoom)) for zoom in spans],
    }


@router.get("/1.0.0/{layer}/{style}/{tms}/{z}/{row}/{col}.png", response_class=Response)
async def show(
    request: Request, layer: str, style: str, tms: str, z: int, row: int, col: int
) -> Response:
    """A tile, by path."""
    if style != _STYLE or tms != TMS_ID:
        raise UnknownError
    return await _reply(request, layer, z, row, col)


@router.get("", response_class=Response)
async def answer_keys(request: Request) -> Response:
    """GetCapabilities and GetTile, by keys in any case."""
    keys = {key.lower(): value for key, value in request.query_params.items()}
    if keys.get("service", "WMTS").upper() != "WMTS":
        raise KeyValueError(_INVALID, "service")
    wanted = keys.get("request", "GetCapabilities").lower()
    if wanted == "getcapabilities":
        return await show_capabilities(request)
    if wanted != "gettile":
        raise KeyValueError("OperationNotSupported", "request")
    for key, value in (("tilematrixset", TMS_ID), ("style", _STYLE), ("format", "image/png")):
        if keys.get(key, "") not in ("", value):
            raise KeyValueError(_INVALID, key)
    numbers = []
    for key in ("tilematrix", "tilerow", "tilecol"):
        text = keys.get(key, "").rpartition(":")[2]
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise KeyValueError(_INVALID if key in keys else "MissingParameterValue", key)
        numbers.append(int(text))
    try:
        return await _reply(request, keys.get("layer", ""), *numbers)
    except UnknownError as error:
        raise KeyValueError(*await _find_fault(request, keys.get("layer", ""))) from error


async def _reply(request: Request, layer: str, z: int, row: int, col: int) -> Response:
    dataset, _, name = layer.rpartition(".")
    shown = await find_layer(request, dataset, name)
    return await reply_picture(request, shown, name, tile_grid(z, col, row), "png")


async def _find_fault(request: Request, layer: str) -> tuple[str, str]:
    """Whether a tile that is not there lacks its layer or lies beyond it."""
    dataset, _, name = layer.rpartition(".")
    try:
        await find_layer(request, dataset, name)
    except UnknownError:
        return _INVALID if layer else "MissingParameterValue", "layer"
    return "TileOutOfRange", "tilerow"
