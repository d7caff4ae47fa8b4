"""How ArcGIS services describe themselves, what is in them, and how it looks.

describe_image(dataset, "classes")             # of …/rest/services/dover/classes/ImageServer
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from lcseg.classes import IGNORE
from lcseg.raster.probabilities import PROBABILITY_ONE
from lcseg.serving.dataset import Dataset
from lcseg.serving.esri import (
    MAX_SIDE_PX,
    VERSION,
    WEB_MERCATOR,
    make_grid,
    say_extent,
    say_reference,
)
from lcseg.serving.layers import THEMATIC_LAYERS, TITLES, list_entries, list_layers, say_title
from lcseg.serving.pictures import Picture, encode
from lcseg.serving.tiling import HALF_WORLD_M, TILE_PX, measure_zooms

_DPI = 96
_INCH_M = 0.0254
_SWATCH_PX = 20


def list_services(dataset: Dataset) -> list[dict[str, str]]:
    """The services of a data set, as its folder lists them."""
    kinds = ("ImageServer", "MapServer")
    layers = list_layers(dataset)
    return [{"name": f"{dataset.id}/{name}", "type": kind} for name in layers for kind in kinds]


def describe_image(dataset: Dataset, layer: str) -> dict[str, Any]:
    """An image service; see "Image Service" in the ArcGIS REST API."""
    service = _describe_service(dataset, layer)
    extent = service["extent"]
    pixel_x = (extent["xmax"] - extent["xmin"]) / dataset.grid.width
    is_thematic = layer in THEMATIC_LAYERS
    n_bands = 1 if is_thematic or layer == "confidence" else 3
    kind = "Thematic" if is_thematic else "Generic"
    values = {"minValues": [0] * n_bands, "maxValues": [_find_highest(dataset, layer)] * n_bands}
    # White is no lack of data.
    nothing = {"noDataValue": IGNORE} if n_bands == 1 else {}
    return (
        service
        | values
        | nothing
        | {
            "serviceDataType": f"esriImageServiceDataType{kind}",
            "pixelSizeX": pixel_x,
            "pixelSizeY": (extent["ymax"] - extent["ymin"]) / dataset.grid.height,
            "bandCount": n_bands,
            "pixelType": "U8",
            "capabilities": "Image,Metadata,Pixels",
            "defaultResamplingMethod": "Nearest",
            "hasRasterAttributeTable": is_thematic,
            "hasColormap": is_thematic,
            "hasHistograms": False,
            "hasMultidimensions": False,
            "allowRasterFunction": False,
            "rasterFunctionInfos": [],
            "singleFusedMapCache": False,
            "maxImageWidth": MAX_SIDE_PX,
            "maxImageHeight": MAX_SIDE_PX,
            "exportTilesAllowed": False,
            "mensurationCapabilities": "",
        }
    )


def describe_map(dataset: Dataset, layer: str) -> dict[str, Any]:
    """A map service of one layer; see "Map Service" in the ArcGIS REST API."""
    service = _describe_service(dataset, layer)
    return service | {
        "mapName": service["description"],
        "layers": [
            {
                "id": 0,
                "name": TITLES[layer],
                "parentLayerId": -1,
                "defaultVisibility": True,
                "subLayerIds": None,
                "minScale": 0,
                "maxScale": 0,
                "type": "Raster Layer",
            }
        ],
        "tables": [],
        "singleFusedMapCache": True,
        "units": "esriMeters",
        "capabilities": "Map,Query",
        "maxImageWidth": MAX_SIDE_PX,
        "maxImageHeight": MAX_SIDE_PX,
        "exportTilesAllowed": False,
    }


def describe_layer(dataset: Dataset, layer: str) -> dict[str, Any]:
    """The one layer of a map service."""
    service = _describe_service(dataset, layer)
    return {
        "currentVersion": VERSION,
        "id": 0,
        "name": TITLES[layer],
        "type": "Raster Layer",
        "description": service["description"],
        "extent": service["extent"],
        "minScale": 0,
        "maxScale": 0,
        "defaultVisibility": True,
        "capabilities": "Map,Query",
    }


def describe_table(dataset: Dataset, layer: str) -> dict[str, Any]:
    """The raster attribute table."""
    fields = [{"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"}]
    fields += [
        {"name": name, "type": f"esriFieldType{kind}", "alias": name}
        for name, kind in (
            ("Value", "Integer"),
            ("ClassName", "String"),
            ("Red", "Integer"),
            ("Green", "Integer"),
            ("Blue", "Integer"),
        )
    ]
    features = [
        {
            "attributes": {
                "OBJECTID": value,
                "Value": value,
                "ClassName": name,
                "Red": color[0],
                "Green": color[1],
                "Blue": color[2],
            }
        }
        for value, name, color in list_entries(dataset, layer)
    ]
    return {"objectIdFieldName": "OBJECTID", "fields": fields, "features": features}


def describe_colors(dataset: Dataset, layer: str) -> dict[str, Any]:
    """The colours of the classes."""
    return {"colormap": [[value, *rgb] for value, _, rgb in list_entries(dataset, layer)]}


def describe_properties(dataset: Dataset, layer: str) -> dict[str, Any]:
    """What else is known."""
    date = {"AcquisitionDate": dataset.date} if dataset.date else {}
    kind = "Thematic" if layer in THEMATIC_LAYERS else "Generic"
    return {"DataType": kind, "BandProperties": [{"BandName": layer}], **date}


def describe_legend(dataset: Dataset, layer: str) -> dict[str, Any]:
    """The classes, as pictures."""
    legend = []
    entries = list_entries(dataset, "classes" if layer == "soft" else layer)
    nothing = np.zeros((_SWATCH_PX, _SWATCH_PX), np.uint8)
    for value, name, rgb in entries:
        swatch = Picture(nothing, np.array([rgb], np.uint8))
        legend.append(
            {
                "label": name,
                "url": f"{layer}-{value}",
                "imageData": base64.b64encode(encode(swatch, "png")).decode(),
                "contentType": "image/png",
                "height": _SWATCH_PX,
                "width": _SWATCH_PX,
                "values": [value],
            }
        )
    return {
        "layers": [
            {
                "layerId": 0,
                "layerName": say_title(dataset, layer),
                "layerType": "Raster Layer",
                "minScale": 0,
                "maxScale": 0,
                "legend": legend,
            }
        ]
    }


def _describe_service(dataset: Dataset, layer: str) -> dict[str, Any]:
    """What an image service and a map service say of themselves alike."""
    crs = f"EPSG:{WEB_MERCATOR}"
    grid = dataset.grid
    box = make_grid(grid.bounds(), (1, 1), grid.crs or crs, crs)
    extent = say_extent(box)
    return {
        "currentVersion": VERSION,
        "name": f"{dataset.id}/{layer}",
        "description": say_title(dataset, layer),
        "serviceDescription": say_title(dataset, layer),
        "copyrightText": "",
        "extent": extent,
        "initialExtent": extent,
        "fullExtent": extent,
        "spatialReference": extent["spatialReference"],
        "supportedImageFormatTypes": "PNG,PNG8,PNG24,PNG32,JPG,JPGPNG,TIFF",
        "tileInfo": _describe_tiles(dataset),
    }


def _find_highest(dataset: Dataset, layer: str) -> int:
    if layer in THEMATIC_LAYERS:
        return max((value for value, _, _ in list_entries(dataset, layer)), default=0)
    return PROBABILITY_ONE if layer == "confidence" else 255


def _describe_tiles(dataset: Dataset) -> dict[str, Any]:
    resolutions = [
        2 * HALF_WORLD_M / TILE_PX / 2**z for z in range(measure_zooms(dataset).most + 1)
    ]
    return {
        "rows": TILE_PX,
        "cols": TILE_PX,
        "dpi": _DPI,
        "format": "PNG",
        "compressionQuality": 0,
        "origin": {"x": -HALF_WORLD_M, "y": HALF_WORLD_M},
        "spatialReference": say_reference(f"EPSG:{WEB_MERCATOR}"),
        "lods": [
            {"level": z, "resolution": pixel, "scale": pixel * _DPI / _INCH_M}
            for z, pixel in enumerate(resolutions)
        ],
    }
