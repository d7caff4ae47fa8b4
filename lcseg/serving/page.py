"""The page at the root, and what it asks for beside tiles.

datasets.json
identify/dover?lon=-75.5&lat=39.1
shares/dover?bbox=-75.6,39.0,-75.4,39.2
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request

from lcseg.classes import ClassScheme
from lcseg.raster.crs import LONLAT
from lcseg.raster.grid import Grid
from lcseg.serving.artist import ZOOM_IN, TooMuchError
from lcseg.serving.dataset import Dataset
from lcseg.serving.layers import TITLES, list_changes, list_layers
from lcseg.serving.places import Place, inspect_place
from lcseg.serving.replies import gallery_of, until_gone
from lcseg.serving.tiling import measure_zooms

router = APIRouter(tags=["page"])

STATIC = Path(__file__).with_name("page")
"""The folder of what the page consists of."""

_VIEW_PX = 768
_EXACT = 6
_PATIENCE = 4
"""A whole screen may take so much more than a tile."""


@router.get("/datasets.json")
async def list_datasets(request: Request) -> dict[str, Any]:
    """What there is to be seen."""
    shown = await gallery_of(request).find_all()
    return {"datasets": [_describe(each.dataset) for each in shown]}


def _describe(dataset: Dataset) -> dict[str, Any]:
    zooms, identifier = measure_zooms(dataset), dataset.id
    return {
        "id": identifier,
        "title": dataset.title,
        "date": dataset.date[:10] or None,
        "beside": dataset.entry.beside or None,
        "bounds": dataset.bounds_lonlat,
        "minzoom": zooms.least,
        "nativezoom": zooms.native,
        "maxzoom": zooms.most,
        "classes": [_name(dataset.scheme, k) for k in range(dataset.scheme.n_classes)],
        "layers": [
            {"name": name, "title": TITLES[name], "minzoom": measure_zooms(dataset, name).least}
            for name in list_layers(dataset)
        ],
        "changes": [
            {"value": value, "name": name, "color": "#{:02X}{:02X}{:02X}".format(*rgb)}
            for value, name, rgb in list_changes(dataset)
        ],
        "suspects": bool(dataset.entry.suspects),
        "links": {
            "xyz": f"tiles/{identifier}/{{layer}}/{{z}}/{{x}}/{{y}}.png",
            "wmts": "wmts/1.0.0/WMTSCapabilities.xml",
            "imageserver": f"arcgis/rest/services/{identifier}/{{layer}}/ImageServer",
        },
    }


@router.get("/identify/{dataset}")
async def identify(
    request: Request,
    dataset: str,
    lon: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False)],
    lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False)],
) -> dict[str, Any]:
    """What the model and the reference say of a place."""
    gallery = gallery_of(request)
    shown = await gallery.find(dataset)
    place = await until_gone(request, inspect_place(gallery.artist, shown, lon, lat, LONLAT))
    scheme, found = shown.dataset.scheme, place.class_index
    return {
        "lon": lon,
        "lat": lat,
        "inside": place.is_inside,
        "class": None if found is None else _name(scheme, found),
        "confidence": None if found is None else round(place.probabilities[found], _EXACT),
        "probabilities": [
            {**_name(scheme, k), "probability": round(share, _EXACT)}
            for k, share in enumerate(place.probabilities)
        ],
        "label": None if place.label_index is None else _name(scheme, place.label_index),
        "change": _say_change(shown.dataset, place),
    }


def _say_change(dataset: Dataset, place: Place) -> dict[str, Any] | None:
    if place.transition is None or dataset.changes is None:
        return None
    probability = place.change_probability
    return {
        **_name(dataset.changes.scheme, place.transition),
        "changed": place.transition in dataset.changes.pixels,
        "probability": None if probability is None else round(probability, _EXACT),
    }


@router.get("/shares/{dataset}")
async def measure_shares(request: Request, dataset: str, bbox: str) -> dict[str, Any]:
    """The share of each class in a box of longitude and latitude, of what is mapped in it."""
    gallery = gallery_of(request)
    shown = await gallery.find(dataset)
    grid = _make_grid(bbox, shown.dataset.bounds_lonlat)
    try:
        class_hw = await until_gone(request, gallery.artist.classify(shown, grid, _PATIENCE))
    except TooMuchError:
        return {"shares": [], "note": ZOOM_IN.replace(" ", "-")}
    n_classes = shown.dataset.scheme.n_classes
    counts = np.bincount(class_hw.ravel(), minlength=n_classes)[:n_classes]
    total = max(int(counts.sum()), 1)
    shares = [{"value": k, "share": int(n) / total} for k, n in enumerate(counts)]
    return {"shares": shares, "note": None}


def _make_grid(bbox: str, bounds: tuple[float, float, float, float]) -> Grid:
    """A picture of what a box shares with some bounds, its longer side of some hundred pixels.

    Of a whole continent the scene would be a pixel or two, whose classes are those of overviews.
    """
    try:
        west, south, east, north = (float(part) for part in bbox.split(","))
    except ValueError:
        raise HTTPException(400, "bbox is west,south,east,north in degrees") from None
    is_box = all(map(math.isfinite, (west, south, east, north)))
    if not (is_box and -360 <= west < east <= 360 and -90 <= south < north <= 90):
        raise HTTPException(400, "bbox is west,south,east,north in degrees")
    shared = (
        max(west, bounds[0]),
        max(south, bounds[1]),
        min(east, bounds[2]),
        min(north, bounds[3]),
    )
    if shared[0] < shared[2] and shared[1] < shared[3]:
        west, south, east, north = shared
    narrow = math.cos(math.radians((south + north) / 2)) or 1.0
    across, down = (east - west) * abs(narrow), north - south
    longest = max(across, down)
    width, height = (max(round(_VIEW_PX * side / longest), 1) for side in (across, down))
    pixel = (east - west) / width, (north - south) / height
    return Grid(height, width, (pixel[0], 0.0, west, 0.0, -pixel[1], north), LONLAT)


def _name(scheme: ClassScheme, index: int) -> dict[str, Any]:
    land = scheme.classes[index]
    return {"value": index, "name": land.name, "color": land.color}
