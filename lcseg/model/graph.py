"""A Keras model as an ONNX graph, written layer by layer.

made = to_onnx(bundle.model, "image", "logits", {})  # raw pixels in, float32 logits out
made.SerializeToString()

What is NHWC outside is NCHW within, as ONNX has it. All is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 17, 8
"""Those of ONNX 1.12; onnxruntime 1.17.1 loads up to 20 and 9."""


class _Graph:
    """Nodes and the constants that they take, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; returns the name of its one output, which is its own."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, values: Any, name: str, dtype: type = np.float32) -> str:
        """Add an array; returns its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name


def to_onnx(
    model: keras.Model, image: str, logits: str, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Write a model as ONNX: pixels [N, H, W, bands] in, float32 logits [N, H, W, classes] out.

    Args:
        model: a Keras functional model of the layers of the U-Net, in any precision.
        image: what to call its input.
        logits: what to call its output.
        metadata: what the file is to say of itself.

    Raises:
        TypeError: a layer is not known, or is set up in a way that is not.
    """
    graph = _Graph()
    names = {id(model.inputs[0]): _to_nchw(graph, image)}
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        write = next((f for kind, f in _WRITERS.items() if isinstance(layer, kind)), None)
        if write is None:
            raise TypeError(f"layer {layer.name} ({type(layer).__name__}) has no ONNX form")
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names[id(layer.output)] = write(graph, layer, [names[id(x)] for x in inputs])
    graph.add("Transpose", [names[id(model.outputs[0])]], logits, perm=[0, 2, 3, 1])
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(model.inputs[0].dtype))
    float32 = onnx.TensorProto.FLOAT
    bands, classes = model.inputs[0].shape[-1], model.outputs[0].shape[-1]
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            model.name,
            [helper.make_tensor_value_info(image, dtype, ["N", "H", "W", bands])],
            [helper.make_tensor_value_info(logits, float32, ["N", "H", "W", classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lcseg",
    )
    helper.set_model_props(made, dict(metadata))
    onnx.checker.check_model(made, full_check=True)
    return made


def _to_nchw(graph: _Graph, image: str) -> str:
    cast = graph.add("Cast", [image], f"{image}/float32", to=onnx.TensorProto.FLOAT)
    return graph.add("Transpose", [cast], f"{image}/nchw", perm=[0, 3, 1, 2])


def _write_normalisation(graph: _Graph, layer: layers.Normalization, inputs: list[str]) -> str:
    mean, variance = (np.reshape(x, (-1, 1, 1)) for x in (layer.mean, layer.variance))
    # As Keras has it: a constant band is not divided by 0.
    std = np.maximum(np.sqrt(variance), keras.config.epsilon())
    centred = graph.add(
        "Sub", [*inputs, graph.constant(mean, f"{layer.name}/mean")], f"{layer.name}/centred"
    )
    return graph.add(
        "Div", [centred, graph.constant(std, f"{layer.name}/std")], f"{layer.name}/out"
    )


def _write_convolution(graph: _Graph, layer: layers.Conv2D, inputs: list[str]) -> str:
    _require(layer, layer.padding == "same" or layer.kernel_size == (1, 1))
    _require(layer, layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1)
    height, width = layer.kernel_size
    _require(layer, height % 2 == width % 2 == 1 and _is_linear(layer))
    pads = [height // 2, width // 2] * 2
    return graph.add(
        "Conv",
        [*inputs, *_kernel_and_bias(graph, layer, (3, 2, 0, 1))],
        f"{layer.name}/out",
        pads=pads,
    )


def _write_widening(graph: _Graph, layer: layers.Conv2DTranspose, inputs: list[str]) -> str:
    _require(layer, layer.kernel_size == layer.strides and _is_linear(layer))
    return graph.add(
        "ConvTranspose",
        [*inputs, *_kernel_and_bias(graph, layer, (3, 2, 0, 1))],
        f"{layer.name}/out",
        strides=layer.strides,
    )


def _write_pooling(graph: _Graph, layer: layers.MaxPooling2D, inputs: list[str]) -> str:
    _require(layer, layer.padding == "valid" and layer.pool_size == layer.strides)
    return graph.add(
        "MaxPool", inputs, f"{layer.name}/out", kernel_shape=layer.pool_size, strides=layer.strides
    )


def _write_batch_norm(graph: _Graph, layer: layers.BatchNormalization, inputs: list[str]) -> str:
    _require(layer, layer.center and layer.scale)
    weights = [
        graph.constant(getattr(layer, name), f"{layer.name}/{name}")
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    ]
    return graph.add(
        "BatchNormalization", [*inputs, *weights], f"{layer.name}/out", epsilon=float(layer.epsilon)
    )


def _write_group_norm(graph: _Graph, layer: layers.GroupNormalization, inputs: list[str]) -> str:
    """A group as one row, which is normalised as an instance; before opset 21 ONNX has no other."""
    _require(layer, layer.center and layer.scale)
    name, groups = layer.name, layer.groups
    rows = graph.constant([0, groups, -1], f"{name}/rows", np.int64)
    grouped = graph.add("Reshape", [*inputs, rows], f"{name}/grouped")
    plain = [
        graph.constant(np.full(groups, value), f"{name}/{what}")
        for what, value in (("one", 1), ("zero", 0))
    ]
    normal = graph.add(
        "InstanceNormalization",
        [grouped, *plain],
        f"{name}/normal",
        epsilon=float(layer.epsilon),
    )
    shape = graph.add("Shape", inputs, f"{name}/shape")
    x = graph.add("Reshape", [normal, shape], f"{name}/ungrouped")
    for kind, weight in (("Mul", "gamma"), ("Add", "beta")):
        values = np.reshape(getattr(layer, weight), (-1, 1, 1))
        end = f"{name}/out" if kind == "Add" else f"{name}/scaled"
        x = graph.add(kind, [x, graph.constant(values, f"{name}/{weight}")], end)
    return x


def _write_relu(graph: _Graph, layer: layers.ReLU, inputs: list[str]) -> str:
    _require(layer, layer.max_value is None and not layer.negative_slope and not layer.threshold)
    return graph.add("Relu", inputs, f"{layer.name}/out")


def _write_joint(graph: _Graph, layer: layers.Concatenate, inputs: list[str]) -> str:
    _require(layer, layer.axis in (-1, 3))
    return graph.add("Concat", inputs, f"{layer.name}/out", axis=1)


def _kernel_and_bias(
    graph: _Graph, layer: layers.Layer, order: tuple[int, int, int, int]
) -> list[str]:
    kernel = graph.constant(np.transpose(layer.kernel, order), f"{layer.name}/kernel")
    bias = [graph.constant(layer.bias, f"{layer.name}/bias")] if layer.use_bias else []
    return [kernel, *bias]


def _is_linear(layer: layers.Layer) -> bool:
    return layer.activation is keras.activations.linear


def _require(layer: layers.Layer, is_known: bool) -> None:
    if not is_known:
        raise TypeError(f"layer {layer.name} is set up in a way that has no ONNX form here")


_WRITERS: dict[type, Callable[..., str]] = {
    layers.Normalization: _write_normalisation,
    layers.Conv2D: _write_convolution,
    layers.Conv2DTranspose: _write_widening,
    layers.MaxPooling2D: _write_pooling,
    layers.BatchNormalization: _write_batch_norm,
    layers.GroupNormalization: _write_group_norm,
    layers.ReLU: _write_relu,
    layers.Concatenate: _write_joint,
}
