"""Land cover by a model of lcseg: a raster function of ArcGIS Pro, and of its deep learning tools.

ArcGIS makes the object and calls, in this order:

    initialize(model="model.emd", device=-1)       # the tools alone
    getParameterInfo()
    getConfiguration(output_type="Hardmax", …)
    updateRasterInfo(raster_info=…, output_info=…, …)
    updatePixels(tlc, shape, props, raster_pixels=…, raster_mask=…)    # for each block

What it must know of the model stands in the EMD. It takes numpy, and onnxruntime or an `lcseg
serve` that predicts in its place. The map is that of `lcseg predict`, whatever blocks are asked
for: the network's windows begin at multiples of its stride from the raster's own corner, what lies
beyond the raster is its mirror image, and what is not valid is 0 in every band.
"""

from __future__ import annotations

import io
import json
import logging
import math
from pathlib import Path
from typing import Any
from urllib import request

import numpy as np

_LOG = logging.getLogger("lcseg")

_EMD = "model.emd"
_NO_DATA = 255
_CELL_TOLERANCE = 0.25
_TIMEOUT_S = 300
_QUIET = 3
"""Of onnxruntime's log, errors alone."""

_GEOGRAPHIC = range(4001, 5000)
_WEB_MERCATOR = (3857, 102100, 102113, 900913)
_DEGREE_M, _RADIUS_M = 111_320.0, 6_378_137.0

_OUTPUTS = ("Hardmax", "Softmax")
_PARAMETERS = (
    ("raster", "raster", None, "Raster", "Imagery like that of training."),
    ("model", "string", "", "Model (EMD)", f"Path of an .emd; empty: {_EMD} beside the function."),
    ("device", "numeric", -1, "Device", "-1: the processor; 0 and more: a GPU, if there is one."),
    ("output_type", "string", "Hardmax", "Output", "The likeliest class, or class colours, mixed."),
    ("server_url", "string", "", "Server", "An lcseg serve that predicts; empty: this computer."),
    ("metres_per_unit", "numeric", 0, "Metres per map unit", "As 0.3048 for feet; 0: metres."),
)
"""Name, type, default, title and description of each."""


class LcsegClassifier:
    """The function; ArcGIS finds it by the name of its module."""

    def __init__(self) -> None:
        self.name = "Land cover (lcseg)"
        self.description = "Land cover by a network that lcseg has trained."
        self._is_initialized = self._is_soft = False
        self._metres_per_unit = 0.0
        self._problem = ""

    def initialize(self, **kwargs: Any) -> None:
        """Take what the deep learning tools know at first: the EMD, as a path or as its text."""
        if kwargs.get("model"):
            self._load(kwargs["model"], kwargs.get("device"))
            self._is_initialized = True

    def getParameterInfo(self) -> list[dict[str, Any]]:
        """What the user may choose."""
        keys = ("name", "dataType", "value", "displayName", "description")
        infos: list[dict[str, Any]] = [dict(zip(keys, row)) for row in _PARAMETERS]
        for info in infos:
            info["required"] = info["name"] == "raster"
            if info["name"] == "output_type":
                info["domain"] = _OUTPUTS
        return infos

    def getConfiguration(self, **scalars: Any) -> dict[str, Any]:
        """What is to be read around a block, and how."""
        if not self._is_initialized:
            beside = Path(__file__).with_name(_EMD)
            self._load(scalars.get("model") or beside, scalars.get("device"))
        output, url = scalars.get("output_type") or _OUTPUTS[0], scalars.get("server_url")
        if output not in _OUTPUTS:
            raise ValueError(f"lcseg: output_type is {output}, expected {' or '.join(_OUTPUTS)}")
        self._is_soft = output == _OUTPUTS[1]
        self._metres_per_unit = float(scalars.get("metres_per_unit") or 0)
        self._backend = _Server(url, self._about, len(self._palette)) if url else self._onnx
        return {
            "extractBands": tuple(self._emd["ExtractBands"]),
            "padding": self._emd["Padding"],
            "tx": self._tile_px,
            "ty": self._tile_px,
            "fixedTileSize": 0,
            "batch_size": 1,
            # The place alone: with the raster's NoData, which may be 0, the first class would go.
            "inheritProperties": 4,
            "invalidateProperties": 2 | 4 | 8,
            "inputMask": True,
            # The raster's own pixels are asked for, however far the map is zoomed out.
            "resampling": False,
        }

    def updateRasterInfo(self, **kwargs: Any) -> dict[str, Any]:
        """Refuse a raster that is not like those of training, and say what comes out."""
        self._raster = raster = kwargs["raster_info"]
        dtype, bands = np.dtype(self._about["dtype"]), self._about["bands"]
        problem = self._judge_cells(raster)
        if raster["pixelType"] != dtype.str[1:]:
            problem = f"pixels are {raster['pixelType']}, those of training {dtype.str[1:]}"
        if raster["bandCount"] < len(bands):
            problem = f"{raster['bandCount']} bands, the model takes {', '.join(bands)}"
        if problem:
            raise ValueError(f"lcseg: this raster is not like those of training: {problem}")
        output = kwargs["output_info"]
        output.update(pixelType="u1", histogram=(), statistics=(), colormap=())
        if self._is_soft:
            # Without them the colours would be stretched.
            output.update(bandCount=3, statistics=({"minimum": 0.0, "maximum": 255.0},) * 3)
            return kwargs
        values = np.arange(len(self._palette), dtype="i4")
        output.update(
            bandCount=1,
            noData=np.array([_NO_DATA], "u1"),
            colormap=(values, *self._palette.T),
            rasterAttributeTable=json.dumps(_tabulate(self._emd["Classes"])),
        )
        return kwargs

    def updatePixels(
        self, tlc: Any, shape: Any, props: dict[str, Any], **pixelBlocks: Any
    ) -> dict[str, Any]:
        """Predict a block.

        Args:
            tlc: column and row of its first pixel in the raster of `props`, without padding.
            shape: of the block, without padding: (rows, columns) or (bands, rows, columns).
            props: of the raster that is asked for: `extent`, `cellSize`, `spatialReference`.
            pixelBlocks: `raster_pixels` and `raster_mask`, [bands, rows, columns] with padding.
        """
        problem = self._judge_cells(props)
        if problem and problem != self._problem:
            _LOG.warning("lcseg: nothing is predicted: %s", problem)
        self._problem = problem
        answer_hwc = np.zeros((*shape[-2:], 3 if self._is_soft else 1), "u1")
        valid_hw = np.zeros(shape[-2:], bool)
        if not problem:
            image_hwc, have_hw = self._clean(**pixelBlocks)
            down, across = self._locate(tlc, props, shape[-2:], have_hw.shape)
            valid_hw = have_hw[down.own, across.own] & np.outer(down.is_inside, across.is_inside)
            self._fill(answer_hwc, image_hwc, valid_hw, down, across)
        answer_hwc[~valid_hw] = 0 if self._is_soft else _NO_DATA
        answer = np.moveaxis(answer_hwc, -1, 0).reshape(shape)
        pixelBlocks["output_pixels"] = answer.astype(props["pixelType"])
        pixelBlocks["output_mask"] = np.array(np.broadcast_to(valid_hw, shape), "u1")
        return pixelBlocks

    def updateKeyMetadata(self, names: Any, bandIndex: int, **keyMetadata: Any) -> dict[str, Any]:
        """Say what the pixels are, by which model they are, and which cells it takes."""
        if bandIndex == -1:
            keyMetadata["datatype"] = "Processed" if self._is_soft else "Thematic"
            keyMetadata["lcseg_model"] = self._about["model_sha256"]
            keyMetadata["lcseg_problem"] = self._problem
        else:
            keyMetadata["wavelengthmin"] = keyMetadata["wavelengthmax"] = None
            names = ("Red", "Green", "Blue") if self._is_soft else ("Class",)
            keyMetadata["bandname"] = names[bandIndex]
        return keyMetadata

    def _load(self, model: Any, device: Any) -> None:
        """Read an EMD; relative paths in one that is given as text are of this file's folder."""
        folder, text = Path(__file__).parent, str(model)
        if not text.lstrip().startswith("{"):
            folder = Path(text).parent
            try:
                text = Path(text).read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                fix = "give the path of the .emd that lcseg export wrote"
                raise ValueError(f"lcseg: {model} cannot be read as a model; {fix}") from error
        emd = json.loads(text)
        if "Lcseg" not in emd:
            raise ValueError("lcseg: the model is not one that lcseg export wrote")
        self._emd, self._about = emd, emd["Lcseg"]
        self._palette = np.array([row["Color"] for row in emd["Classes"]], "u1")
        self._tile_px = emd["ImageWidth"] - 2 * emd["Padding"]
        self._onnx = _Onnx(folder / emd["ModelFile"], self._about, device)

    def _judge_cells(self, grid: dict[str, Any]) -> str:
        """What is wrong with the cells of a raster; empty: nothing."""
        pixel_m, cell_m = self._about["pixel_m"], _measure_cell(grid, self._metres_per_unit)
        if not pixel_m or abs(math.log(cell_m / pixel_m)) <= math.log1p(_CELL_TOLERANCE):
            return ""
        return (
            f"cells are {cell_m:.4g} m, those of training {pixel_m:.4g} m; zoom in, resample it, "
            "or set metres_per_unit if the map is not in metres"
        )

    def _locate(self, tlc: Any, props: dict[str, Any], own: Any, have: Any) -> tuple[_Axis, _Axis]:
        """Where a block is on the raster's own grid, down and across.

        Args:
            tlc: its first pixel in the raster of `props`, which may be a part of the whole.
            props: as of `updatePixels`.
            own: rows and columns of the block.
            have: the same with padding.
        """
        part, (width, height) = props["extent"], props["cellSize"]
        is_same = props.get("spatialReference") == self._raster.get("spatialReference")
        whole = self._raster["extent"] if is_same else part
        row, rows = (whole[3] - part[3]) / height + tlc[1], (whole[3] - whole[1]) / height
        col, cols = (part[0] - whole[0]) / width + tlc[0], (whole[2] - whole[0]) / width
        return (
            _Axis(round(row), own[0], have[0], round(rows)),
            _Axis(round(col), own[1], have[1], round(cols)),
        )

    def _clean(
        self, raster_pixels: np.ndarray, raster_mask: Any = None, **_: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [H, W, C] that are 0 where they are not valid, and where they are, bool [H, W].

        As to lcseg, a pixel is missing where all of its bands are, and of floats, where any is.
        """
        dtype, bands = np.dtype(self._about["dtype"]), self._emd["ExtractBands"]
        raster_pixels = raster_pixels.reshape(-1, *raster_pixels.shape[-2:])  # One band is flat.
        if raster_pixels.dtype != dtype or len(raster_pixels) != len(bands):
            found = f"{raster_pixels.dtype} {list(raster_pixels.shape)}"
            raise ValueError(f"lcseg: pixels are {found}, expected {dtype} [{len(bands)}, …]")
        is_missing = np.zeros(raster_pixels.shape, bool)
        if raster_mask is not None:
            is_missing |= np.asarray(raster_mask) == 0
        nodata = self._raster.get("noData")
        values = [] if nodata is None else np.ravel(nodata).tolist()
        for index, band in enumerate(bands if values else ()):
            is_missing[index] |= raster_pixels[index] == values[min(band, len(values) - 1)]
        if dtype.kind == "f":
            valid_hw = ~(is_missing | ~np.isfinite(raster_pixels)).any(axis=0)
        else:
            valid_hw = ~is_missing.all(axis=0)
        return np.where(valid_hw, raster_pixels, dtype.type(0)).transpose(1, 2, 0), valid_hw

    def _fill(
        self,
        answer_hwc: np.ndarray,
        image_hwc: np.ndarray,
        valid_hw: np.ndarray,
        down: _Axis,
        across: _Axis,
    ) -> None:
        """Fill a block with what the network says, which is asked by tiles of bounded size."""
        halo_px, stride_px = self._about["halo_px"], self._about["stride_px"]
        for rows in down.cut(valid_hw.any(axis=1), self._tile_px, stride_px):
            for cols in across.cut(valid_hw.any(axis=0), self._tile_px, stride_px):
                place = down.place(rows), across.place(cols)
                if valid_hw[place].any():
                    around = down.mirror(rows, halo_px), across.mirror(cols, halo_px)
                    logits_hwk = self._backend.predict(image_hwc[np.ix_(*around)])
                    own = down.answer(rows, halo_px), across.answer(cols, halo_px)
                    answer_hwc[place] = self._encode(logits_hwk[own])

    def _encode(self, logits_hwk: np.ndarray) -> np.ndarray:
        """Class indices, or class colours mixed by probability, uint8 [H, W, bands]."""
        if not self._is_soft:
            return logits_hwk.argmax(axis=-1)[..., None].astype("u1")
        powers = np.exp(logits_hwk - logits_hwk.max(axis=-1, keepdims=True))
        mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ self._palette.astype("f4")
        return np.rint(mixed).astype("u1")


class _Axis:
    """Rows or columns of a block, in pixels of the raster's own grid."""

    def __init__(self, start: int, count: int, have: int, size: int) -> None:
        self._start, self._end = start, start + count
        self._pad, self._have, self._size = (have - count) // 2, have, size
        self.own = slice(self._pad, self._pad + count)
        places = np.arange(start, start + count)
        self.is_inside = (places >= 0) & (places < size)

    def cut(self, is_wanted: Any, tile_px: int, stride_px: int) -> list[range]:
        """Tiles that begin and end at multiples of the stride and hold all that is wanted."""
        wanted = self._start + np.flatnonzero(is_wanted)
        if not len(wanted):
            return []
        first, end = int(wanted[0]) // stride_px, -(-(int(wanted[-1]) + 1) // stride_px)
        starts = range(first * stride_px, end * stride_px, tile_px)
        return [range(at, min(at + tile_px, end * stride_px)) for at in starts]

    def place(self, tile: range) -> slice:
        """What of the block is of a tile."""
        return slice(max(tile.start - self._start, 0), min(tile.stop, self._end) - self._start)

    def answer(self, tile: range, halo_px: int) -> slice:
        """What of the answer to a tile, with its halo, is of the block."""
        first, end = max(tile.start, self._start), min(tile.stop, self._end)
        return slice(first - tile.start + halo_px, end - tile.start + halo_px)

    def mirror(self, tile: range, halo_px: int) -> np.ndarray:
        """Where the pixels of a tile and of its halo are in the block with its padding.

        Beyond its edge the raster goes on as its mirror image, as numpy's "reflect", for ever.
        """
        period = max(2 * (self._size - 1), 1)
        places = np.arange(tile.start - halo_px, tile.stop + halo_px) % period
        indices = np.minimum(places, period - places) if self._size > 1 else 0 * places
        indices += self._pad - self._start
        if indices.min() < 0 or indices.max() >= self._have:
            raise ValueError(f"lcseg: a block came with {self._pad} px of padding, which is little")
        return indices


class _Onnx:
    """The network in this process."""

    def __init__(self, path: Path, about: dict[str, Any], device: Any) -> None:
        self._path, self._about = path, about
        self._is_on_gpu = device is not None and int(device) != -1
        self._session: Any = None

    def predict(self, image_hwc: np.ndarray) -> np.ndarray:
        """Logits, float32 [H, W, K], of pixels [H, W, C] with sides of multiples of the stride."""
        self._session = self._session or self._open()
        images = {self._about["input"]: np.ascontiguousarray(image_hwc[None])}
        logits_hwk: np.ndarray = self._session.run([self._about["output"]], images)[0][0]
        return logits_hwk

    def _open(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeError(
                "lcseg: this Python has no onnxruntime; install the deep learning libraries of "
                "ArcGIS Pro (3.3 or later), or set server_url to an lcseg serve"
            ) from error
        if not self._path.exists():
            raise ValueError(f"lcseg: {self._path} is missing; keep it beside the .emd")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        there = onnxruntime.get_available_providers()
        gpu = ["CUDAExecutionProvider"] if self._is_on_gpu else []
        providers = [name for name in (*gpu, "CPUExecutionProvider") if name in there]
        return onnxruntime.InferenceSession(str(self._path), options, providers=providers)


class _Server:
    """The network of an `lcseg serve`: arrays go there and come back as .npy files."""

    def __init__(self, url: str, about: dict[str, Any], n_classes: int) -> None:
        self._url, self._about = f"{url.strip().rstrip('/')}/arcgis/block", about
        self._n_classes = n_classes

    def predict(self, image_hwc: np.ndarray) -> np.ndarray:
        """As `_Onnx.predict`, but 0 in the halo."""
        body = io.BytesIO()
        np.save(body, np.ascontiguousarray(image_hwc), allow_pickle=False)
        headers = {
            "Content-Type": "application/x-npy",
            "X-Lcseg-Model": self._about["model_sha256"],
        }
        try:
            asked = request.Request(self._url, body.getvalue(), headers)
            with request.urlopen(asked, timeout=_TIMEOUT_S) as answer:
                content = answer.read()
            logits_hwk: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise RuntimeError(f"lcseg: {self._url} does not predict: {error}") from error
        halo_px = self._about["halo_px"]
        height, width = (side - 2 * halo_px for side in image_hwc.shape[:2])
        expected = height, width, self._n_classes
        if logits_hwk.shape != expected or logits_hwk.dtype != np.float32:
            found = f"{logits_hwk.dtype} {list(logits_hwk.shape)}"
            raise RuntimeError(
                f"lcseg: {self._url} answers {found}, expected float32 {list(expected)}; "
                "it may serve another model"
            )
        return np.pad(logits_hwk, [(halo_px, halo_px), (halo_px, halo_px), (0, 0)])


def _measure_cell(grid: dict[str, Any], metres_per_unit: float) -> float:
    """The side of a cell on the ground, in metres, to a per cent."""
    side = math.sqrt(grid["cellSize"][0] * grid["cellSize"][1])
    middle, reference = (grid["extent"][1] + grid["extent"][3]) / 2, grid["spatialReference"]
    if metres_per_unit:
        return side * metres_per_unit
    if reference in _WEB_MERCATOR:
        return side / math.cosh(middle / _RADIUS_M)
    if reference in _GEOGRAPHIC:
        return side * _DEGREE_M * math.sqrt(math.cos(math.radians(middle)))
    return side


def _tabulate(classes: list[dict[str, Any]]) -> dict[str, Any]:
    """The raster attribute table of some classes, as ArcGIS reads it from JSON."""
    kinds = {"OID": "OID", "Value": "Integer", "Classname": "String"}
    kinds |= dict.fromkeys(("Red", "Green", "Blue"), "Integer")
    rows = [
        (number, row["Value"], row["Name"], *row["Color"])
        for number, row in enumerate(classes, start=1)
    ]
    return {
        "displayFieldName": "",
        "fieldAliases": {name: name for name in kinds},
        "fields": [
            {"name": name, "type": f"esriFieldType{kind}", "alias": name}
            for name, kind in kinds.items()
        ],
        "features": [{"attributes": dict(zip(kinds, row))} for row in rows],
    }
