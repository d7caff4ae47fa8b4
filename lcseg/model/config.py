"""What a user may choose about the network, its loss, and its export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from lcseg.files import require_local


@dataclass(frozen=True)
class UNetConfig:
    """The shape of the network."""

    depth: Annotated[int, "How often the network halves the resolution."] = 4
    width: Annotated[int, "Filters at full resolution; doubled at each halving."] = 32
    norm: Annotated[
        Literal["batch", "sync_batch", "group", "none"],
        "Normalisation after each convolution; sync_batch and batch: by all devices, or by each.",
    ] = "batch"
    mixed_precision: Annotated[
        Literal["none", "bfloat16", "float16"], "Type to compute in; weights stay float32."
    ] = "none"
    kernel_px: Annotated[int, "Side of the kernels, an odd number of pixels."] = 3

    def __post_init__(self) -> None:
        if not (0 <= self.depth <= 8 and self.width >= 1):
            raise ValueError("--depth must be 0 to 8 and --width at least 1")
        if not (self.kernel_px % 2 and 1 <= self.kernel_px <= 15):
            raise ValueError("--kernel_px must be an odd number from 1 to 15")

    @property
    def stride_px(self) -> int:
        """Sides of an input must be a multiple of this."""
        return 2**self.depth


@dataclass(frozen=True)
class LossConfig:
    """What training makes small."""

    loss: Annotated[
        Literal["cross_entropy", "focal", "dice_cross_entropy"], "What training makes small."
    ] = "cross_entropy"
    class_weights: Annotated[
        Literal["none", "inverse", "median_frequency", "effective_number"],
        "How classes are weighted by how common they are in the training split.",
    ] = "none"
    max_class_weight: Annotated[float, "Cap on the weight of a rare class."] = 10.0

    def __post_init__(self) -> None:
        if self.max_class_weight <= 0:
            raise ValueError("--max_class_weight must be above 0")


@dataclass(frozen=True)
class ExportConfig:
    """What is exported, as what, and where to."""

    model: Annotated[str, "Bundle to export."]
    format: Annotated[
        Literal["savedmodel", "onnx", "arcgis"],
        "savedmodel: a folder, for TensorFlow; onnx: a file; arcgis: a folder, for ArcGIS Pro.",
    ]
    out: Annotated[str, "Folder, or file that ends in .onnx; must not exist yet."]

    def __post_init__(self) -> None:
        require_local(self.out, "out")
        if (Path(self.out).suffix == ".onnx") != (self.format == "onnx"):
            raise ValueError("--out must end in .onnx with --format=onnx, and only then")
