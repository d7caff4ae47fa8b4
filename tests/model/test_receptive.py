"""How far the network sees, by lighting single pixels in the dark."""

import keras
import numpy as np
import pytest
from keras import layers

from lcseg.model.config import UNetConfig
from lcseg.model.receptive import measure_halo
from lcseg.model.unet import ModelInput, build_unet


def reach_of_unet(depth: int, kernel_px: int = 3) -> tuple[int, int]:
    """How many pixels before and after an aligned block can change it, not yet rounded.

    One pixel at a time is followed forwards along a row, through a U-Net written out as sets of
    lit pixels.
    """
    stride = 2**depth
    side, start = 84 * stride, 40 * stride

    def twice(lit: np.ndarray) -> np.ndarray:
        for _ in range(2):
            lit = np.convolve(lit, np.ones(kernel_px), "same") > 0
        return lit

    def unet(lit: np.ndarray, level: int) -> np.ndarray:
        if level == depth:
            return twice(lit)
        skip = twice(lit)
        below = unet(skip.reshape(-1, 2).any(axis=1), level + 1)
        return twice(skip | below.repeat(2))

    seen = [
        pixel
        for pixel in range(side)
        if unet(np.arange(side) == pixel, 0)[start : start + 4 * stride].any()
    ]
    return start - seen[0], seen[-1] - (start + 4 * stride - 1)


def make_sensitive(model: keras.Model, seed: int) -> keras.Model:
    """Give a model positive kernels and no offsets: darkness stays dark, and no light is lost."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name = weight.path.rsplit("/", maxsplit=1)[-1]
        is_scale = name in ("kernel", "gamma", "moving_variance")
        values = random.uniform(0.5, 2, weight.shape) if is_scale else np.zeros(weight.shape)
        weight.assign(values)
    return model


def dark_unet(depth: int, norm: str, kernel_px: int = 3) -> keras.Model:
    model_input = ModelInput(1, "float32", (0.0,), (1.0,))
    config = UNetConfig(depth, 2, norm, kernel_px=kernel_px)
    return make_sensitive(build_unet(config, model_input, 2), depth)


def test_halo_is_the_margin_that_a_block_needs():
    model = build_unet(UNetConfig(2, 2), ModelInput(3, "uint8", (0.0,) * 3, (1.0,) * 3), 2)
    halo_px = measure_halo(model, stride_px=4)
    assert halo_px == -(-max(reach_of_unet(2)) // 4) * 4


@pytest.mark.parametrize("depth", range(5))
@pytest.mark.parametrize("norm", ["none", "batch", "sync_batch"])
def test_halo_is_the_reach_of_the_drawing_rounded_up_to_the_stride(depth, norm):
    stride = 2**depth
    halo_px = measure_halo(dark_unet(depth, norm), stride)
    reach_px = max(reach_of_unet(depth))
    assert halo_px % stride == 0
    assert reach_px <= halo_px < reach_px + stride
    assert halo_px <= 1.1 * reach_px


@pytest.mark.parametrize(
    ("depth", "norm", "kernel_px"),
    [(0, "batch", 3), (1, "none", 3), (4, "none", 3), (2, "none", 5), (3, "batch", 1)],
)
def test_pixel_at_the_reach_changes_a_block_and_one_beyond_does_not(depth, norm, kernel_px):
    model, stride = dark_unet(depth, norm, kernel_px), 2**depth
    halo_px = measure_halo(model, stride)
    before_px, after_px = reach_of_unet(depth, kernel_px)
    assert max(before_px, after_px) <= halo_px <= 1.1 * max(before_px, after_px)
    start = halo_px + stride
    block = slice(start, start + 4 * stride)
    side = 2 * start + 4 * stride

    def brightness_of_block(row: int, col: int) -> float:
        image = np.zeros((1, side, side, 1), np.float32)
        image[0, row, col] = 1e6
        return float(np.abs(model(image)[0, block, block]).max())

    middle, last = start + 2 * stride, start + 4 * stride - 1
    reached = [(middle, start - before_px), (middle, last + after_px)]
    beyond = [(middle, start - before_px - 1), (middle, last + after_px + 1)]
    beyond += [(middle, start - halo_px - 1), (middle, last + halo_px + 1)]
    for row, col in reached:
        assert brightness_of_block(row, col) > 0
        assert brightness_of_block(col, row) > 0
    for row, col in beyond:
        assert brightness_of_block(row, col) == 0
        assert brightness_of_block(col, row) == 0


@pytest.mark.parametrize("seed", range(4))
def test_random_pixels_beyond_the_halo_change_nothing_of_a_block(seed):
    random = np.random.default_rng(seed)
    config = UNetConfig(int(random.integers(0, 4)), 2, norm=str(random.choice(["none", "batch"])))
    keras.utils.set_random_seed(seed)
    model = build_unet(config, ModelInput(2, "uint8", (100.0,) * 2, (50.0,) * 2), 3)
    stride = config.stride_px
    halo_px = measure_halo(model, stride)
    side = 2 * halo_px + 6 * stride
    inside = slice(stride, side - stride)
    one, two = random.integers(0, 256, (2, 1, side, side, 2)).astype(np.uint8)
    two[:, inside, inside] = one[:, inside, inside]
    block = slice(halo_px + stride, side - halo_px - stride)
    same, changed = (np.asarray(model(x)) for x in (one, two))
    np.testing.assert_allclose(same[:, block, block], changed[:, block, block], atol=1e-5)
    assert not np.allclose(same, changed, atol=1e-3)


def test_layer_of_unknown_reach_is_refused_by_its_name():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.AveragePooling2D(2, name="far_sighted")(image))
    with pytest.raises(TypeError, match=r"reach of layer far_sighted .AveragePooling2D. is not"):
        measure_halo(model, 1)


def test_widening_whose_kernel_overlaps_is_refused():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2DTranspose(2, 3, 2, name="wide")(image))
    with pytest.raises(TypeError, match="layer wide: kernel and stride differ"):
        measure_halo(model, 2)
