"""Connected areas of a raster of any size, found block by block.

patches = Patches(lambda table: table.pixels >= 20)
for window in cover(height, width, 1024):      # in any order
    whole, kept_hw = patches.add(window, key_hw)
rest = patches.finish()                        # those that are not whole within a block
is_large_hw = patches.settle(window, kept_hw)  # whether a pixel is of an area that was chosen

Pixels that share an edge and have the same key, other than 0, belong together. Memory grows with
the areas that touch the border of a block, not with pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import shapely
from rasterio.features import shapes
from rasterio.transform import Affine
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from lcseg.raster.grid import Grid, Window

Side = tuple[str, int, int, int]
"""A line between blocks: along rows or columns, its place, where it begins, and how long it is."""


@dataclass(frozen=True, eq=False)
class PatchTable:
    """Connected areas, one in each place of the arrays."""

    keys: np.ndarray  # int64 [n], of their pixels.
    pixels: np.ndarray  # int64 [n]: how many they have.
    sums: np.ndarray  # float64 [n, v]: of values over their pixels.
    first: np.ndarray  # int64 [n, 2]: row and column of the first pixel, row by row.
    last_row: np.ndarray  # int64 [n].
    cols: np.ndarray  # int64 [n, 2]: the first and the last column.

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, chosen: np.ndarray) -> PatchTable:
        """Some of them, by a mask or by their places."""
        return PatchTable(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @staticmethod
    def join(tables: Sequence[PatchTable]) -> PatchTable:
        """The areas of several tables, of at least one."""
        columns = ([getattr(table, field.name) for table in tables] for field in fields(PatchTable))
        return PatchTable(*map(np.concatenate, columns))

    def window(self, index: int) -> Window:
        """The rectangle around one of them."""
        (row, _), (first_col, last_col) = self.first[index].tolist(), self.cols[index].tolist()
        return Window(row, first_col, int(self.last_row[index]) - row + 1, last_col - first_col + 1)

    def merge(self, groups: np.ndarray, n_groups: int) -> PatchTable:
        """Put areas together that are parts of one; `groups` says of which, int [n]."""
        start = np.lexsort((self.first[:, 1], self.first[:, 0], groups))
        starts = np.searchsorted(groups[start], np.arange(n_groups))
        ordered = self.take(start)
        if not n_groups:
            return ordered
        return PatchTable(
            ordered.keys[starts],
            np.add.reduceat(ordered.pixels, starts),
            np.add.reduceat(ordered.sums, starts),
            ordered.first[starts],
            np.maximum.reduceat(ordered.last_row, starts),
            np.stack(
                [
                    np.minimum.reduceat(ordered.cols[:, 0], starts),
                    np.maximum.reduceat(ordered.cols[:, 1], starts),
                ],
                axis=1,
            ),
        )


def choose_all(table: PatchTable) -> np.ndarray:
    """Choose all areas, bool [n]."""
    return np.ones(len(table), bool)


class Patches:
    """The areas of a raster, while its blocks are added.

    Areas grow together where blocks share the whole of a side.

    Args:
        choose: says of whole areas which are wanted, bool [n]; the others are left out.
    """

    def __init__(self, choose: Callable[[PatchTable], np.ndarray] = choose_all) -> None:
        self._choose = choose
        self._open: list[PatchTable] = []  # Parts that touch the border of their block.
        self._of_block: dict[tuple[int, int], tuple[np.ndarray, int]] = {}  # First pixel of each.
        self._sides: dict[Side, tuple[np.ndarray, np.ndarray]] = {}
        self._pairs: list[np.ndarray] = []  # Parts that belong together, int64 [2, k].
        self._count = 0
        self._is_chosen = np.zeros(0, bool)  # Whether the area of each part is.

    def add(
        self, window: Window, key_hw: np.ndarray, values: Sequence[np.ndarray] = ()
    ) -> tuple[PatchTable, np.ndarray]:
        """Add a block; each window once.

        Args:
            window: where it lies, all of it in the raster.
            key_hw: integers, 0 where there is nothing.
            values: arrays [H, W], to be summed over each area; as many for every block.

        Returns:
            The areas that touch no side of the block, and so are whole, if they are chosen; and
            `key_hw` without those that are not.
        """
        part_hw = _find_parts(key_hw)
        table = _tabulate(window, part_hw, key_hw, values)
        is_open = np.zeros(len(table) + 1, bool)
        for _, line in _list_sides(window, part_hw):
            is_open[line] = True
        is_open[0] = False
        parts = np.flatnonzero(is_open)
        node_of = np.full(len(table) + 1, -1, np.int64)
        node_of[parts] = self._count + np.arange(len(parts))
        opened = table.take(parts - 1)
        places = (opened.first[:, 0] - window.row) * window.width + opened.first[:, 1] - window.col
        self._of_block[window.row, window.col] = places, self._count
        self._count += len(parts)
        self._open.append(opened)
        keys = [line for _, line in _list_sides(window, key_hw)]
        for (side, line), key in zip(_list_sides(window, part_hw), keys, strict=True):
            self._meet(side, key.copy(), node_of[line])
        is_chosen = np.zeros(len(table) + 1, bool)
        is_chosen[1:] = self._choose(table) & ~is_open[1:]
        kept_hw = np.where((is_chosen | is_open)[part_hw], key_hw, 0)
        return table.take(is_chosen[1:]), kept_hw

    def _meet(self, side: Side, key: np.ndarray, node: np.ndarray) -> None:
        """Note a side for the block beyond it, or what belongs together if that was here before."""
        if side not in self._sides:
            self._sides[side] = key, node
            return
        other_key, other_node = self._sides.pop(side)
        is_one = (key != 0) & (key == other_key)
        self._pairs.append(np.unique(np.stack([node[is_one], other_node[is_one]]), axis=1))

    def finish(self) -> PatchTable:
        """The areas that touch sides of blocks and are chosen, when all blocks were added."""
        pairs = np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1)
        shape = self._count, self._count
        graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape)
        n_groups, groups = connected_components(graph, directed=False)
        table = PatchTable.join(self._open).merge(groups, n_groups)
        is_chosen = self._choose(table)
        self._is_chosen = is_chosen[groups]
        self._open, self._pairs, self._sides = [], [], {}
        return table.take(is_chosen)

    def settle(self, window: Window, kept_hw: np.ndarray) -> np.ndarray:
        """Which pixels of a block are of chosen areas, bool [H, W], after `finish`.

        Args:
            window: one that was added.
            kept_hw: what `add` returned for it.
        """
        part_hw = _find_parts(kept_hw)
        is_chosen = np.ones(int(part_hw.max()) + 1, bool)
        is_chosen[0] = False
        places, first = self._of_block[window.row, window.col]
        is_chosen[part_hw.ravel()[places]] = self._is_chosen[first : first + len(places)]
        return is_chosen[part_hw]


def trace(
    key_hw: np.ndarray, window: Window, first: tuple[int, int], grid: Grid
) -> shapely.Polygon:
    """The outline of an area along the edges of its pixels, in the CRS of a grid.

    Args:
        key_hw: of the rectangle around the area, or more.
        window: where that lies in the grid.
        first: row and column of a pixel of the area, in the grid.
        grid: of the raster.
    """
    return trace_all(find_area(key_hw, window, first), window, grid)[0]


def find_area(key_hw: np.ndarray, window: Window, first: tuple[int, int]) -> np.ndarray:
    """Which pixels of a window are of the area that a pixel of it belongs to, bool [H, W]."""
    part_hw = _find_parts(key_hw)
    return part_hw == part_hw[first[0] - window.row, first[1] - window.col]


def trace_all(is_own_hw: np.ndarray, window: Window, grid: Grid) -> list[shapely.Polygon]:
    """The outlines of all areas of a mask, bool [H, W], that covers a window of a grid."""
    place = Affine(*grid.transform_of(window))
    found = shapes(is_own_hw.astype(np.uint8), mask=is_own_hw, connectivity=4, transform=place)
    rings = (shape["coordinates"] for shape, _ in found)
    return [shapely.Polygon(ring[0], ring[1:]) for ring in rings]


def _find_parts(key_hw: np.ndarray) -> np.ndarray:
    """Number the areas of an array from 1, int [H, W]; 0 where there is none."""
    return label(key_hw, background=0, connectivity=1)


def _tabulate(
    window: Window, part_hw: np.ndarray, key_hw: np.ndarray, values: Sequence[np.ndarray]
) -> PatchTable:
    """The areas of a block in the order of their numbers."""
    places = np.flatnonzero(part_hw)
    parts = part_hw.ravel()[places] - 1
    n = int(parts.max(initial=-1)) + 1
    rows, cols = np.divmod(places, window.width)
    first, last_row = np.zeros(n, np.int64), np.zeros(n, np.int64)
    # Of several values for one place, the last one stays.
    first[parts[::-1]] = places[::-1]
    last_row[parts] = rows
    low, high = np.full(n, window.width), np.full(n, -1)
    np.minimum.at(low, parts, cols)
    np.maximum.at(high, parts, cols)
    sums = [np.bincount(parts, value_hw.ravel()[places], n) for value_hw in values]
    return PatchTable(
        key_hw.ravel()[first].astype(np.int64),
        np.bincount(parts, minlength=n).astype(np.int64),
        np.stack(sums, axis=1) if sums else np.zeros((n, 0)),
        np.stack([first // window.width + window.row, first % window.width + window.col], axis=1),
        last_row + window.row,
        np.stack([low, high], axis=1) + window.col,
    )


def _list_sides(window: Window, values_hw: np.ndarray) -> Iterator[tuple[Side, np.ndarray]]:
    """The four sides of a block, as the line between it and the next, and the values along it."""
    row, col, height, width = window.row, window.col, window.height, window.width
    yield ("row", row, col, width), values_hw[0]
    yield ("row", row + height, col, width), values_hw[-1]
    yield ("col", col, row, height), values_hw[:, 0]
    yield ("col", col + width, row, height), values_hw[:, -1]
