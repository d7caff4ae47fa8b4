"""Real imagery, near infrared tagged as alpha, south up or turned: shown as it is mapped."""

import io

import httpx
import numpy as np
import pytest
import rasterio
from bundles import make_bundle
from PIL import Image
from pyproj import Transformer
from rasterio.transform import Affine
from served import running

from lcseg.model.config import UNetConfig
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.serving.config import ServeConfig
from lcseg.serving.tiling import TMS, tile_grid

ODD = "odd-tiffs/derived"


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    [
        "unlabelled/naip-nc-1m/m_3607824_se_17_1_20160620_sub.tif",
        f"{ODD}/naip_south_up.tif",
        f"{ODD}/naip_rotated_30deg.tif",
        f"{ODD}/naip_nodata0_strip.tif",
    ],
)
def test_real_images_are_shown_as_they_are_mapped(real_data, tmp_path, name):
    image, bundle, out = real_data / name, tmp_path / "bundle", tmp_path / "map.tif"
    make_bundle(bundle, UNetConfig(depth=3, width=4))
    bands = () if "odd" not in name else ("1", "2", "3", "4")
    predict_map(PredictConfig(str(bundle), str(image), str(out), bands=bands, quiet=True))
    (tmp_path / "maps.toml").write_text(
        f'[naip]\nmodel = "bundle"\nimage = "{image}"\nbands = {list(bands)}\n'
    )
    with (
        rasterio.open(out) as mapped,
        running(ServeConfig(config=str(tmp_path / "maps.toml"), port=0)) as address,
    ):
        (shown,) = httpx.get(f"{address}/datasets.json").json()["datasets"]
        west, south, east, north = shown["bounds"]
        tile = TMS.tile((west + east) / 2, (south + north) / 2, 17)
        cols, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
        x, y = tile_grid(tile.z, tile.x, tile.y).affine @ (cols, rows)
        own = Transformer.from_crs(3857, mapped.crs, always_xy=True).transform(x, y)
        own_cols, own_rows = ~Affine(*mapped.transform[:6]) @ own
        is_clear = np.all([abs(v - np.round(v)) > 1e-3 for v in (own_cols, own_rows)], axis=0)
        is_inside = (own_cols >= 0) & (own_cols < mapped.width)
        is_inside &= (own_rows >= 0) & (own_rows < mapped.height)
        at = [np.clip(np.floor(v).astype(int), 0, None) for v in (own_rows, own_cols)]
        at = [np.minimum(v, size - 1) for v, size in zip(at, mapped.shape, strict=True)]
        expected = np.where(is_inside, mapped.read(1)[tuple(at)], 255)
        colors = np.zeros((256, 4), np.uint8)
        for value, color in mapped.colormap(1).items():
            colors[value] = color
        pictures = {}
        for layer in ("classes", "imagery"):
            answer = httpx.get(
                f"{address}/tiles/naip/{layer}/{tile.z}/{tile.x}/{tile.y}.png", timeout=60
            )
            pictures[layer] = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert is_inside.mean() > 0.1
    assert np.array_equal(pictures["classes"][is_clear], colors[expected][is_clear])
    assert np.array_equal(
        (pictures["imagery"][..., 3] == 255)[is_clear], (expected != 255)[is_clear]
    )
