"""A titiler server whose custom algorithm asks the same network, as others would build it.

python -m benchmarks.titiler_server BUNDLE PORT
"""

from __future__ import annotations

import sys
from typing import Any

from lcseg.runtime import start_tensorflow

start_tensorflow()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import FastAPI  # noqa: E402
from rio_tiler.models import ImageData  # noqa: E402
from titiler.core.algorithm import Algorithms, BaseAlgorithm  # noqa: E402
from titiler.core.factory import TilerFactory  # noqa: E402

from lcseg.model.bundle import load_bundle  # noqa: E402

HALO_PX = 32
"""Read around a tile and cut off; the sides stay multiples of the network's stride."""

_BUNDLE = load_bundle(sys.argv[1])
_CLASSIFY = tf.function(
    lambda images: tf.argmax(_BUNDLE.model(images, training=False), -1), reduce_retracing=True
)
_PALETTE = _BUNDLE.info.class_scheme.palette


class Classify(BaseAlgorithm):
    """The class of each pixel, in the colours of the scheme."""

    title: str = "Land cover"
    input_nbands: int = 4
    output_nbands: int = 3
    output_dtype: str = "uint8"

    def __call__(self, img: ImageData) -> ImageData:
        image_hwc = np.moveaxis(img.data, 0, -1)
        label_hw = _CLASSIFY(image_hwc[None]).numpy()[0][HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
        colors_chw = np.moveaxis(_PALETTE[label_hw], -1, 0)
        return ImageData(np.ma.MaskedArray(colors_chw), crs=img.crs, bounds=img.bounds)


def main() -> None:
    algorithms = Algorithms({"classify": Classify})
    tiler: Any = TilerFactory(process_dependency=algorithms.dependency)
    app = FastAPI()
    app.include_router(tiler.router)
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")


if __name__ == "__main__":
    main()
