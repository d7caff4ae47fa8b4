"""How far a model sees: computed from its layers.

halo_px = measure_halo(model, stride_px=16)    # margin that block prediction reads
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

Interval = tuple[int, int]
"""First and last index along one axis."""

_BLOCK_STRIDES = 4


def measure_halo(model: keras.Model, stride_px: int) -> int:
    """Measure the margin that a block needs, so that nothing beyond it changes its answer.

    An aligned block of outputs is followed from the logits back through every layer to the
    pixels that it depends on.

    Args:
        model: a Keras functional model of layers with local support.
        stride_px: what blocks are aligned to.

    Returns:
        The margin in pixels, a multiple of `stride_px`.

    Raises:
        TypeError: a layer's reach is not known.
    """
    block = (0, _BLOCK_STRIDES * stride_px - 1)
    needed: dict[int, Interval] = {id(model.outputs[0]): block}
    for layer in reversed(model.layers):
        if isinstance(layer, layers.InputLayer):
            continue
        reach = next((f for kind, f in _REACH.items() if isinstance(layer, kind)), None)
        if reach is None:
            raise TypeError(
                f"the reach of layer {layer.name} ({type(layer).__name__}) is not known"
            )
        interval = reach(layer, needed[id(layer.output)])
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        for tensor in inputs:
            first, last = needed.get(id(tensor), interval)
            needed[id(tensor)] = min(first, interval[0]), max(last, interval[1])
    first, last = needed[id(model.inputs[0])]
    return -(-max(block[0] - first, last - block[1]) // stride_px) * stride_px


def _reach_convolution(layer: layers.Conv2D, out: Interval) -> Interval:
    margin = (layer.kernel_size[0] - 1) * layer.dilation_rate[0] // 2
    stride = layer.strides[0]
    return out[0] * stride - margin, out[1] * stride + margin


def _reach_pooling(layer: layers.MaxPooling2D, out: Interval) -> Interval:
    return out[0] * layer.strides[0], out[1] * layer.strides[0] + layer.pool_size[0] - 1


def _reach_widening(layer: layers.Conv2DTranspose, out: Interval) -> Interval:
    if layer.kernel_size != layer.strides:
        raise TypeError(f"layer {layer.name}: kernel and stride differ")
    return out[0] // layer.strides[0], out[1] // layer.strides[0]


def _reach_pixel(layer: layers.Layer, out: Interval) -> Interval:
    return out


# Conv2DTranspose is not a Conv2D in Keras, so the order does not matter.
_REACH: dict[type, Callable[..., Interval]] = {
    layers.Conv2D: _reach_convolution,
    layers.Conv2DTranspose: _reach_widening,
    layers.MaxPooling2D: _reach_pooling,
    layers.Normalization: _reach_pixel,
    layers.BatchNormalization: _reach_pixel,
    # Its statistics are of the whole window: who maps by blocks must know (`predictor`).
    layers.GroupNormalization: _reach_pixel,
    layers.ReLU: _reach_pixel,
    layers.Concatenate: _reach_pixel,
}
