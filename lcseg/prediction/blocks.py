"""Blocks of an image's own grid, read with a halo.

    for block in plan_blocks(window, block_px=1024, stride_px=16):
        image_hwc, valid_hw = read_padded(image, block, halo_px=96)

Beyond its edge the scene goes on as its mirror image, for ever: a block anywhere, with a halo of
any width, is a window of that plane.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lcseg.raster.grid import Window, cover
from lcseg.raster.source import Imagery


def plan_blocks(window: Window, block_px: int, stride_px: int) -> Iterator[Window]:
    """Cover a part of a grid with blocks whose corners lie on multiples of the network's stride.

    Args:
        window: the part, or the whole grid.
        block_px: wanted side of a block; rounded up to a multiple of the stride, and made no
            larger than the window needs.
        stride_px: of the network.
    """
    row, col = (start // stride_px * stride_px for start in (window.row, window.col))
    height, width = window.row + window.height - row, window.col + window.width - col
    side = min(block_px, max(height, width))
    for block in cover(height, width, -(-side // stride_px) * stride_px):
        yield Window(row + block.row, col + block.col, block.height, block.width)


def read_padded(image: Imagery, block: Window, halo_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a block with its halo.

    Returns:
        Pixels [block + 2 halo, block + 2 halo, C] of the mirrored plane, and whether each pixel
        of the block itself is valid, bool [block, block]; what overhangs the image is not.
    """
    rows = mirror_indices(block.row - halo_px, block.height + 2 * halo_px, image.grid.height)
    cols = mirror_indices(block.col - halo_px, block.width + 2 * halo_px, image.grid.width)
    first_row, first_col = int(rows.min()), int(cols.min())
    needed = Window(
        first_row, first_col, int(rows.max()) - first_row + 1, int(cols.max()) - first_col + 1
    )
    image_hwc, valid_hw = image.read(needed)
    if needed != Window(block.row - halo_px, block.col - halo_px, len(rows), len(cols)):
        image_hwc = image_hwc[np.ix_(rows - first_row, cols - first_col)]
    own_hw = np.zeros((block.height, block.width), bool)
    inside = block.clip(image.grid.height, image.grid.width)
    own_hw[inside.within(block).slices] = valid_hw[inside.within(needed).slices]
    return image_hwc, own_hw


def mirror_indices(start: int, count: int, size: int) -> np.ndarray:
    """Indices into an axis of `size` pixels that goes on mirrored, without repeating the edge.

    The same as numpy's "reflect" padding, of any width.
    """
    period = max(2 * (size - 1), 1)
    places = np.arange(start, start + count) % period
    return np.minimum(places, period - places) if size > 1 else np.zeros(count, int)
