"""Label rasters, brought onto the grid of an image.

    with open_label("lc.tif", image.grid, scheme) as label:
        label_hw = label.read(Window(0, 0, 256, 256))   # uint8, 255 where there is no label

The label of a pixel is the code of the label raster at the place of the pixel's centre (nearest).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import rasterio
import rasterio.warp
from rasterio.crs import CRS
from rasterio.enums import MaskFlags

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.grid import GDAL_ERRORS, Grid, Window, cover
from lcseg.raster.source import grid_of, open_raster, read_bands, read_mask, require_crs

_COUNT_BLOCK_PX = 1024
_KNOT_PX = 16
_PAST_CENTER = 1e-6
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
        flags = dataset.mask_flag_enums[self._indexes[0] - 1]
        self._has_mask = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
        require_crs(path, self._own_grid, allow_ungeoreferenced)
        self._is_same_crs = _same_crs(grid.crs, self._own_grid.crs)
        self._check_place()

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
            return self._read_found(window) if self._shift is None else self._read_shifted(window)
        except UnknownCodesError as error:
            raise self._describe_codes() from error

    def _read_shifted(self, window: Window) -> np.ndarray:
        """Labels where the grids differ by a shift: no pixel needs to be located by itself."""
        rows, cols = self._shift or (0, 0)
        own = Window(window.row + rows, window.col + cols, window.height, window.width)
        label_hw = np.full((window.height, window.width), IGNORE, np.uint8)
        inside = own.clip(self._own_grid.height, self._own_grid.width)
        if inside.height and inside.width:
            label_hw[inside.within(own).slices] = self._read_own(inside)
        return label_hw

    def _read_found(self, window: Window) -> np.ndarray:
        """Labels where every pixel is located by itself."""
        rows_hw, cols_hw = self._locate(window)
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
            missing_hw |= ~read_mask(self._dataset, self._indexes[0], window, self.path)
        nodata = self._dataset.nodatavals[self._indexes[0] - 1]
        if nodata is not None:
            missing_hw |= (bands_chw == nodata).all(axis=0)
        if bands_chw.dtype.kind == "f":
            missing_hw |= ~np.isfinite(bands_chw).all(axis=0)
            bands_chw = _to_whole(np.where(missing_hw, 0, bands_chw), self.path)
        if self._color_of_index is not None:
            return self._color_of_index[bands_chw[0]], missing_hw
        if len(bands_chw) == 3:
            red, green, blue = bands_chw.astype(np.int64)
            return red << 16 | green << 8 | blue, missing_hw
        return bands_chw[0], missing_hw

    @cached_property
    def _shift(self) -> tuple[int, int] | None:
        """(rows, columns) from the image's pixels to the label's; None: not a mere shift."""
        if not self._is_same_crs:
            return None
        cols, rows = np.meshgrid([0.5, self._grid.width - 0.5], [0.5, self._grid.height - 0.5])
        own_cols, own_rows = self._to_own_pixels(cols, rows)
        shifts = own_rows - rows, own_cols - cols
        if max(np.ptp(shift) for shift in shifts) > _PAST_CENTER / 10:
            return None
        row, col = (math.floor(shift.min() + 0.5 + _PAST_CENTER) for shift in shifts)
        return row, col

    def _locate(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the label raster at the centres of a window's pixels, int [H, W].

        Between CRSs the places are computed at knots some pixels apart, ends included, and
        interpolated: a projection bends by far less than a pixel over so short a way.
        """
        rows = np.arange(window.height) + window.row + 0.5
        cols = np.arange(window.width) + window.col + 0.5
        knot_rows = np.linspace(rows[0], rows[-1], max(window.height // _KNOT_PX, 1) + 1)
        knot_cols = np.linspace(cols[0], cols[-1], max(window.width // _KNOT_PX, 1) + 1)
        own_cols, own_rows = self._to_own_pixels(*np.meshgrid(knot_cols, knot_rows))
        along_rows, along_cols = _interpolation(rows, knot_rows), _interpolation(cols, knot_cols)
        # A shade past the centre: equal grids must not flip between pixels by rounding.
        located = (along_rows @ own @ along_cols.T + _PAST_CENTER for own in (own_rows, own_cols))
        rows_hw, cols_hw = (np.floor(places).astype(np.int64) for places in located)
        return rows_hw, cols_hw

    def _to_own_pixels(self, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(column, row) in the label raster of (column, row) in the image, as float."""
        if self._grid.crs is None or self._own_grid.crs is None:
            return cols, rows
        x, y = self._grid.affine @ (cols, rows)
        if not self._is_same_crs:
            x, y = _transform(self._grid.crs, self._own_grid.crs, x, y, self.path)
        own_cols, own_rows = ~self._own_grid.affine @ (x, y)
        return own_cols, own_rows

    def _check_place(self) -> None:
        """Refuse a label raster that cannot lie on the image."""
        image, own = self._grid, self._own_grid
        if image.crs is None or own.crs is None:
            if (image.height, image.width) != (own.height, own.width):
                raise LcsegError(
                    self.path,
                    f"is {own.height} x {own.width} px, its image {image.height} x {image.width}",
                    "without a CRS on both, the two must have the same size",
                )
            return
        edge = np.linspace(0, 1, 33)
        cols, rows = (a.ravel() for a in np.meshgrid(edge * image.width, edge * image.height))
        own_cols, own_rows = self._to_own_pixels(cols, rows)
        is_apart = (
            own_cols.max() <= 0
            or own_rows.max() <= 0
            or own_cols.min() >= own.width
            or own_rows.min() >= own.height
        )
        if is_apart:
            raise LcsegError(
                self.path,
                f"does not overlap its image: it spans {_span(own)}, the image {_span(image)}",
                "pair it with the image of its own place",
            )

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
    colors = [palette.get(i, (0, 0, 0)) for i in range(max(256, max(palette) + 1))]
    return [1], np.array([r << 16 | g << 8 | b for r, g, b, *_ in colors], np.int64)


def _interpolation(at: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """The matrix [len(at), len(knots)] of linear interpolation between even knots."""
    step = knots[1] - knots[0] if knots[1] > knots[0] else 1.0
    return (
        np.maximum(1 - np.abs(at[:, None] - knots[None]) / step, 0)
        if len(at) > 1
        else np.array([[1.0, 0.0]])
    )


def _to_whole(values: np.ndarray, path: str) -> np.ndarray:
    """Codes stored as float, as int64; a fraction is no code."""
    whole = values.astype(np.int64)
    if (whole != values).any():
        found = values[whole != values][0]
        raise LcsegError(path, f"holds {found:g}, expected whole numbers", "is it a label raster?")
    return whole


def _same_crs(a: str | None, b: str | None) -> bool:
    """Whether two CRSs are the same; one that is missing is taken to be the other."""
    if a is None or b is None:
        return True
    return a == b or CRS.from_user_input(a) == CRS.from_user_input(b)


def _transform(
    from_crs: str, to_crs: str, x: np.ndarray, y: np.ndarray, path: str
) -> tuple[np.ndarray, np.ndarray]:
    try:
        moved = rasterio.warp.transform(from_crs, to_crs, x.ravel(), y.ravel())
    except GDAL_ERRORS as error:
        raise LcsegError(
            path,
            f"its CRS {_name_crs(to_crs)} cannot be reached from the image's {_name_crs(from_crs)}",
            "reproject it to the image's CRS (gdalwarp)",
        ) from error
    new_x, new_y = (np.array(values).reshape(x.shape) for values in moved)
    if not (np.isfinite(new_x).all() and np.isfinite(new_y).all()):
        raise LcsegError(
            path,
            f"its CRS {_name_crs(to_crs)} does not reach everywhere that the image lies",
            "reproject it to the image's CRS (gdalwarp)",
        )
    return new_x, new_y


def _span(grid: Grid) -> str:
    left, bottom, right, top = grid.bounds()
    name = _name_crs(grid.crs or "")
    return f"x {left:.6g} to {right:.6g}, y {bottom:.6g} to {top:.6g} in {name}"


def _name_crs(crs: str) -> str:
    """The name in a WKT, which is its first quoted text; anything else as it is."""
    return crs.split('"')[1] if '"' in crs else crs
