"""What can be shown of a data set.

list_layers(dataset)                           # ["imagery", "classes", …]
"""

from __future__ import annotations

import numpy as np

from lcseg.raster.probabilities import PROBABILITY_ONE
from lcseg.serving.dataset import Dataset

TITLES = {
    "imagery": "Imagery",
    "classes": "Land cover",
    "soft": "Land cover, mixed by probability",
    "confidence": "Confidence",
    "labels": "Reference",
    "difference": "Difference from the reference",
    "change": "Change",
}
"""The layers, and what people call them."""

REFERENCE_LAYERS = ("labels", "difference")
"""They take a label raster."""

THEMATIC_LAYERS = ("classes", "labels", "difference", "change")
"""Their pixels are values with names."""

AGREES, DIFFERS = 0, 1
"""Values of the difference."""

DIFFERENCE_NAMES = ("as the reference", "other than the reference")
DIFFERENCE_PALETTE = np.array([[200, 200, 200], [214, 40, 40]], np.uint8)


def list_layers(dataset: Dataset) -> list[str]:
    """The layers that a data set has."""
    lacking = () if dataset.entry.label else REFERENCE_LAYERS
    return [
        name
        for name in TITLES
        if name not in lacking and (name != "change" or dataset.changes is not None)
    ]


def say_title(dataset: Dataset, layer: str) -> str:
    """What people call a layer of a data set."""
    return f"{dataset.title}: {TITLES[layer]}"


def list_entries(dataset: Dataset, layer: str) -> list[tuple[int, str, tuple[int, int, int]]]:
    """Value, name and colour of what a layer tells apart; empty where it shows no classes."""
    if layer in ("classes", "labels"):
        names, palette = dataset.scheme.names, dataset.scheme.palette
    elif layer == "difference":
        names, palette = DIFFERENCE_NAMES, DIFFERENCE_PALETTE
    elif layer == "change":
        return sorted(list_changes(dataset))
    else:
        return []
    colors = palette.tolist()
    return [
        (i, name, tuple(color)) for i, (name, color) in enumerate(zip(names, colors, strict=True))
    ]


def list_changes(dataset: Dataset) -> list[tuple[int, str, tuple[int, int, int]]]:
    """Value, name and colour of each change that there is, the commonest first."""
    if dataset.changes is None:
        return []
    scheme = dataset.changes.scheme
    colors = scheme.palette.tolist()
    return [(code, scheme.names[code], tuple(colors[code])) for code in dataset.changes.pixels]


def confidence_palette() -> np.ndarray:
    """Colours of confidence by share of 254, uint8 [255, 3]: from violet, none, to yellow."""
    from matplotlib import colormaps

    shares = np.arange(PROBABILITY_ONE + 1) / PROBABILITY_ONE
    return np.rint(colormaps["viridis"](shares)[:, :3] * 255).astype(np.uint8)
