"""ONNX graphs: run by onnxruntime, and held against Keras."""

import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from lcseg.model.bundle import load_bundle
from lcseg.model.config import UNetConfig
from lcseg.model.graph import to_onnx
from lcseg.model.unet import ModelInput, build_unet

NORMS = ("batch", "sync_batch", "group", "none")
OPSET_OF_ONNXRUNTIME_1_17, IR_OF_ONNXRUNTIME_1_17 = 20, 9
"""The greatest that it loads."""


def open_graph(model: keras.Model) -> onnxruntime.InferenceSession:
    made = to_onnx(model, "image", "logits", {})
    return onnxruntime.InferenceSession(made.SerializeToString())


def answer(session: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    (logits,) = session.run(["logits"], {"image": images})
    return logits


def pixels(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.fixture(scope="module")
def small(bundle):
    """A model, and its graph."""
    model = load_bundle(bundle).model
    return model, open_graph(model)


def test_graph_answers_as_keras_does(bundle):
    model = load_bundle(bundle).model
    made = to_onnx(model, "image", "logits", {"made by": "a test"})
    images = pixels(2, 16, 24, 4)
    logits = answer(onnxruntime.InferenceSession(made.SerializeToString()), images)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, model(images), atol=1e-4)
    assert {prop.key: prop.value for prop in made.metadata_props} == {"made by": "a test"}


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))
def test_graph_takes_any_number_of_images_of_any_size(small, n, rows, cols):
    model, session = small
    images = pixels(n, 4 * rows, 4 * cols, 4)
    np.testing.assert_allclose(answer(session, images), model(images), atol=1e-4)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("depth", range(5))
def test_graph_of_every_norm_and_depth_answers_as_keras_does(save_bundle_of, tmp_path, norm, depth):
    model = load_bundle(save_bundle_of(tmp_path / "bundle", UNetConfig(depth, 6, norm=norm))).model
    images = pixels(2, 32, 48, 4)
    np.testing.assert_allclose(answer(open_graph(model), images), model(images), atol=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_graph_takes_the_whole_range_of_every_type(save_bundle_of, tmp_path, dtype):
    bundle = load_bundle(save_bundle_of(tmp_path / "bundle", UNetConfig(1, 4), dtype=dtype))
    info = np.finfo("f2") if dtype == "float32" else np.iinfo(dtype)
    images = (
        np.linspace(float(info.min), float(info.max), 8 * 8 * 4).reshape(1, 8, 8, 4).astype(dtype)
    )
    expected = np.asarray(bundle.model(images))
    scale = np.abs(expected).max()
    assert np.isfinite(scale)
    np.testing.assert_allclose(
        answer(open_graph(bundle.model), images) / scale, expected / scale, atol=1e-5
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("norm", NORMS)
def test_graph_of_a_model_of_less_precision_is_in_float32(precision, norm):
    model_input = ModelInput(4, "uint8", (100.0,) * 4, (40.0,) * 4)
    mixed, plain = (
        build_unet(UNetConfig(2, 4, norm=norm, mixed_precision=p), model_input, 3)
        for p in (precision, "none")
    )
    plain.set_weights(mixed.get_weights())
    images = pixels(1, 16, 16, 4)
    np.testing.assert_allclose(answer(open_graph(mixed), images), plain(images), atol=1e-4)


@pytest.mark.parametrize("kernel_px", [(1, 1), (3, 5), (7, 7)])
def test_kernel_of_any_odd_size_stays_centred(kernel_px):
    image = keras.Input((None, None, 3), dtype="float32")
    model = keras.Model(image, layers.Conv2D(2, kernel_px, padding="same")(image))
    images = pixels(1, 9, 10, 3, dtype="float32")
    np.testing.assert_allclose(
        answer(open_graph(model), images), model(images), rtol=1e-5, atol=1e-3
    )


def test_constant_band_is_not_divided_by_nothing():
    model = build_unet(UNetConfig(0, 2), ModelInput(1, "uint8", (7.0,), (0.0,)), 2)
    images = np.full((1, 4, 4, 1), 7, np.uint8)
    np.testing.assert_allclose(answer(open_graph(model), images), model(images), atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_graph_asks_no_more_than_onnxruntime_1_17_loads(norm):
    model = build_unet(UNetConfig(1, 2, norm=norm), ModelInput(1, "uint8", (0.0,), (1.0,)), 2)
    made = to_onnx(model, "image", "logits", {})
    assert [opset.domain for opset in made.opset_import] == [""]
    assert made.opset_import[0].version <= OPSET_OF_ONNXRUNTIME_1_17
    assert made.ir_version <= IR_OF_ONNXRUNTIME_1_17


def test_number_and_size_of_images_are_free_in_the_graph(small):
    _, session = small
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["N", "H", "W", 4])
    assert (logits.name, logits.type) == ("logits", "tensor(float)")
    assert logits.shape == ["N", "H", "W", 4]


def test_layer_that_is_not_known_is_refused_by_its_name():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.AveragePooling2D(2, name="mean")(image))
    with pytest.raises(TypeError, match=r"layer mean \(AveragePooling2D\) has no ONNX form"):
        to_onnx(model, "image", "logits", {})


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(2, 3, name="odd"),
        layers.Conv2D(2, 2, padding="same", name="odd"),
        layers.Conv2D(2, 3, 2, padding="same", name="odd"),
        layers.Conv2D(2, 3, padding="same", dilation_rate=2, name="odd"),
        layers.Conv2D(3, 3, padding="same", groups=3, name="odd"),
        layers.Conv2D(2, 3, padding="same", activation="relu", name="odd"),
        layers.Conv2DTranspose(2, 3, 2, name="odd"),
        layers.Conv2DTranspose(2, 2, 2, activation="relu", name="odd"),
        layers.MaxPooling2D(2, padding="same", name="odd"),
        layers.MaxPooling2D(2, 1, name="odd"),
        layers.BatchNormalization(scale=False, name="odd"),
        layers.GroupNormalization(3, center=False, name="odd"),
        layers.ReLU(6, name="odd"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layer_that_would_be_written_wrongly_is_refused(layer):
    image = keras.Input((None, None, 3))
    with pytest.raises(TypeError, match="layer odd is set up in a way that has no ONNX form"):
        to_onnx(keras.Model(image, layer(image)), "image", "logits", {})
