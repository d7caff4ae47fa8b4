"""Whether the band that a raster tags as alpha is transparency.

    index = find_transparency(dataset, "scene.tif")   # 4, or None

NAIP tags its near infrared as alpha, so the tag alone proves nothing. Transparency is opaque or
clear nearly everywhere, and what lies between is the soft edge of what is clear.
"""

from __future__ import annotations

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from lcseg.raster.dataset import read_bands
from lcseg.raster.grid import Window

_SAMPLES = 5
_SAMPLE_PX = 128
_OPAQUE_SHARE = 0.9
_STRAY_SHARE = 0.01


def find_transparency(dataset: rasterio.DatasetReader, path: str) -> int | None:
    """The index of a band that is tagged as alpha and behaves as such, else None."""
    if dataset.count < 2 or dataset.colorinterp[-1] != ColorInterp.alpha:
        return None
    return dataset.count if _is_transparency(_sample_band(dataset, path)) else None


def _is_transparency(samples: list[np.ndarray]) -> bool:
    """Judge a band by samples [H, W] of it.

    Of what is not clear at least 90 % must be opaque, and at most 1 % may be stray: neither
    clear nor opaque, and not the edge of something clear, which has fewer pixels than that.
    """
    dtype = samples[0].dtype
    # What is opaque in a byte is found in wider types too.
    full = np.iinfo(dtype).max if dtype.kind in "iu" else 1
    n_seen = sum(np.count_nonzero(sample) for sample in samples)
    counts = {v: sum(np.count_nonzero(s == v) for s in samples) for v in (full, 255, 1)}
    opaque = max(counts, key=lambda value: counts[value])
    n_opaque = n_stray = 0
    for sample in samples:
        n = int((sample == opaque).sum())
        clear = int((sample == 0).sum())
        n_opaque += n
        n_stray += max(int(sample.size) - n - 2 * clear, 0)
    return n_opaque >= _OPAQUE_SHARE * n_seen and n_stray <= _STRAY_SHARE * n_seen


def _sample_band(dataset: rasterio.DatasetReader, path: str) -> list[np.ndarray]:
    """The last band in a lattice of small windows: a few blocks, however large the raster is."""
    height, width = dataset.height, dataset.width
    rows, cols = (
        np.linspace(0, max(size - _SAMPLE_PX, 0), _SAMPLES).astype(int).tolist()
        for size in (height, width)
    )
    windows = {
        Window(row, col, _SAMPLE_PX, _SAMPLE_PX).clip(height, width) for row in rows for col in cols
    }
    return [read_bands(dataset, [dataset.count], w, path)[0] for w in sorted(windows, key=str)]
