"""The network alone, for those who have the pixels: the raster function of ArcGIS Pro.

POST arcgis/block, a .npy file of pixels with their halo, is answered by one of what it surrounds.
"""

from __future__ import annotations

import asyncio
import io
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, HTTPException, Request, Response

from lcseg.serving.engine import Answer, EngineBackend
from lcseg.serving.gallery import Gallery, UnknownError
from lcseg.serving.replies import gallery_of, until_gone
from lcseg.serving.store import BusyError

router = APIRouter(tags=["arcgis"])

PATH = "/arcgis/block"

_MOST_PX = 1024
_MOST_BODIES = 8
"""That are held at a time: each takes some dozens of megabytes."""

_TINY = np.finfo(np.float32).tiny


@router.post(PATH, response_class=Response)
async def predict(
    request: Request, x_lcseg_model: Annotated[str, Header(pattern="^[0-9a-f]{64}$")]
) -> Response:
    """Predict pixels [H, W, bands] whose margin is the halo: logits, float32, of all but that.

    They are the logarithms of the probabilities.
    """
    gallery = gallery_of(request)
    backend = _find_model(gallery, x_lcseg_model)
    if gallery.n_bodies >= _MOST_BODIES:
        raise BusyError
    gallery.n_bodies += 1
    try:
        async with asyncio.timeout(gallery.config.timeout_s):
            image_hwc = _read_image(await request.body(), backend)
        _, probs_hwk = await until_gone(request, _ask(backend, image_hwc))
    finally:
        gallery.n_bodies -= 1
    body = await gallery.artist.run(lambda: _write_logits(probs_hwk))
    return Response(body, media_type="application/x-npy")


def _write_logits(probs_hwk: np.ndarray) -> bytes:
    body = io.BytesIO()
    np.save(body, np.log(np.maximum(probs_hwk, _TINY)), allow_pickle=False)
    return body.getvalue()


async def _ask(backend: EngineBackend, image_hwc: np.ndarray) -> Answer:
    return await asyncio.wrap_future(backend.engine.ask(backend.backend, image_hwc))


def _find_model(gallery: Gallery, model_sha256: str) -> EngineBackend:
    for shown in gallery.all_shown():
        if shown.dataset.info.model_sha256 == model_sha256:
            return shown.backend
    raise UnknownError


def _read_image(body: bytes, backend: EngineBackend) -> np.ndarray:
    info = backend.info
    expected = f"a .npy file of {info.dtype} [H, W, {len(info.bands)}]"
    try:
        image_hwc = _parse_array(body)
    except Exception:  # Of several kinds, as numpy reads its header as Python.
        raise HTTPException(400, f"the body is {expected}") from None
    if image_hwc.dtype != info.dtype or image_hwc.shape[2:] != (len(info.bands),):
        raise HTTPException(400, f"the body is {expected}")
    least, sides = 2 * info.halo_px + info.stride_px, image_hwc.shape[:2]
    if any(side % info.stride_px or side < least for side in sides):
        raise HTTPException(
            400, f"the body is {expected}, with sides of multiples of {info.stride_px}"
        )
    if max(sides) > _MOST_PX + 2 * info.halo_px:
        raise HTTPException(413, f"a block has at most {_MOST_PX} pixels a side, and its halo")
    return image_hwc


def _parse_array(body: bytes) -> np.ndarray:
    """The array of a .npy file. `numpy.load` makes room for all that the header claims."""
    stream = io.BytesIO(body)
    np.lib.format.read_magic(stream)
    shape, is_transposed, dtype = np.lib.format.read_array_header_1_0(stream)
    array = np.frombuffer(body, dtype, offset=stream.tell())
    return array.reshape(shape[::-1]).T if is_transposed else array.reshape(shape)
