"""What is mapped: areas, mosaics, several images, other bands, values and pixels."""

import json
import logging
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from conftest import TRANSFORM
from maps import make_values, read

from lcseg.errors import LcsegError
from lcseg.model.config import ExportConfig
from lcseg.model.export import export
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map, predict_maps
from lcseg.prediction.plan import make_plan
from lcseg.raster.grid import Window

PLAIN = {"photometric": "MINISBLACK"}


def place_of(row: int, col: int, pixel: float = 1.0) -> tuple[float, ...]:
    x, y = TRANSFORM[2] + col * pixel, TRANSFORM[5] - row * pixel
    return (pixel, 0.0, x, 0.0, -pixel, y)


def write_area(path, left: float, top: float, right: float, bottom: float) -> str:
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::26918"}}
    polygon = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": polygon}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]}))
    return str(path)


@pytest.fixture
def config(bundle, tmp_path) -> PredictConfig:
    return PredictConfig(
        str(bundle), out=str(tmp_path / "map.tif"), images="-", mosaic=True, quiet=True
    )


@pytest.fixture
def one(config, make_raster) -> PredictConfig:
    """The map of one image."""
    image = make_raster("scene.tif", make_values(150, 190), **PLAIN)
    return replace(config, image=image, images="", mosaic=False, block_px=32)


def test_all_of_an_image_is_mapped_in_parts(one):
    plan = make_plan(one, [one.image])
    assert (plan.window, plan.task.products) == (Window(0, 0, 150, 190), ("classes",))
    assert sum(part.window.height * part.window.width for part in plan.parts) == 150 * 190
    assert (plan.pixel_m, plan.date) == (pytest.approx(1, rel=0.01), "")


def test_area_of_interest_is_the_same_map_within_and_nothing_without(one, tmp_path):
    whole_hw = read(predict(one))[..., 0]
    x, y = TRANSFORM[2], TRANSFORM[5]
    area = write_area(tmp_path / "area.geojson", x + 40.2, y - 50.3, x + 101.4, y - 90.2)
    out = predict(replace(one, out=str(tmp_path / "part.tif"), aoi=area))
    with rasterio.open(out) as dataset:
        assert tuple(dataset.transform)[:6] == place_of(50, 40)
    found_hw = read(out)[..., 0]
    assert found_hw.shape == (41, 62)
    inside = np.s_[:40, :61]
    assert np.array_equal(found_hw[inside], whole_hw[50:90, 40:101])
    assert (found_hw[40:] == 255).all()
    assert (found_hw[:, 61:] == 255).all()


def predict(config: PredictConfig) -> str:
    predict_map(config)
    return config.out


def test_area_elsewhere_is_one_line(one, tmp_path):
    area = write_area(tmp_path / "far.geojson", 0, 10, 10, 0)
    with pytest.raises(LcsegError, match=r"far\.geojson: there is nothing to map in it: .*scene"):
        predict_map(replace(one, aoi=area))


def test_mosaic_is_the_map_of_the_whole(config, one, make_raster, tmp_path):
    values_hwc = read(one.image)
    make_raster("a/left.tif", values_hwc[:, :120], transform=place_of(0, 0), **PLAIN)
    make_raster("a/right.tif", values_hwc[:, 80:], transform=place_of(0, 80), **PLAIN)
    predict_map(one)
    mosaic = replace(config, out=str(tmp_path / "mosaic.tif"), images=f"{tmp_path}/a/*.tif")
    assert np.array_equal(read(predict(mosaic)), read(one.out))


def test_each_image_has_its_own_map_and_those_that_are_there_stay(
    config, make_raster, tmp_path, caplog
):
    for number in range(2):
        make_raster(f"in/{number}.tif", make_values(40, 50 + number), **PLAIN)
    each = replace(
        config, mosaic=False, images=f"{tmp_path}/in/*.tif", out=f"{tmp_path}/out/{{name}}.tif"
    )
    assert [s.out for s in predict_maps(each)] == [f"{tmp_path}/out/{n}.tif" for n in range(2)]
    (tmp_path / "out" / "1.tif").unlink()
    assert [s.out for s in predict_maps(each)] == [f"{tmp_path}/out/1.tif"]
    with pytest.raises(LcsegError, match=r"0\.tif: exists already"):
        predict_maps(replace(each, block_px=16))


def test_images_outside_of_the_area_are_left_out(config, make_raster, tmp_path):
    for number in range(2):
        place = place_of(0, 1000 * number)
        make_raster(f"in/{number}.tif", make_values(40, 50), transform=place, **PLAIN)
    x, y = TRANSFORM[2], TRANSFORM[5]
    area = write_area(tmp_path / "area.geojson", x + 1000, y, x + 1020, y - 20)
    each = replace(
        config,
        mosaic=False,
        images=f"{tmp_path}/in/*.tif",
        out=f"{tmp_path}/{{name}}.tif",
        aoi=area,
    )
    assert [s.out for s in predict_maps(each)] == [f"{tmp_path}/1.tif"]
    far = write_area(tmp_path / "far.geojson", 0, 10, 10, 0)
    with pytest.raises(LcsegError, match="there is nothing to map in it"):
        predict_maps(replace(each, aoi=far))


def test_images_that_do_not_fit_are_told_and_the_others_mapped(
    config, make_raster, tmp_path, caplog
):
    for name in ("a", "c", "e"):
        make_raster(f"in/{name}.tif", make_values(40, 50), **PLAIN)
    make_raster("in/b.tif", make_values(40, 50)[..., :3], **PLAIN)
    (tmp_path / "in" / "d.tif").write_bytes(b"no raster")
    (tmp_path / "e.tif").write_bytes(b"somebody's")
    each = replace(
        config, mosaic=False, images=f"{tmp_path}/in/*.tif", out=f"{tmp_path}/{{name}}.tif"
    )
    with pytest.raises(LcsegError, match=r"3 of 5 images were left out; .*b\.tif: has 3"):
        predict_maps(each)
    assert sorted(path.name for path in tmp_path.glob("*.tif")) == ["a.tif", "c.tif", "e.tif"]
    assert (tmp_path / "e.tif").read_bytes() == b"somebody's"
    assert [record.message.split(": ")[0] for record in caplog.records] == ["left out"] * 3


def test_mosaic_of_two_dates_is_refused(config, make_raster, tmp_path):
    for year in (2015, 2018):
        path = make_raster(f"in/{year}.tif", make_values(40, 50), **PLAIN)
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(ns="IMAGERY", ACQUISITIONDATETIME=f"{year}-06-01")
    with pytest.raises(LcsegError, match=r"a mosaic is of one date, these are of 2015-06-01 \("):
        predict_map(replace(config, images=f"{tmp_path}/in/*.tif"))


def test_no_image_is_one_line(config):
    with pytest.raises(LcsegError, match="--images=-: matches no file"):
        predict_map(config)


def test_bands_in_another_order_are_the_same_map(one, make_raster, tmp_path):
    predict_map(one)
    turned = make_raster("turned.tif", read(one.image)[..., [3, 1, 0, 2]], **PLAIN)
    other = replace(
        one, image=turned, out=str(tmp_path / "turned_map.tif"), bands=("3", "2", "4", "1")
    )
    assert np.array_equal(read(predict(other)), read(one.out))


def test_values_in_other_units_are_the_same_map(one, make_raster, tmp_path):
    predict_map(one)
    wide = make_raster("wide.tif", read(one.image).astype(np.uint16) * 16 + 160, **PLAIN)
    other = replace(one, image=wide, out=str(tmp_path / "wide_map.tif"), scale=1 / 16, offset=-10.0)
    assert np.array_equal(read(predict(other)), read(one.out))
    with pytest.raises(LcsegError, match="has pixels of uint16, the bundle was trained on uint8"):
        predict_map(replace(other, out=str(tmp_path / "no.tif"), scale=None, offset=0.0))


def test_finer_pixels_are_read_as_those_of_training(
    one, make_raster, tmp_path, caplog, monkeypatch
):
    predict_map(one)
    fine = np.repeat(np.repeat(read(one.image), 2, axis=0), 2, axis=1)
    image = make_raster("fine.tif", fine, transform=place_of(0, 0, 0.5), **PLAIN)
    other = replace(one, image=image, out=str(tmp_path / "fine_map.tif"))
    with pytest.raises(LcsegError, match=r"has pixels of 0\.5001 m, .* pass --resample to read it"):
        predict_map(other)
    monkeypatch.setattr(logging.getLogger("lcseg"), "propagate", True)
    with caplog.at_level("INFO", "lcseg"):
        summary = predict_map(replace(other, resample=True))
    assert "resampled: read at 1 m, as in training" in caplog.text
    with rasterio.open(other.out) as dataset:
        assert dataset.shape == (150, 190)
        assert tuple(dataset.transform)[:6] == pytest.approx(place_of(0, 0))
    assert summary.pixel_m == pytest.approx(1, rel=0.01)


def test_mosaic_is_resampled_as_one(config, make_raster, tmp_path):
    for number in range(2):
        place = place_of(0, 51 * number, 0.6)
        make_raster(f"in/{number}.tif", make_values(50, 51), transform=place, **PLAIN)
    predict_map(replace(config, images=f"{tmp_path}/in/*.tif", resample=True))
    with rasterio.open(config.out) as dataset:
        assert dataset.shape == (30, 61)


def test_onnx_makes_the_same_map_without_tensorflow(one, bundle, tmp_path):
    model = tmp_path / "model.onnx"
    export(ExportConfig(str(bundle), "onnx", str(model)))
    predict_map(replace(one, probabilities=str(tmp_path / "p.tif")))
    probabilities, out = tmp_path / "onnx_p.tif", tmp_path / "onnx.tif"
    config = replace(
        one, model=str(model), out=str(out), probabilities=str(probabilities), backend="onnx"
    )
    program = f"""
import sys
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_maps
predict_maps({config!r})
print(sorted({{"tensorflow", "keras"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "[]\n"
    sure = np.sort(read(tmp_path / "p.tif").astype(int), axis=-1)
    sure_hw = sure[..., -1] - sure[..., -2] > 1
    assert np.array_equal(read(out)[sure_hw], read(one.out)[sure_hw])
    apart = abs(read(probabilities).astype(int) - read(tmp_path / "p.tif").astype(int))
    assert apart.max() <= 1


@pytest.mark.parametrize(("model", "backend"), [("model.onnx", "keras"), ("run/bundle", "onnx")])
def test_backend_that_does_not_run_the_model_is_refused(one, model, backend):
    with pytest.raises(ValueError, match=f"--backend={backend} does not run --model={model}"):
        replace(one, model=model, backend=backend)


def test_area_in_which_no_pixel_has_data_is_one_line_and_leaves_nothing(
    config, make_raster, tmp_path
):
    values = make_values(100, 100)
    values[:50] = 0
    image = make_raster("half.tif", values, nodata=0, **PLAIN)
    x, y = TRANSFORM[2], TRANSFORM[5]
    area = write_area(tmp_path / "area.geojson", x + 5, y - 5, x + 30, y - 30)
    one = replace(config, image=image, images="", mosaic=False, aoi=area)
    with pytest.raises(LcsegError, match=r"there is nothing to map in it: .*half\.tif has no data"):
        predict_map(one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["area.geojson", "half.tif"]


def test_images_without_data_in_the_area_are_one_line(config, make_raster, tmp_path):
    values = make_values(100, 100)
    values[:50] = 0
    make_raster("in/half.tif", values, nodata=0, **PLAIN)
    x, y = TRANSFORM[2], TRANSFORM[5]
    area = write_area(tmp_path / "area.geojson", x + 5, y - 5, x + 30, y - 30)
    paths = {"images": f"{tmp_path}/in/*.tif", "out": f"{tmp_path}/{{name}}.tif"}
    with pytest.raises(LcsegError, match="there is nothing to map in it"):
        predict_maps(replace(config, mosaic=False, aoi=area, **paths))


@pytest.mark.parametrize("name", ["map.gpkg", "map.shp", "map.fgb", "there/map.geojson"])
def test_polygons_of_any_format_are_whole(one, tmp_path, name):
    predict_map(replace(one, polygons=str(tmp_path / name)))
    meta, _, geometry, fields = pyogrio.raw.read(tmp_path / name)
    # Who reads GeoJSON expects longitude and latitude, as RFC 7946 has it.
    is_geojson = name.endswith(".geojson")
    assert ("4326" if is_geojson else "26918") in str(meta["crs"])
    shapes = shapely.from_wkb(geometry)
    if is_geojson:
        project = pyproj.Transformer.from_crs(4326, 26918, always_xy=True).transform
        shapes = shapely.transform(shapes, lambda lonlat: np.transpose(project(*lonlat.T)))
    assert shapely.area(shapes).sum() == pytest.approx(150 * 190, rel=1e-4)
    assert len(fields) == 3
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_an_image_of_another_stretch_is_mapped_with_a_warning(
    bundle, make_raster, tmp_path, caplog
):
    values_hwc = make_values(64, 64)
    usual, bright = (
        make_raster(name, values_hwc // 2 + more, **PLAIN)
        for name, more in (("usual.tif", 40), ("bright.tif", 127))
    )
    with caplog.at_level(logging.WARNING, "lcseg"):
        make_plan(PredictConfig(str(bundle), usual, str(tmp_path / "a.tif")), [usual])
        assert not caplog.messages
        make_plan(PredictConfig(str(bundle), bright, str(tmp_path / "b.tif")), [bright])
    (warning,) = caplog.messages
    assert "bright.tif: the model has not seen the like of it: red: mean 19" in warning
    assert "where training had 100 (+2." in warning
