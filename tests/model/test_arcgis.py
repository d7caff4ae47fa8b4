"""Models in ArcGIS: a host that asks for blocks as ArcGIS does draws the map of `lcseg predict`."""

import ast
import io
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import arcgis_host
import numpy as np
import pytest
from arcgis_host import Raster, draw, load, start
from bundles import make_bundle
from conftest import write_raster
from maps import infer_whole, is_sure, make_values, read
from served import running

import lcseg.model
from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.model.config import ExportConfig, UNetConfig
from lcseg.model.export import export
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
from lcseg.serving.config import ServeConfig

FUNCTION = "LcsegClassifier.py"
HEIGHT, WIDTH = 173, 131


def export_of(bundle, folder) -> Path:
    return export(ExportConfig(str(bundle), "arcgis", str(folder / "landcover"))).out


def map_of(model, raster: Raster, folder) -> np.ndarray:
    """What `lcseg predict` says by a bundle or an ONNX file, [H, W]."""
    nodata = None if raster.nodata is None else raster.nodata[0]
    image = write_raster(folder / "image.tif", raster.pixels_chw.transpose(1, 2, 0), nodata=nodata)
    predict_map(PredictConfig(str(model), image, str(folder / "map.tif"), quiet=True))
    return read(folder / "map.tif")[..., 0]


def raster_of(image_hwc: np.ndarray, nodata: float | None = 0) -> Raster:
    pixels_chw = np.ascontiguousarray(image_hwc.transpose(2, 0, 1))
    mask_chw = np.ones_like(pixels_chw, np.uint8)
    if nodata is not None:
        mask_chw[pixels_chw == nodata] = 0
    return Raster(pixels_chw, mask_chw, None if nodata is None else [nodata] * len(pixels_chw))


def make_image(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Noise with a hole in it, and one at the edge; in single bands, 0 is a value like others."""
    image_hwc = make_values(height, width)
    image_hwc[20:60, 30:50] = 0
    image_hwc[100:, 100:] = 0
    return image_hwc


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory) -> Path:
    return export_of(bundle, tmp_path_factory.mktemp("arcgis"))


@pytest.fixture(scope="module")
def raster() -> Raster:
    return raster_of(make_image())


@pytest.fixture(scope="module")
def expected_hw(folder, raster, tmp_path_factory) -> np.ndarray:
    label_hw = map_of(folder / "model.onnx", raster, tmp_path_factory.mktemp("expected"))
    assert set(np.unique(label_hw)) == {0, 1, 2, 3, 255}
    return label_hw


@pytest.fixture(scope="module")
def sure_hw(bundle, raster) -> np.ndarray:
    """Where two runtimes cannot differ by rounding alone."""
    sure_hw = is_sure(infer_whole(load_bundle(bundle), raster.pixels_chw.transpose(1, 2, 0)))
    assert sure_hw.mean() > 0.999
    return sure_hw


@pytest.fixture(scope="session")
def python_of_pro(tmp_path_factory) -> Path:
    """A Python with what that of ArcGIS Pro 3.3 has, and without lcseg."""
    if sys.version_info >= (3, 13):
        pytest.skip("there is no onnxruntime 1.17.1 for this Python")
    folder = tmp_path_factory.mktemp("pro")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "onnxruntime==1.17.1", "numpy<2"]
    subprocess.run(install, check=True)
    return python


def test_folder_draws_the_map_of_lcseg_predict(folder, raster, expected_hw):
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        FUNCTION,
        "LcsegClassifier.rft.xml",
        "landcover.dlpk",
        "model.emd",
        "model.onnx",
    ]
    pixels, mask = draw(load(folder / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0], expected_hw)
    np.testing.assert_array_equal(mask[0], expected_hw != 255)


def test_bundle_itself_maps_the_same(bundle, folder, raster, sure_hw, tmp_path):
    expected_hw = map_of(bundle, raster, tmp_path)
    pixels, _ = draw(load(folder / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0, sure_hw], expected_hw[sure_hw])


@pytest.mark.parametrize("seed", range(1, 9))
def test_blocks_of_any_shape_and_origin_are_parts_of_one_map(folder, raster, expected_hw, seed):
    function = load(folder / FUNCTION)
    np.testing.assert_array_equal(draw(function, raster, seed)[0][0], expected_hw)


@pytest.mark.parametrize("part", [(0, 0, 50, 60), (61, 37, 90, 71), (3, 90, 170, 41)])
def test_part_of_a_raster_is_a_part_of_its_map(folder, raster, expected_hw, part):
    row, col, height, width = part
    pixels, _ = draw(load(folder / FUNCTION), raster, seed=5, part=part)
    np.testing.assert_array_equal(pixels[0], expected_hw[row : row + height, col : col + width])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 77), (60, 1), (5, 19), (23, 90)])
def test_raster_smaller_than_the_halo_is_mirrored_as_often_as_needed(
    folder, tmp_path, height, width
):
    raster = raster_of(make_values(height, width), nodata=None)
    expected_hw = map_of(folder / "model.onnx", raster, tmp_path)
    for seed in range(3):
        pixels, _ = draw(load(folder / FUNCTION), raster, seed)
        np.testing.assert_array_equal(pixels[0], expected_hw)


def test_large_blocks_are_predicted_in_tiles(folder, raster, expected_hw, tmp_path):
    emd = json.loads((folder / "model.emd").read_text())
    assert emd["ImageWidth"] - 2 * emd["Padding"] == 512
    emd["ImageWidth"] = 2 * emd["Padding"] + 32
    emd["ModelFile"] = str(folder / "model.onnx")
    (tmp_path / "small.emd").write_text(json.dumps(emd))
    pixels, _ = draw(load(folder / FUNCTION), raster, model=str(tmp_path / "small.emd"))
    np.testing.assert_array_equal(pixels[0], expected_hw)


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_networks_of_any_stride_are_exact(save_bundle_of, tmp_path, raster, depth):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(depth, 4))
    folder = export_of(bundle, tmp_path)
    function, expected_hw = load(folder / FUNCTION), map_of(folder / "model.onnx", raster, tmp_path)
    for seed in range(3):
        np.testing.assert_array_equal(draw(function, raster, seed)[0][0], expected_hw)


def test_floats_miss_what_misses_any_band(save_bundle_of, tmp_path):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4), bands=2, dtype="float32")
    image_hwc = np.random.default_rng(0).normal(100, 40, (61, 47, 2)).astype(np.float32)
    image_hwc[5:20, 7:30, 0] = np.nan
    image_hwc[40:, 20:, 1] = -9999
    raster = raster_of(image_hwc, nodata=-9999)
    folder = export_of(bundle, tmp_path)
    expected_hw = map_of(folder / "model.onnx", raster, tmp_path)
    assert (expected_hw == 255).sum() == 15 * 23 + 21 * 27
    pixels, mask = draw(load(folder / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0], expected_hw)
    np.testing.assert_array_equal(mask[0], expected_hw != 255)


def test_pixels_keep_the_type_of_the_bundle(save_bundle_of, tmp_path):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4), dtype="uint16")
    image_hwc = make_values(61, 47).astype(np.uint16) * 2
    raster = raster_of(image_hwc, nodata=None)
    folder = export_of(bundle, tmp_path)
    expected_hw = map_of(folder / "model.onnx", raster, tmp_path)
    pixels, _ = draw(load(folder / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0], expected_hw)


def test_single_band_is_enough(save_bundle_of, tmp_path):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4), bands=1)
    raster = raster_of(make_image()[..., :1])
    folder = export_of(bundle, tmp_path)
    expected_hw = map_of(folder / "model.onnx", raster, tmp_path)
    pixels, _ = draw(load(folder / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0], expected_hw)


def test_what_the_mask_hides_may_hold_anything(folder, raster, expected_hw):
    noise_chw = raster_of(make_values(HEIGHT, WIDTH)).pixels_chw
    hidden = Raster(np.where(raster.pixels_chw, raster.pixels_chw, noise_chw), raster.mask_chw)
    is_hole = ~raster.mask_chw.any(axis=0)
    assert is_hole.any()
    # Where a single band is masked, the others and what it holds count.
    hidden.pixels_chw[:, ~is_hole] = raster.pixels_chw[:, ~is_hole]
    pixels, mask = draw(load(folder / FUNCTION), hidden)
    np.testing.assert_array_equal(pixels[0], expected_hw)
    np.testing.assert_array_equal(mask[0], ~is_hole)


def test_what_lies_beyond_the_raster_is_nodata(folder, raster):
    function = load(folder / FUNCTION)
    configuration, _ = start(function, raster)
    around = configuration["padding"]
    shape = 4, 40 + 2 * around, 60 + 2 * around
    props = {**raster.info(0, 0, HEIGHT, WIDTH), "pixelType": "u1"}
    made = function.updatePixels(
        (WIDTH - 20.0, -10.0), (40, 60), props, raster_pixels=np.ones(shape, np.uint8)
    )
    expected_hw = np.zeros((40, 60), np.uint8)
    expected_hw[10:, :20] = 1
    np.testing.assert_array_equal(made["output_mask"], expected_hw)
    assert (made["output_pixels"][expected_hw == 0] == 255).all()


def test_nodata_counts_where_there_is_no_mask(folder, raster, expected_hw):
    all_there = Raster(raster.pixels_chw, np.ones_like(raster.mask_chw), raster.nodata)
    pixels, mask = draw(load(folder / FUNCTION), all_there)
    np.testing.assert_array_equal(pixels[0], expected_hw)
    np.testing.assert_array_equal(mask[0], expected_hw != 255)


def test_softmax_mixes_the_colours_of_the_classes(bundle, folder, raster, expected_hw):
    loaded = load_bundle(bundle)
    probs_hwk = infer_whole(loaded, raster.pixels_chw.transpose(1, 2, 0))
    mixed_chw = (probs_hwk @ loaded.info.class_scheme.palette.astype(float)).transpose(2, 0, 1)
    pixels, mask = draw(load(folder / FUNCTION), raster, output_type="Softmax")
    valid_hw = expected_hw != 255
    assert np.abs(pixels.astype(float) - mixed_chw)[:, valid_hw].max() <= 1
    assert not pixels[:, ~valid_hw].any()
    np.testing.assert_array_equal(mask, np.broadcast_to(valid_hw, mask.shape))


def test_classes_come_with_names_and_colours(bundle, folder, raster):
    scheme = load_bundle(bundle).info.class_scheme
    function = load(folder / FUNCTION)
    _, output = start(function, raster)
    assert (output["bandCount"], output["pixelType"], list(output["noData"])) == (1, "u1", [255])
    table = json.loads(output["rasterAttributeTable"])
    rows = [list(feature["attributes"].values()) for feature in table["features"]]
    assert rows == [
        [index + 1, index, name, *color]
        for index, (name, color) in enumerate(
            zip(scheme.names, scheme.palette.tolist(), strict=True)
        )
    ]
    assert [field["name"] for field in table["fields"]] == list(table["features"][0]["attributes"])
    values, *colors = output["colormap"]
    np.testing.assert_array_equal(np.stack(colors, axis=1)[values], scheme.palette)
    assert function.updateKeyMetadata((), -1)["datatype"] == "Thematic"
    assert function.updateKeyMetadata((), 0)["bandname"] == "Class"


def test_colours_are_three_bands_that_are_not_stretched(folder, raster):
    function = load(folder / FUNCTION)
    _, output = start(function, raster, output_type="Softmax")
    assert (output["bandCount"], output["pixelType"]) == (3, "u1")
    assert output["statistics"] == ({"minimum": 0.0, "maximum": 255.0},) * 3
    assert [function.updateKeyMetadata((), band)["bandname"] for band in range(3)] == [
        "Red",
        "Green",
        "Blue",
    ]


def test_configuration_asks_for_the_halo_and_a_stride(bundle, folder, raster):
    info = load_bundle(bundle).info
    configuration, _ = start(load(folder / FUNCTION), raster)
    assert configuration["padding"] == info.halo_px + info.stride_px
    assert configuration["extractBands"] == (0, 1, 2, 3)
    assert configuration["tx"] == configuration["ty"] == 512
    assert configuration["inputMask"]
    # The raster's NoData is 0, which is a class.
    assert not configuration["inheritProperties"] & 2


def test_too_little_padding_is_refused(folder, raster):
    with pytest.raises(ValueError, match=r"lcseg: a block came with 4 px of padding"):
        draw(load(folder / FUNCTION), raster, padding=4)


@pytest.mark.slow
@pytest.mark.parametrize("output_type", ["Hardmax", "Softmax"])
def test_python_of_pro_draws_the_same_map(
    python_of_pro, folder, raster, expected_hw, sure_hw, tmp_path, output_type
):
    source, out = tmp_path / "raster.npz", tmp_path / "out.npz"
    np.savez(source, pixels=raster.pixels_chw, mask=raster.mask_chw)
    program = [python_of_pro, "-I", arcgis_host.__file__, folder / FUNCTION, source, out]
    options = json.dumps({"output_type": output_type, "seed": 9})
    result = subprocess.run([*program, options], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    with np.load(out) as made:
        pixels, modules = made["pixels"], {name.split(".")[0] for name in made["modules"].tolist()}
    assert "onnxruntime" in modules
    assert not modules & {"lcseg", "tensorflow", "keras", "onnx", "rasterio"}
    if output_type == "Hardmax":
        np.testing.assert_array_equal(pixels[0, sure_hw], expected_hw[sure_hw])
    else:
        here, _ = draw(load(folder / FUNCTION), raster, output_type="Softmax")
        assert np.abs(pixels.astype(int) - here).max() <= 1


def test_function_takes_nothing_but_numpy_and_onnxruntime(folder):
    text = (folder / FUNCTION).read_text()
    assert text == Path(lcseg.model.__path__[0], FUNCTION).read_text()
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module.split(".")[0])
    assert names - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    top = [node for node in ast.parse(text).body if isinstance(node, ast.Import)]
    assert "onnxruntime" not in {alias.name for node in top for alias in node.names}


def test_onnxruntime_that_is_not_there_is_named(folder, raster, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    function = load(folder / FUNCTION)
    start(function, raster)
    with pytest.raises(RuntimeError) as caught:
        draw(function, raster)
    assert str(caught.value) == (
        "lcseg: this Python has no onnxruntime; install the deep learning libraries of ArcGIS Pro "
        "(3.3 or later), or set server_url to an lcseg serve"
    )


def test_package_holds_what_its_emd_names(bundle, folder):
    info = load_bundle(bundle).info
    with zipfile.ZipFile(folder / "landcover.dlpk") as package:
        assert package.testzip() is None
        names = {entry.filename for entry in package.infolist()}
        assert {entry.compress_type for entry in package.infolist()} == {zipfile.ZIP_DEFLATED}
        emd = json.loads(package.read("model.emd"))
        assert names == {"model.emd", emd["ModelFile"], emd["InferenceFunction"]}
        for name in names:
            assert package.read(name) == (folder / name).read_bytes()
    assert emd["ModelType"] == "ImageClassification"
    assert [row["Name"] for row in emd["Classes"]] == list(info.class_scheme.names)
    assert emd["Lcseg"]["model_sha256"] == info.model_sha256


def test_same_bundle_gives_the_same_bytes(bundle, folder, tmp_path):
    other = export_of(bundle, tmp_path)
    for path in other.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def test_template_has_every_parameter_and_where_the_function_is(folder):
    root = ElementTree.parse(folder / "LcsegClassifier.rft.xml").getroot()
    names = [node.text for node in root.findall("Arguments/Names/String")]
    values = root.findall("Arguments/Values/AnyType")
    infos = load(folder / FUNCTION).getParameterInfo()
    assert names == ["PythonModule", "ClassName", *(info["name"] for info in infos)]
    assert [values[0].text, values[1].text] == [
        "[functions]Custom\\landcover\\LcsegClassifier.py",
        "LcsegClassifier",
    ]
    for value, info in zip(values[2:], infos, strict=True):
        assert value.findtext("Name") == info["name"]
        assert value.findtext("IsDataset") == str(info["dataType"] == "raster").lower()
        assert (value.findtext("Value") or "") == str(
            "" if info["value"] is None else info["value"]
        )


def test_name_of_the_folder_may_hold_signs_of_xml(bundle, tmp_path):
    out = export(ExportConfig(str(bundle), "arcgis", str(tmp_path / "a & b"))).out
    root = ElementTree.parse(out / "LcsegClassifier.rft.xml").getroot()
    assert root.findtext("Name") == "Land cover (a & b)"


def test_tools_give_the_emd_as_path_or_text(folder, raster, expected_hw, tmp_path):
    shutil.copy(folder / FUNCTION, tmp_path)
    text = (folder / "model.emd").read_text()
    absolute = json.dumps({**json.loads(text), "ModelFile": str(folder / "model.onnx")})
    for place, model in (
        (tmp_path, str(folder / "model.emd")),
        (tmp_path, absolute),
        (folder, text),
    ):
        function = load(place / FUNCTION)
        function.initialize(model=model, device=-1)
        # What the tool shows of it later may be the package.
        pixels, _ = draw(function, raster, model="landcover.dlpk")
        np.testing.assert_array_equal(pixels[0], expected_hw)


def test_folder_may_be_moved(folder, raster, expected_hw, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    pixels, _ = draw(load(moved / FUNCTION), raster)
    np.testing.assert_array_equal(pixels[0], expected_hw)


def test_model_that_is_none_is_refused(folder, raster, tmp_path):
    function = load(folder / FUNCTION)
    nowhere = str(tmp_path / "model.emd")
    with pytest.raises(ValueError, match=r"model\.emd cannot be read as a model; give the path"):
        start(function, raster, model=nowhere)
    with pytest.raises(ValueError, match=r"the model is not one that lcseg export wrote"):
        start(function, raster, model='{"ModelFile": "model.onnx"}')
    shutil.copy(folder / "model.emd", tmp_path)
    with pytest.raises(ValueError, match=r"model\.onnx is missing; keep it beside the \.emd"):
        draw(function, raster, model=nowhere)


@pytest.mark.parametrize(
    ("cell", "corner", "reference", "scalars", "is_fit"),
    [
        (1.24, (400_000.0, 4_300_000.0), 26918, {}, True),
        (1.26, (400_000.0, 4_300_000.0), 26918, {}, False),
        (0.79, (400_000.0, 4_300_000.0), 26918, {}, False),
        (1.29, (-8_500_000.0, 4_700_000.0), 102100, {}, True),
        (2.0, (-8_500_000.0, 4_700_000.0), 3857, {}, False),
        (1e-5, (-76.0, 39.0), 4269, {}, True),
        (2e-5, (-76.0, 39.0), 4326, {}, False),
        (3.28, (1_400_000.0, 500_000.0), 2248, {}, False),
        (3.28, (1_400_000.0, 500_000.0), 2248, {"metres_per_unit": 0.3048}, True),
    ],
)
def test_raster_of_other_cells_is_refused(folder, raster, cell, corner, reference, scalars, is_fit):
    other = Raster(raster.pixels_chw, raster.mask_chw, raster.nodata, cell, corner, reference)
    function = load(folder / FUNCTION)
    if is_fit:
        start(function, other, **scalars)
        return
    with pytest.raises(ValueError, match=r"not like those of training: cells are .* training 1 m;"):
        start(function, other, **scalars)


def test_map_that_is_zoomed_out_is_empty_and_says_why(folder, raster, caplog):
    function = load(folder / FUNCTION)
    start(function, raster)
    assert function.updateKeyMetadata((), -1)["lcseg_problem"] == ""
    props = {**raster.info(0, 0, HEIGHT, WIDTH), "cellSize": (4.0, 4.0), "pixelType": "u1"}
    blocks = {"raster_pixels": raster.pixels_chw, "raster_mask": raster.mask_chw}
    for _ in range(2):
        made = function.updatePixels((0.0, 0.0), (20, 30), props, **blocks)
        assert (made["output_pixels"] == 255).all()
        assert not made["output_mask"].any()
    assert len(caplog.messages) == 1
    assert "cells are 4 m, those of training 1 m; zoom in" in caplog.messages[0]
    assert "cells are 4 m" in function.updateKeyMetadata((), -1)["lcseg_problem"]


def test_other_pixels_and_outputs_are_refused(folder, raster):
    function = load(folder / FUNCTION)
    for pixels_chw, message in (
        (raster.pixels_chw.astype(np.uint16), "pixels are u2, those of training u1"),
        (raster.pixels_chw[:3], "3 bands, the model takes red, green, blue, band_4"),
    ):
        with pytest.raises(ValueError, match=message):
            start(function, Raster(pixels_chw, raster.mask_chw[: len(pixels_chw)]))
    with pytest.raises(ValueError, match="output_type is soft, expected Hardmax or Softmax"):
        start(function, raster, output_type="soft")


def test_server_predicts_the_same_map(
    folder, bundle, raster, expected_hw, sure_hw, tmp_path, monkeypatch
):
    image = write_raster(tmp_path / "image.tif", raster.pixels_chw.transpose(1, 2, 0), nodata=0)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with running(ServeConfig(model=str(bundle), image=image, port=0)) as address:
        pixels, _ = draw(load(folder / FUNCTION), raster, server_url=f"{address}/")
    np.testing.assert_array_equal(pixels[0][sure_hw], expected_hw[sure_hw])


@pytest.fixture
def answering() -> Iterator[Callable[[np.ndarray], str]]:
    """A function that starts a server which answers an array, and gives its address."""
    servers = []

    def begin(answer: np.ndarray) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                made = io.BytesIO()
                np.save(made, answer, allow_pickle=False)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(made.getvalue())

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield begin
    for server in servers:
        server.shutdown()
        server.server_close()


def test_server_that_does_not_predict_is_named(folder, raster, answering, bundle, tmp_path):
    function = load(folder / FUNCTION)
    wrong = answering(np.zeros((4, 4, 7), np.float32))
    with pytest.raises(RuntimeError, match=r"answers float32 .* it may serve another model"):
        draw(function, raster, server_url=wrong)
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:9/arcgis/block does not predict: "):
        draw(function, raster, server_url="http://127.0.0.1:9")
    other = make_bundle(tmp_path / "other", UNetConfig(2, 4))
    image = write_raster(tmp_path / "image.tif", raster.pixels_chw.transpose(1, 2, 0), nodata=0)
    with (
        running(ServeConfig(model=str(other), image=image, port=0)) as address,
        pytest.raises(RuntimeError, match="does not predict: HTTP Error 404"),
    ):
        draw(function, raster, server_url=address)


def test_model_with_group_norm_is_refused_and_leaves_nothing(save_bundle_of, tmp_path):
    bundle = save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4, norm="group"))
    with pytest.raises(LcsegError) as caught:
        export_of(bundle, tmp_path)
    assert str(caught.value).startswith(f"{bundle}: normalises by all that it is shown")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_export_that_breaks_off_leaves_nothing(bundle, tmp_path, monkeypatch):
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lcseg.model.arcgis.describe", cut_off)
    with pytest.raises(KeyboardInterrupt):
        export_of(bundle, tmp_path)
    assert not list(tmp_path.iterdir())
