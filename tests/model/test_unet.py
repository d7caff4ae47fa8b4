"""The network: its shape, its weights, what it makes of raw pixels."""

import itertools

import keras
import numpy as np
import pytest

from lcseg.model.config import LossConfig, UNetConfig
from lcseg.model.unet import ModelInput, build_unet

NORMS = ("batch", "sync_batch", "group", "none")
WEIGHTS_OF_NORM = {"none": 1, "group": 2, "batch": 4}
"""Of each filter; a convolution without a norm has a bias."""


def count_weights(config: UNetConfig, bands: int, n_classes: int) -> int:
    """Weights by the drawing of the U-Net: two 3 x 3 convolutions at each level, down and up."""

    def twice(into: int, out: int) -> int:
        kernels = 9 * (into + out) * out
        return kernels + 2 * out * WEIGHTS_OF_NORM[config.norm]

    sizes = [config.width * 2**level for level in range(config.depth + 1)]
    down = sum(twice(*pair) for pair in zip([bands, *sizes], sizes, strict=False))
    widen = sum(4 * high * low + low for low, high in itertools.pairwise(sizes))
    up = sum(twice(2 * size, size) for size in sizes[:-1])
    return down + widen + up + sizes[0] * n_classes + n_classes


def plain_input(bands: int, dtype: str = "uint8") -> ModelInput:
    return ModelInput(bands, dtype, (90.0,) * bands, (30.0,) * bands)


def test_raw_pixels_become_logits_of_their_own_size():
    model = build_unet(UNetConfig(depth=2, width=3), plain_input(4), n_classes=5)
    logits = model(np.full((2, 8, 12, 4), 200, np.uint8))
    assert logits.shape == (2, 8, 12, 5)
    assert logits.dtype == "float32"


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize(
    ("width", "bands", "norm"), [(1, 1, "none"), (3, 13, "batch"), (2, 3, "group")]
)
def test_network_of_any_size_has_the_weights_of_its_drawing(depth, width, bands, norm):
    config = UNetConfig(depth, width, norm)
    model = build_unet(config, plain_input(bands), n_classes=3)
    assert model.count_params() == count_weights(config, bands, 3)
    side = 2 * config.stride_px
    assert model.compute_output_shape((1, side, side, bands)) == (1, side, side, 3)
    assert model(np.zeros((1, side, side, bands), np.uint8)).shape == (1, side, side, 3)


@pytest.mark.parametrize(
    ("width", "groups"),
    [(1, [1, 2, 4]), (6, [2, 4, 8]), (16, [16, 32, 32]), (24, [8, 16, 32]), (64, [32, 32, 32])],
)
def test_groups_are_the_most_of_at_most_32_that_divide_the_filters(width, groups):
    model = build_unet(UNetConfig(2, width, "group"), plain_input(3), n_classes=3)
    names = ["down0", "down1", "bottom", "up1", "up0"]
    found = [model.get_layer(f"{name}{part}_norm").groups for name in names for part in "ab"]
    assert found == [count for level in (0, 1, 2, 1, 0) for count in [groups[level]] * 2]


def test_group_norm_is_over_a_whole_sample_and_the_filters_of_a_group():
    model = build_unet(UNetConfig(0, 6, "group"), plain_input(3), n_classes=3)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3)).astype(np.uint8)
    both = [model.get_layer(f"bottoma_{name}").output for name in ("conv", "norm")]
    before, after = (np.asarray(x) for x in keras.Model(model.input, both)(images))
    x = before.astype(np.float64).reshape(2, 8, 12, 2, 3)
    mean, variance = (f(x, axis=(1, 2, 4), keepdims=True) for f in (np.mean, np.var))
    expected = ((x - mean) / np.sqrt(variance + 1e-3)).reshape(before.shape)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5)
    alone = keras.Model(model.input, both)(images[1:])[1]
    np.testing.assert_allclose(alone, after[1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_first_layer_normalises_every_dtype_as_numpy_does(dtype):
    info = np.finfo("f2") if dtype == "float32" else np.iinfo(dtype)
    mean, std = (10.0, 1000.0, -3.5), (2.5, 300.0, 1.0)
    model = build_unet(UNetConfig(0, 1), ModelInput(3, dtype, mean, std), 2)
    image = np.linspace(float(info.min), float(info.max), 48).reshape(1, 4, 4, 3).astype(dtype)
    first = keras.Model(model.input, model.get_layer("normalise").output)(image)
    np.testing.assert_allclose(first, (image.astype(np.float64) - mean) / std, rtol=1e-6)


@pytest.mark.parametrize("precision", ["none", "bfloat16", "float16"])
@pytest.mark.parametrize("norm", NORMS)
def test_greatest_values_stay_finite_and_logits_are_float32_in_any_precision(precision, norm):
    model_input = ModelInput(2, "uint16", (800.0, 1200.0), (250.0, 400.0))
    keras.utils.set_random_seed(0)
    model = build_unet(UNetConfig(2, 4, norm, precision), model_input, 3)
    images = np.full((1, 8, 8, 2), 65535, np.uint16)
    for training in (False, True):
        logits = model(images, training=training)
        assert logits.dtype == "float32"
        assert np.isfinite(logits).all()
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.get_layer("normalise").compute_dtype == "float32"


@pytest.mark.parametrize("precision", ["none", "bfloat16", "float16"])
def test_model_that_was_saved_and_loaded_answers_the_same(tmp_path, precision):
    model = build_unet(UNetConfig(2, 2, "batch", precision), plain_input(3, "uint16"), 4)
    image = np.random.default_rng(0).integers(0, 4000, (1, 8, 8, 3)).astype(np.uint16)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded(image), model(image))


@pytest.mark.parametrize(
    ("kind", "choice", "says"),
    [
        (UNetConfig, {"depth": 9}, "--depth must be 0 to 8"),
        (UNetConfig, {"depth": -1}, "--depth must be 0 to 8"),
        (UNetConfig, {"width": 0}, "--width at least 1"),
        (LossConfig, {"max_class_weight": 0}, "--max_class_weight must be above 0"),
    ],
)
def test_choice_that_makes_no_network_is_refused_by_its_flag(kind, choice, says):
    with pytest.raises(ValueError, match=says):
        kind(**choice)
