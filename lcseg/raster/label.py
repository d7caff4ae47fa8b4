"""Label rasters, brought onto the grid of an image.

    with open_label("lc.tif", image.grid, scheme) as label:
        label_hw = label.read(Window(0, 0, 256, 256))   # uint8, 255 where there is no label

The label of a pixel is the code of the label raster at the place of the pixel's centre (nearest).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.alignment import Alignment
from lcseg.raster.dataset import grid_of, open_raster, read_bands, read_mask
from lcseg.raster.grid import Grid, Window, cover
from lcseg.raster.source import require_crs

_CLEAR = -1
_COUNT_BLOCK_PX = 1024
_SHOWN = 12


class LabelSource:
    """An open label raster, read by windows of an image's grid."""

    def __init__(
        self,
        path: str,
        dataset: rasterio.DatasetReader,
        grid: Grid,
        scheme: ClassScheme,
        band: int,
        allow_ungeoreferenced: bool,
    ) -> None:
        self.path = path
        self._dataset = dataset
        self._grid = grid
        self._own_grid = grid_of(dataset)
        self._scheme = scheme
        self._indexes, self._color_of_index = _choose_bands(path, dataset, scheme, band)
        # A colour that is transparent is no colour; a band of codes may be tagged as anything.
        is_rgba = scheme.has_color_codes and dataset.colorinterp[-1] == ColorInterp.alpha
        self._alpha = dataset.count if is_rgba and dataset.count > len(self._indexes) else None
        flags = dataset.mask_flag_enums[self._indexes[0] - 1]
        self._has_mask = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
        require_crs(path, self._own_grid, allow_ungeoreferenced)
        self._alignment = Alignment(grid, self._own_grid, path)
        self._alignment.require_overlap()

    def read(self, window: Window) -> np.ndarray:
        """Read a window of the image's grid as uint8 labels [H, W].

        Pixels outside of the label raster, its nodata and the scheme's ignored codes are 255.

        Raises:
            UnknownCodesError: lists all codes of the label raster with their pixel counts.
        """
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        inside = window.clip(self._grid.height, self._grid.width)
        if inside.height and inside.width:
            label_hw[inside.within(window).slices] = self._read_inside(inside)
        return label_hw

    def _read_inside(self, window: Window) -> np.ndarray:
        """Labels of a window that lies inside of the image."""
        try:
            shift = self._alignment.shift
            return self._read_found(window) if shift is None else self._read_shifted(window, shift)
        except UnknownCodesError as error:
            raise self._describe_codes() from error

    def _read_shifted(self, window: Window, shift: tuple[int, int]) -> np.ndarray:
        """Labels where the grids differ by a shift: no pixel needs to be located by itself."""
        own = Window(window.row + shift[0], window.col + shift[1], window.height, window.width)
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        inside = own.clip(self._own_grid.height, self._own_grid.width)
        if inside.height and inside.width:
            label_hw[inside.within(own).slices] = self._read_own(inside)
        return label_hw

    def _read_found(self, window: Window) -> np.ndarray:
        """Labels where every pixel is located by itself."""
        rows_hw, cols_hw = self._alignment.locate(window)
        found_hw = (rows_hw >= 0) & (rows_hw < self._own_grid.height)
        found_hw &= (cols_hw >= 0) & (cols_hw < self._own_grid.width)
        label_hw = np.full(found_hw.shape, IGNORE, np.uint8)
        if not found_hw.any():
            return label_hw
        rows, cols = rows_hw[found_hw], cols_hw[found_hw]
        first_row, first_col = int(rows.min()), int(cols.min())
        needed = Window(
            first_row, first_col, int(rows.max()) - first_row + 1, int(cols.max()) - first_col + 1
        )
        label_hw[found_hw] = self._read_own(needed)[rows - first_row, cols - first_col]
        return label_hw

    def _read_own(self, window: Window) -> np.ndarray:
        """Labels of a window of the label raster's own grid."""
        codes_hw, missing_hw = self._read_codes(window)
        if not missing_hw.any():
            return self._scheme.encode(codes_hw)
        label_hw = np.full(codes_hw.shape, IGNORE, np.uint8)
        label_hw[~missing_hw] = self._scheme.encode(codes_hw[~missing_hw])
        return label_hw

    def _read_codes(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Codes as integers [H, W], colours packed, and where there is none."""
        bands_chw = read_bands(self._dataset, self._indexes, window, self.path)
        missing_hw = np.zeros(bands_chw.shape[1:], bool)
        if self._has_mask:
            missing_hw |= ~read_mask(self._dataset, self._indexes[:1], window, self.path)
        nodata = self._dataset.nodatavals[self._indexes[0] - 1]
        if nodata is not None:
            missing_hw |= (bands_chw == nodata).all(axis=0)
        if bands_chw.dtype.kind == "f":
            missing_hw |= ~np.isfinite(bands_chw).all(axis=0)
            bands_chw = _to_whole(np.where(missing_hw, 0, bands_chw), self.path)
        if self._alpha:
            missing_hw |= read_bands(self._dataset, [self._alpha], window, self.path)[0] == 0
        if self._color_of_index is not None:
            colors_hw = self._color_of_index[bands_chw[0]]
            return colors_hw, missing_hw | (colors_hw == _CLEAR)
        if len(bands_chw) == 3:
            red, green, blue = bands_chw.astype(np.int64)
            return red << 16 | green << 8 | blue, missing_hw
        return bands_chw[0], missing_hw

    def _describe_codes(self) -> UnknownCodesError:
        """Count the codes of the whole label raster."""
        counts: Counter[int] = Counter()
        for window in cover(self._own_grid.height, self._own_grid.width, _COUNT_BLOCK_PX):
            inside = window.clip(self._own_grid.height, self._own_grid.width)
            codes_hw, missing_hw = self._read_codes(inside)
            codes, n = np.unique(codes_hw[~missing_hw], return_counts=True)
            counts.update(dict(zip(codes.tolist(), n.tolist(), strict=True)))
        unknown = {code: n for code, n in counts.items() if not self._scheme.knows(code)}
        known = {code: n for code, n in counts.items() if code not in unknown}
        return UnknownCodesError(
            self.path,
            f"codes that {self._scheme.name!r} does not name: {self._list_codes(unknown)}; "
            f"known ones: {self._list_codes(known) or 'none'}",
            "add them to a class or to the ignored codes of the scheme",
        )

    def _list_codes(self, counts: dict[int, int]) -> str:
        ranked = sorted(counts.items(), key=lambda item: -item[1])
        shown = [f"{self._scheme.format_code(c)} ({n:,} px)" for c, n in ranked[:_SHOWN]]
        more = [f"{len(ranked) - _SHOWN:,} more"] if len(ranked) > _SHOWN else []
        return ", ".join(shown + more)


@contextmanager
def open_label(
    path: str,
    grid: Grid,
    scheme: ClassScheme,
    band: int = 0,
    allow_ungeoreferenced: bool = False,
) -> Iterator[LabelSource]:
    """Open a label raster for reading by windows of an image's grid.

    Args:
        path: the label raster.
        grid: the grid of the image.
        scheme: says what the codes mean.
        band: the band that holds the codes, from 1; 0: the only one, or the first three as colour.
        allow_ungeoreferenced: take rasters without CRS, pixel on pixel.
    """
    with open_raster(path) as dataset:
        yield LabelSource(path, dataset, grid, scheme, band, allow_ungeoreferenced)


def _choose_bands(
    path: str, dataset: rasterio.DatasetReader, scheme: ClassScheme, band: int
) -> tuple[list[int], np.ndarray | None]:
    """The bands that make up a code, and the packed colour of each palette index, if any."""
    if band > dataset.count:
        raise LcsegError(path, f"has {dataset.count} bands, --label_band={band} asks for more")
    if not scheme.has_color_codes:
        if dataset.count > 1 and not band:
            raise LcsegError(
                path, f"has {dataset.count} bands", "say which holds the codes with --label_band"
            )
        return [band or 1], None
    if band:
        raise LcsegError(
            f"--label_band={band}", "names a band of codes, but the scheme's codes are colours"
        )
    if dataset.count >= 3:
        return [1, 2, 3], None
    try:
        palette = dataset.colormap(1)
    except ValueError as error:
        raise LcsegError(
            path, "has neither three bands nor a palette, but the scheme's codes are colours"
        ) from error
    colors = [palette.get(i, (0, 0, 0, 255)) for i in range(max(256, max(palette) + 1))]
    return [1], np.array([r << 16 | g << 8 | b if a else _CLEAR for r, g, b, a in colors], np.int64)


def _to_whole(values: np.ndarray, path: str) -> np.ndarray:
    """Codes stored as float, as int64; a fraction is no code."""
    whole = values.astype(np.int64)
    if (whole != values).any():
        found = values[whole != values][0]
        raise LcsegError(path, f"holds {found:g}, expected whole numbers", "is it a label raster?")
    return whole
