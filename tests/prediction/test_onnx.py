"""Models in ONNX files: what they say of themselves and of pixels, and what is refused."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import rasterio

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.model.config import ExportConfig
from lcseg.model.export import export
from lcseg.prediction.onnx import OnnxModel


@pytest.fixture(scope="module")
def onnx_file(bundle, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return export(ExportConfig(str(bundle), "onnx", str(out))).out


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(np.float64(logits) - np.float64(logits).max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def test_onnx_file_answers_as_its_bundle_does(bundle, onnx_file):
    model, loaded = OnnxModel(onnx_file), load_bundle(bundle)
    assert model.info == loaded.info
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 4), np.uint8)
    logits_nhwk = model.predict(images)
    assert (logits_nhwk.shape, logits_nhwk.dtype) == ((2, 16, 24, 4), np.float32)
    np.testing.assert_allclose(logits_nhwk, loaded.model(images), atol=1e-4)


def test_answers_do_not_depend_on_the_number_of_threads(onnx_file):
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 4), np.uint8)
    one, two = (OnnxModel(onnx_file, threads).predict(images) for threads in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_map_of_a_scene_has_the_classes_and_probabilities_of_keras(bundle, onnx_file, scenes):
    with rasterio.open(scenes / "0_image.tif") as dataset:
        scene = np.moveaxis(dataset.read(), 0, -1)[None]
    logits, expected = OnnxModel(onnx_file).predict(scene), load_bundle(bundle).model(scene).numpy()
    np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
    np.testing.assert_allclose(softmax(logits), softmax(expected), atol=1e-4)
    assert len(np.unique(expected.argmax(-1))) > 1


@pytest.mark.real
def test_real_images_have_the_classes_and_probabilities_of_keras(bundle, onnx_file, real_data):
    model, keras_model = OnnxModel(onnx_file), load_bundle(bundle).model
    paths = sorted((real_data / "chesapeake-naip" / "patches").glob("*_naip-*.tif"))
    assert paths
    for path in paths:
        with rasterio.open(path) as dataset:
            image = np.moveaxis(dataset.read(), 0, -1)[None]
        logits, expected = model.predict(image), keras_model(image).numpy()
        np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))
        np.testing.assert_allclose(softmax(logits), softmax(expected), atol=1e-4)


def test_neither_tensorflow_nor_keras_is_imported(onnx_file):
    program = (
        "import sys, numpy\n"
        "from lcseg.prediction.onnx import OnnxModel\n"
        f"model = OnnxModel({str(onnx_file)!r})\n"
        "model.predict(numpy.zeros((1, 8, 8, 4), numpy.uint8))\n"
        "print(sorted({'tensorflow', 'keras', 'onnx'} & set(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (result.stdout, result.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.int16),
        np.zeros((1, 6, 8, 4), np.uint8),
        np.zeros((1, 8, 9, 4), np.uint8),
    ],
    ids=lambda images: f"{images.dtype} {images.shape}",
)
def test_images_that_do_not_fit_are_refused(onnx_file, images):
    message = r"images are .*, expected uint8 \[N, H, W, 4\] with sides that 4 divides"
    with pytest.raises(ValueError, match=message):
        OnnxModel(onnx_file).predict(images)


def refusal(path) -> str:
    with pytest.raises(LcsegError) as caught:
        OnnxModel(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_file_that_is_missing_is_named(tmp_path):
    path = tmp_path / "model.onnx"
    assert refusal(path) == f"{path}: is missing; write one with lcseg export --format=onnx"


def test_file_that_is_broken_is_named(onnx_file, tmp_path):
    path = tmp_path / "model.onnx"
    content = onnx_file.read_bytes()
    for broken in (b"", b"not a model", content[: len(content) // 2]):
        path.write_bytes(broken)
        assert refusal(path).startswith(f"{path}: ")


def test_file_that_lcseg_did_not_write_is_refused(onnx_file, tmp_path):
    path, model = tmp_path / "model.onnx", onnx.load(onnx_file)
    del model.metadata_props[:]
    onnx.save(model, path)
    problem = "is ONNX, but says nothing of classes and bands"
    assert refusal(path) == f"{path}: {problem}; give a file that lcseg export wrote"


def test_file_of_a_later_lcseg_is_refused(onnx_file, tmp_path):
    path, model = tmp_path / "model.onnx", onnx.load(onnx_file)
    document = model.metadata_props[0].value.replace('"1.0"', '"2.0"')
    onnx.helper.set_model_props(model, {"bundle.json": document})
    onnx.save(model, path)
    assert f"{path}: is lcseg-bundle 2.0, this lcseg reads lcseg-bundle 1.0" == refusal(path)


def test_onnxruntime_that_is_not_installed_is_named_with_its_extra(onnx_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert refusal(onnx_file).startswith(f"{onnx_file}: takes onnxruntime to run: ")
    assert refusal(onnx_file).endswith("; pip install 'lcseg[onnx]'")
