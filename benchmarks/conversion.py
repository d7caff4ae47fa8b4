"""Conversion, beside reading the same windows with rasterio and writing as many bytes."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path

import rasterio
from rasterio.windows import Window

from benchmarks.scenes import write_pairs
from benchmarks.timing import race, report
from lcseg.runtime import start_tensorflow

start_tensorflow()

from lcseg.records.config import ConvertConfig  # noqa: E402
from lcseg.records.conversion import convert  # noqa: E402

SCENES, SIZE_PX, CHIP_PX = 4, 2048, 256


def copy_windows(folder: Path) -> None:
    """Read every chip of every scene, and write its pixels and labels to a file."""
    with (folder / "bytes").open("wb") as file:
        for number in range(SCENES):
            with (
                rasterio.open(folder / f"{number}_image.tif") as image,
                rasterio.open(folder / f"{number}_label.tif") as label,
            ):
                starts = range(0, SIZE_PX, CHIP_PX)
                for row, col in itertools.product(starts, starts):
                    window = Window(col, row, CHIP_PX, CHIP_PX)
                    file.write(image.read(window=window).tobytes())
                    file.write(label.read(window=window).tobytes())
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, labels = write_pairs(folder, SCENES, SIZE_PX)

        def run_convert() -> None:
            shutil.rmtree(folder / "data", ignore_errors=True)
            convert(ConvertConfig("chesapeake-4", str(folder / "data"), images, labels, quiet=True))

        rivals = {"convert": run_convert, "read and write": lambda: copy_windows(folder)}
        race(rivals, 1, repeats=1)
        rates = race(rivals, SCENES * SIZE_PX**2 / 1e6, repeats=3)
    report("Mpx/s", rates, "read and write")
    bytes_px = 4 + 1
    in_mb = {name: [rate * bytes_px for rate in values] for name, values in rates.items()}
    report("MB/s", in_mb, "read and write")


if __name__ == "__main__":
    main()
