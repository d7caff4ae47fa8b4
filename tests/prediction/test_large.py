"""A map as large as a state takes no more memory than that of a village."""

import numpy as np
import pytest
import rasterio
from conftest import TRANSFORM
from memory import peak_mb
from rasterio.transform import Affine
from rasterio.windows import Window

from lcseg.model.config import UNetConfig

PROGRAM = """
import sys
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
predict_map(PredictConfig(*sys.argv[1:4], quiet=True))
"""


def write_sparse(path, side_px: int, data_px: int) -> None:
    """A raster with data in squares along its diagonal."""
    values = np.random.default_rng(0).integers(1, 256, (4, data_px, data_px), np.uint8)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=side_px,
        width=side_px,
        count=4,
        dtype="uint8",
        crs="EPSG:26918",
        transform=Affine(*TRANSFORM),
        nodata=0,
        tiled=True,
        photometric="MINISBLACK",
        SPARSE_OK=True,
        BIGTIFF="YES",
    ) as dataset:
        for start in range(0, side_px, 4 * data_px):
            place = Window(
                start, start, min(data_px, side_px - start), min(data_px, side_px - start)
            )
            dataset.write(values[:, : int(place.height), : int(place.width)], window=place)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_scene(save_bundle_of, tmp_path):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 2))
    peaks_mb = []
    for side_px in (5_000, 24_000):
        image, out = tmp_path / f"{side_px}.tif", tmp_path / f"{side_px}_map.tif"
        write_sparse(image, side_px, 1000)
        peaks_mb.append(peak_mb(PROGRAM, bundle, image, out))
        with rasterio.open(out) as dataset:
            assert dataset.shape == (side_px, side_px)
            mapped = dataset.read(1, window=Window(0, 0, 1000, 1000))
            empty = dataset.read(1, window=Window(side_px - 500, 0, 500, 500))
        assert (mapped != 255).all()
        assert (empty == 255).all()
    assert peaks_mb[1] <= 1.1 * peaks_mb[0]
    assert peaks_mb[1] < 2000
