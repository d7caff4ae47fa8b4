"""Two maps of a place, open, on the grid of the first.

with open_pair(before, after, scheme) as pair:
    before_hw, after_hw = pair.read(window)    # uint8 class indices, 255 where not known
    pair.read_probability(window)              # of change, float32; NaN where not known
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from lcseg.change.config import Dated
from lcseg.change.evidence import change_probability
from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError
from lcseg.raster.aligned import Aligned
from lcseg.raster.alignment import shares_ground
from lcseg.raster.class_map import ClassMap, open_class_map
from lcseg.raster.fit import LabelFit
from lcseg.raster.grid import Grid, Window, lattice
from lcseg.raster.probabilities import PROBABILITY_ONE, open_probabilities
from lcseg.raster.source import Imagery
from lcseg.transitions import require_tellable

_LOOKS, _LOOK_PX = 6, 128
_LEAST_AGREEING = 0.97
"""Share of pixels whose mapped class is the most probable one: what was sieved differs a little."""


@dataclass(frozen=True)
class MapPair:
    """Two maps, and how sure they are."""

    before: ClassMap
    after: ClassMap  # Read on the grid of the first.
    probabilities: tuple[Imagery, Imagery] | None  # Of the classes, on that grid; None: not known.

    @property
    def grid(self) -> Grid:
        """Of the first map: all is read on it."""
        return self.before.grid

    @property
    def scheme(self) -> ClassScheme:
        return self.before.scheme

    @property
    def fit(self) -> LabelFit:
        """How the second map lies under the first."""
        return self.after.fit

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Both maps in a window, which may overhang them."""
        return self.before.read(window), self.after.read(window)

    def read_probability(self, window: Window) -> np.ndarray | None:
        """The probability of change, float32 [H, W], NaN where it is not known; None: nowhere."""
        if self.probabilities is None:
            return None
        (before, is_known_before), (after, is_known_after) = (
            source.read(window) for source in self.probabilities
        )
        one = np.float32(PROBABILITY_ONE)
        probability_hw = change_probability(before / one, after / one)
        return np.where(is_known_before & is_known_after, probability_hw, np.float32(np.nan))


@contextmanager
def open_pair(
    before: Dated,
    after: Dated,
    scheme: ClassScheme | None = None,
    allow_ungeoreferenced: bool = False,
) -> Iterator[MapPair]:
    """Open the maps of two dates.

    Args:
        before: names the first map, whose grid is that of the comparison.
        after: names the second, which may have other pixels and another CRS.
        scheme: of maps that do not name their classes.
        allow_ungeoreferenced: take maps without CRS, pixel on pixel.

    Raises:
        LcsegError: the maps have unlike classes, too many of them, or do not overlap; or the
            probabilities are not those of the maps' classes.
    """
    with ExitStack() as stack:
        opened = stack.enter_context
        first = opened(open_class_map(before.map, scheme, allow_ungeoreferenced, None, True))
        grid = first.grid
        with open_class_map(after.map, scheme, allow_ungeoreferenced) as own:
            if grid.crs and own.grid.crs and not shares_ground(grid, own.grid):
                problem = f"does not overlap {before.map}"
                raise LcsegError(after.map, problem, "compare maps of one place")
        second = opened(open_class_map(after.map, scheme, allow_ungeoreferenced, grid, True))
        require_tellable(first.scheme, before.map)
        if second.scheme.names != first.scheme.names:
            raise LcsegError(
                after.map,
                f"has the classes {', '.join(second.scheme.names)}, {before.map} has "
                f"{', '.join(first.scheme.names)}",
                "compare maps of one class scheme",
            )
        probabilities = None
        if before.probabilities and after.probabilities:
            of_before, of_after = (
                Aligned(opened(open_probabilities(path, first.scheme)), grid)
                for path in (before.probabilities, after.probabilities)
            )
            probabilities = of_before, of_after
            _require_own(of_before, first)
            if not second.fit.sampling.startswith("mode"):
                # Where classes are voted for, probabilities are not.
                _require_own(of_after, second)
        yield MapPair(first, second, probabilities)


def _require_own(probabilities: Imagery, mapped: ClassMap) -> None:
    """Refuse probabilities that are not those of a map, by a lattice of windows."""
    agreeing = known = 0
    for window in lattice(mapped.grid, _LOOK_PX, _LOOKS):
        shares_hwk, is_known_hw = probabilities.read(window)
        label_hw = mapped.read(window)
        is_known_hw = is_known_hw & (label_hw != IGNORE)
        known += int(np.count_nonzero(is_known_hw))
        is_most_hw = shares_hwk.argmax(axis=-1) == label_hw
        agreeing += int(np.count_nonzero(is_known_hw & is_most_hw))
    if agreeing < _LEAST_AGREEING * known:
        raise LcsegError(
            probabilities.path,
            f"is not of {mapped.path}: where that has a class, another one is the most probable on "
            f"{100 * (1 - agreeing / known):.0f} % of the pixels",
            "give the probabilities that were written with the map",
        )
