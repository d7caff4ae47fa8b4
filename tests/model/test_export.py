"""Exported bundles, loaded as other programs would load them."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from lcseg.errors import LcsegError
from lcseg.model.bundle import load_bundle
from lcseg.model.config import ExportConfig, UNetConfig
from lcseg.model.export import export, to_float32
from lcseg.model.unet import ModelInput, build_unet

NAMES = {"savedmodel": "saved", "onnx": "model.onnx"}


def config_of(bundle, name: str, folder) -> ExportConfig:
    return ExportConfig(model=str(bundle), format=name, out=str(folder / NAMES[name]))


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def run_saved_model(folder, images: np.ndarray) -> np.ndarray:
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return serve(image=tf.constant(images))["logits"].numpy()


def run_onnx(path, images: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path)).run(["logits"], {"image": images})[0]


RUNS = {"savedmodel": run_saved_model, "onnx": run_onnx}


@pytest.mark.parametrize("name", NAMES)
def test_exported_bundle_answers_as_it_did(bundle, tmp_path, name):
    exported = export(config_of(bundle, name, tmp_path))
    loaded = load_bundle(bundle)
    assert exported.info == loaded.info
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[name]]
    for shape in ((1, 16, 16, 4), (3, 8, 40, 4)):
        images = pixels(*shape)
        expected = np.asarray(loaded.model(images))
        logits = RUNS[name](exported.out, images)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("norm", ["sync_batch", "group", "none"])
def test_model_of_less_precision_is_exported_in_float32(save_bundle_of, tmp_path, name, norm):
    bundle = save_bundle_of(
        tmp_path / "bundle", UNetConfig(2, 4, norm=norm, mixed_precision="bfloat16")
    )
    model = load_bundle(bundle).model
    plain = build_unet(
        UNetConfig(2, 4, norm=norm), ModelInput(4, "uint8", (100.0,) * 4, (40.0,) * 4), 4
    )
    plain.set_weights(model.get_weights())
    images = pixels(1, 16, 16, 4)
    logits = RUNS[name](export(config_of(bundle, name, tmp_path)).out, images)
    np.testing.assert_allclose(logits, plain(images), atol=1e-4)
    assert np.abs(logits - np.asarray(model(images))).max() > 1e-3


def test_what_the_bundle_says_of_itself_goes_with_it(bundle, tmp_path):
    document = json.loads((bundle / "bundle.json").read_text())
    saved = export(config_of(bundle, "savedmodel", tmp_path)).out
    assert json.loads((saved / "assets.extra" / "bundle.json").read_text()) == document
    session = onnxruntime.InferenceSession(str(export(config_of(bundle, "onnx", tmp_path)).out))
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["bundle.json"]) == document
    assert {"class_scheme", "bands", "halo_px", "stride_px", "mean", "std"} <= set(document)


def test_what_goes_in_and_comes_out_is_told(bundle, tmp_path):
    assert str(export(config_of(bundle, "onnx", tmp_path))) == (
        "in: image, uint8 [N, H, W, 4], raw red, green, blue, band_4; "
        "H and W are multiples of 4\n"
        "out: logits, float32 [N, H, W, 4], "
        "water, tree/forest, grass/herbaceous, barren/impervious\n"
        f"halo: read {load_bundle(bundle).info.halo_px} px more at each side, and cut them off\n"
    )


def test_same_bundle_gives_the_same_onnx_file(bundle, tmp_path):
    first, second = (
        export(ExportConfig(str(bundle), "onnx", f"{tmp_path}/{n}.onnx")).out for n in (1, 2)
    )
    assert first.read_bytes() == second.read_bytes()


def test_copy_in_float32_computes_and_weighs_the_same(bundle):
    model = load_bundle(bundle).model
    images = pixels(1, 16, 16, 4)
    np.testing.assert_allclose(to_float32(model)(images), model(images), atol=1e-6)
    assert {layer.compute_dtype for layer in to_float32(model).layers[1:]} == {"float32"}


@pytest.mark.parametrize("name", NAMES)
def test_what_exists_is_left_alone(bundle, tmp_path, name):
    taken = tmp_path / NAMES[name]
    taken.write_text("mine")
    with pytest.raises(LcsegError) as caught:
        export(config_of(bundle, name, tmp_path))
    assert str(caught.value) == f"{taken}: exists already; name another --out, or remove it first"
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("name", NAMES)
def test_export_that_breaks_off_leaves_nothing(bundle, tmp_path, monkeypatch, name):
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lcseg.model.export.format_document", cut_off)
    with pytest.raises(KeyboardInterrupt):
        export(config_of(bundle, name, tmp_path))
    assert not list(tmp_path.iterdir())


def test_onnx_that_is_not_installed_is_named_with_its_extra(bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "lcseg.model.graph", raising=False)
    message = r"--format=onnx: takes the package onnx: .*; pip install 'lcseg\[onnx\]'"
    with pytest.raises(LcsegError, match=message):
        export(config_of(bundle, "onnx", tmp_path))


@pytest.mark.parametrize(
    ("name", "out"), [("onnx", "model"), ("onnx", "model.pb"), ("savedmodel", "model.onnx")]
)
def test_name_of_another_format_is_refused(name, out):
    with pytest.raises(ValueError, match=r"--out must end in \.onnx with --format=onnx, and only"):
        ExportConfig(model="bundle", format=name, out=out)
