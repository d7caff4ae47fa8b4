"""Class maps, read by windows as class indices, whoever made them.

with open_class_map("map.tif") as mapped:
    label_hw = mapped.read(Window(0, 0, 256, 256))   # uint8, 255 where the map says nothing

A map that lcseg wrote holds class indices, and tells their names. Any other one holds the codes of
a class scheme.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from lcseg.classes import IGNORE, ClassScheme, LandClass
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.cog import read_class_names
from lcseg.raster.dataset import grid_of, open_raster
from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Grid, Window
from lcseg.raster.label import LabelSource, open_label

_NO_COLOR = (128, 128, 128)


class ClassMap:
    """An open class map: `path`, `grid`, and `scheme`, whose codes are the values of its pixels."""

    def __init__(self, path: str, grid: Grid, scheme: ClassScheme, labels: LabelSource) -> None:
        self.path = path
        self.grid = grid
        self.scheme = scheme
        self._labels = labels

    @property
    def fit(self) -> LabelFit:
        """How its pixels lie under those of its grid, which may be that of another raster."""
        return self._labels.fit

    def read(self, window: Window) -> np.ndarray:
        """Read a window, which may overhang the map, as uint8 class indices [H, W].

        Raises:
            UnknownCodesError: a pixel holds the code of no class; an ignored code is none.
        """
        try:
            return self._labels.read(window)
        except UnknownCodesError as error:
            fix = "declare it as nodata if it is no data, or add it to a class of the scheme"
            raise UnknownCodesError(error.where, error.problem, fix) from error


@contextmanager
def open_class_map(
    path: str,
    scheme: ClassScheme | None = None,
    allow_ungeoreferenced: bool = False,
    grid: Grid | None = None,
    takes_ignored: bool = False,
) -> Iterator[ClassMap]:
    """Open a class map for reading by windows.

    Args:
        path: the map.
        scheme: its classes; None: those that it names itself.
        allow_ungeoreferenced: take a map without CRS.
        grid: on which it is read, as a label raster under an image; None: its own.
        takes_ignored: take the codes that `scheme` ignores for no data; else they are refused, for
            a map of class indices would be read wrongly without a word.

    Raises:
        LcsegError: the map has other classes than `scheme`, or names none where there is none.
    """
    if grid is None:
        with open_raster(path) as dataset:
            grid = grid_of(dataset)
    own = _scheme_of_map(path, scheme, takes_ignored)
    band = 0 if own.has_color_codes else 1
    with open_label(path, grid, own, band, allow_ungeoreferenced) as labels:
        yield ClassMap(path, grid, own, labels)


def _scheme_of_map(path: str, scheme: ClassScheme | None, takes_ignored: bool) -> ClassScheme:
    """The classes of a map by the values of its pixels."""
    names = read_class_names(path)
    if not names:
        if scheme is None:
            raise LcsegError(
                path, "does not name its classes", "give the scheme of its codes with --classes"
            )
        return scheme if takes_ignored else replace(scheme, ignore=())
    if scheme is None:
        return _read_scheme(path, names)
    if names != scheme.names:
        raise LcsegError(
            path,
            f"has the classes {', '.join(names)}, --classes has {', '.join(scheme.names)}",
            "give the scheme that the model was trained with",
        )
    classes = tuple(replace(land, codes=(i,)) for i, land in enumerate(scheme.classes))
    return replace(scheme, classes=classes, ignore=(IGNORE,))


def _read_scheme(path: str, names: tuple[str, ...]) -> ClassScheme:
    """The scheme of a map that lcseg wrote: its names, and the colours of its palette."""
    with open_raster(path) as dataset:
        name = dataset.tags().get("lcseg_classes", "map")
        try:
            palette = dataset.colormap(1)
        except ValueError:
            palette = {}
    colors = [palette.get(i, _NO_COLOR)[:3] for i in range(len(names))]
    classes = tuple(
        LandClass(text, "#{:02X}{:02X}{:02X}".format(*rgb), (i,))
        for i, (text, rgb) in enumerate(zip(names, colors, strict=True))
    )
    return ClassScheme(name, classes, ignore=(IGNORE,))
