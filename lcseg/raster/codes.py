"""The codes that a label raster holds, read on its own grid and turned into labels.

    codes = LabelCodes("lc.tif", dataset, scheme, band=0)
    label_hw = codes.read(Window(0, 0, 256, 256))   # uint8, 255 where there is no label

A code is a number in one band, a colour in three, or the colour of a palette's index.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from lcseg.classes import IGNORE, ClassScheme
from lcseg.errors import LcsegError, UnknownCodesError
from lcseg.raster.dataset import find_masks, grid_of, read_bands, read_mask
from lcseg.raster.grid import Window, cover

_CLEAR = -1
_COUNT_BLOCK_PX = 1024
_SHOWN = 12


class LabelCodes:
    """An open label raster, read by windows of its own grid."""

    def __init__(
        self, path: str, dataset: rasterio.DatasetReader, scheme: ClassScheme, band: int
    ) -> None:
        self.path = path
        self.grid = grid_of(dataset)
        self._dataset = dataset
        self._scheme = scheme
        self._indexes, self._color_of_index = _choose_bands(path, dataset, scheme, band)
        # A colour that is transparent is no colour; a band of codes may be tagged as anything.
        is_rgba = scheme.has_color_codes and dataset.colorinterp[-1] == ColorInterp.alpha
        self._alpha = dataset.count if is_rgba and dataset.count > len(self._indexes) else None
        self._masks = find_masks(dataset, self._indexes)

    def read(self, window: Window) -> np.ndarray:
        """Read the labels of a window inside of the raster, uint8 [H, W].

        Raises:
            UnknownCodesError: lists all codes of the label raster with their pixel counts.
        """
        codes_hw, missing_hw = self._read_codes(window)
        try:
            if not missing_hw.any():
                return self._scheme.encode(codes_hw)
            label_hw = np.full(codes_hw.shape, IGNORE, np.uint8)
            label_hw[~missing_hw] = self._scheme.encode(codes_hw[~missing_hw])
        except UnknownCodesError as error:
            raise self._describe_codes() from error
        return label_hw

    def _read_codes(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Codes as integers [H, W], colours packed, and where there is none."""
        bands_chw = read_bands(self._dataset, self._indexes, window, self.path)
        missing_hw = np.zeros(bands_chw.shape[1:], bool)
        if self._masks:
            missing_hw |= ~read_mask(self._dataset, self._masks, window, self.path)
        nodata = self._dataset.nodatavals[self._indexes[0] - 1]
        if nodata is not None:
            missing_hw |= (bands_chw == nodata).all(axis=0)
        if bands_chw.dtype.kind == "f":
            missing_hw |= ~np.isfinite(bands_chw).all(axis=0)
            bands_chw = _to_whole(np.where(missing_hw, 0, bands_chw), self.path)
        if self._alpha:
            missing_hw |= read_bands(self._dataset, [self._alpha], window, self.path)[0] == 0
        if self._color_of_index is not None:
            colors_hw = self._look_up(bands_chw[0], missing_hw)
            return colors_hw, missing_hw | (colors_hw == _CLEAR)
        if len(bands_chw) == 3:
            red, green, blue = bands_chw.astype(np.int64)
            return red << 16 | green << 8 | blue, missing_hw
        return bands_chw[0], missing_hw

    def _look_up(self, index_hw: np.ndarray, missing_hw: np.ndarray) -> np.ndarray:
        """The packed colours of palette indices [H, W]."""
        colors = self._color_of_index
        assert colors is not None
        beyond_hw = ((index_hw < 0) | (index_hw >= len(colors))) & ~missing_hw
        if beyond_hw.any():
            found = index_hw[beyond_hw][0]
            raise LcsegError(self.path, f"holds {found}, which its palette has no colour for")
        return colors[np.where(missing_hw, 0, index_hw)]

    def _describe_codes(self) -> UnknownCodesError:
        """Count the codes of the whole label raster."""
        counts: Counter[int] = Counter()
        for window in cover(self.grid.height, self.grid.width, _COUNT_BLOCK_PX):
            inside = window.clip(self.grid.height, self.grid.width)
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
