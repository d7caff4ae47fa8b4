"""What is predicted, from what: all that the values of a map depend on.

task = Task(model, sha, SceneSpec(images, …), products=("classes",), block_px=1024)
with open_scene(task.scene) as scene:
    image_hwc, valid_hw = scene.image.read(window)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial

from lcseg.documents import format_document
from lcseg.raster.area import Area, read_area
from lcseg.raster.grid import Window
from lcseg.raster.mosaic import Mosaic
from lcseg.raster.resampled import Resampled
from lcseg.raster.rescaled import Rescaled
from lcseg.raster.source import Imagery, open_image


@dataclass(frozen=True)
class ImageFile:
    """An image, and by what a change of it is known."""

    path: str
    alpha: int  # Its band of transparency; 0: none.
    files: tuple[tuple[str, int, int], ...]  # Path, bytes and time of change of each of its files.


@dataclass(frozen=True)
class SceneSpec:
    """Images, and how they are read."""

    images: tuple[ImageFile, ...]  # One, or those of a mosaic.
    bands: tuple[str, ...]  # Names or numbers; none: all.
    dtype: str  # That the model takes.
    scale: float | None  # None: values are as in training.
    offset: float
    factor: float  # Pixels along a side for each one of the image; 1: its own.
    aoi: str  # Vector file; empty: everywhere.
    aoi_sha256: str  # Of its content.


@dataclass(frozen=True)
class Task:
    """What one map is made from."""

    model: str  # A bundle's folder, or an ONNX file.
    model_sha256: str
    backend: str  # What runs the model.
    scene: SceneSpec
    products: tuple[str, ...]  # Names of rasters.
    block_px: int  # Side of a block, a multiple of the network's stride.
    blend_px: int  # How far blocks reach into their neighbours to be mixed; 0: not at all.

    @cached_property
    def digest(self) -> str:
        """One checksum for all of it."""
        return hashlib.sha256(format_document(self).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """Some blocks, which one process predicts at a time."""

    number: int  # From 0; gives the files their names.
    task: Task
    window: Window  # Of the scene's grid; in one piece with whole blocks.

    @property
    def source(self) -> str:
        """The first image that it reads."""
        return self.task.scene.images[0].path

    @property
    def digest(self) -> str:
        """One checksum for all that the outcome depends on."""
        return f"{self.task.digest} {self.number} {self.window}"


@dataclass(frozen=True)
class PartOutcome:
    """What came of a part."""

    digest: str  # Of the part.
    files: dict[str, int]  # Bytes of the file of each product; empty: no pixel has data.
    class_pixels: tuple[int, ...]


@dataclass(frozen=True)
class Scene:
    """An open scene."""

    image: Imagery
    area: Area | None  # None: everywhere.


@contextmanager
def open_scene(spec: SceneSpec) -> Iterator[Scene]:
    """Open what is mapped, as the model takes it."""
    alphas = {image.path: image.alpha for image in spec.images}
    with ExitStack() as stack:
        open_one = partial(_open_one, alphas, spec)
        paths = list(alphas)
        image = stack.enter_context(open_one(paths[0]))
        if len(paths) > 1:
            grids = [image.grid]
            for path in paths[1:]:
                with open_one(path) as other:
                    grids.append(other.grid)
            image = stack.enter_context(Mosaic(paths, grids, open_one, image.bands, image.dtype))
        if spec.factor != 1:
            image = Resampled(image, spec.factor)
        yield Scene(image, read_area(spec.aoi, image.grid) if spec.aoi else None)


@contextmanager
def _open_one(alphas: dict[str, int], spec: SceneSpec, path: str) -> Iterator[Imagery]:
    with open_image(path, alphas[path], spec.bands) as source:
        image: Imagery = source
        if spec.scale is not None:
            image = Rescaled(image, spec.scale, spec.offset, spec.dtype)
        yield image
