"""The network alone, for those who have the pixels: the raster function of ArcGIS Pro.

POST arcgis/block, a .npy file of pixels with their halo, is answered by one of what it surrounds.
"""

from __future__ import annotations

import asyncio
import io
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Header, HTTPException, Request, Response

from lcseg.serving.engine import EngineBackend
from lcseg.serving.gallery import Gallery, UnknownError
from lcseg.serving.replies import gallery_of, until_gone

router = APIRouter(tags=["arcgis"])

PATH = "/arcgis/block"

_MOST_PX = 1024
_TINY = np.finfo(np.float32).tiny


@router.post(PATH, response_class=Response)
async def predict(
    request: Request, x_lcseg_model: Annotated[str, Header(pattern="^[0-9a-f]{64}$")]
) -> Response:
    """Predict pixels [H, W, bands] whose margin is the halo: logits, float32, of all but that.

    They are the logarithms of the probabilities.
    """
    backend = _find_model(gallery_of(request), x_lcseg_model)
    image_hwc = _read_image(await request.body(), backend)
    work = asyncio.to_thread(backend.engine.ask, backend.backend, image_hwc)
    _, probs_hwk = await until_gone(request, work)
    body = io.BytesIO()
    np.save(body, np.log(np.maximum(probs_hwk, _TINY)), allow_pickle=False)
    return Response(body.getvalue(), media_type="application/x-npy")


def _find_model(gallery: Gallery, model_sha256: str) -> EngineBackend:
    for shown in gallery.all_shown():
        if shown.dataset.info.model_sha256 == model_sha256:
            return shown.backend
    raise UnknownError


def _read_image(body: bytes, backend: EngineBackend) -> np.ndarray:
    info = backend.info
    expected = f"a .npy file of {info.dtype} [H, W, {len(info.bands)}]"
    try:
        image_hwc: np.ndarray = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise HTTPException(400, f"the body is {expected}") from None
    if not isinstance(image_hwc, np.ndarray) or image_hwc.ndim != 3:
        raise HTTPException(400, f"the body is {expected}")
    least, sides = 2 * info.halo_px + info.stride_px, image_hwc.shape[:2]
    is_fit = image_hwc.dtype == info.dtype and image_hwc.shape[2] == len(info.bands)
    if not is_fit or any(side % info.stride_px or side < least for side in sides):
        raise HTTPException(
            400, f"the body is {expected}, with sides of multiples of {info.stride_px}"
        )
    if max(sides) > _MOST_PX + 2 * info.halo_px:
        raise HTTPException(413, f"a block has at most {_MOST_PX} pixels a side, and its halo")
    return image_hwc
