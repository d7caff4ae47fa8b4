"""Rasters that threads have open: GDAL's datasets serve one thread at a time.

handles = Handles()
scene = handles.scene(dataset)                 # of this thread; opened when it is first asked for
label = handles.label(dataset)
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, TypeVar

from lcseg.prediction.task import Scene, open_scene
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.label import LabelSource, open_label
from lcseg.raster.source import ImageSource, open_image
from lcseg.serving.changes import Changes
from lcseg.serving.dataset import Dataset

T = TypeVar("T")

_MOST = 8
"""Rasters that a thread keeps open."""


class Handles:
    """Opens rasters for each thread, and keeps the last few of them open."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def scene(self, dataset: Dataset) -> Scene:
        """The scene as the model reads it."""
        return self._keep(("scene", dataset.version), lambda: open_scene(dataset.task.scene))

    def label(self, dataset: Dataset) -> LabelSource:
        """The label raster, on the grid of the image."""
        entry = dataset.entry
        return self._keep(
            ("label", dataset.version),
            lambda: open_label(entry.label, dataset.grid, dataset.scheme, entry.label_band),
        )

    def image(self, dataset: Dataset, overview: int | None) -> ImageSource:
        """The bands of the image that are shown, in one of its sizes."""
        return self._keep(
            ("image", dataset.version, overview),
            lambda: open_image(dataset.entry.image, dataset.alpha, dataset.image_bands, overview),
        )

    def map(self, dataset: Dataset, overview: int | None) -> ImageSource:
        """The map, in one of its sizes."""
        return self._keep(
            ("map", dataset.version, overview),
            lambda: open_image(dataset.entry.map, 0, ("1",), overview),
        )

    def change(self, changes: Changes, version: str) -> ClassMap:
        """A map of transitions."""
        return self._keep(("change", version), lambda: open_class_map(changes.path))

    def probability(self, changes: Changes, version: str) -> ImageSource:
        """The probability of change."""
        return self._keep(
            ("probability", version), lambda: open_image(changes.probability, 0, ("1",))
        )

    def _keep(self, key: object, opened: Callable[[], AbstractContextManager[T]]) -> T:
        kept: OrderedDict[object, tuple[ExitStack, Any]] | None
        kept = vars(self._of_thread).setdefault("kept", OrderedDict())
        if key not in kept:
            stack = ExitStack()
            kept[key] = stack, stack.enter_context(opened())
        kept.move_to_end(key)
        while len(kept) > _MOST:
            _, (stack, _) = kept.popitem(last=False)
            stack.close()
        found: T = kept[key][1]
        return found
