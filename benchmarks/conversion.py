"""Conversion, beside reading the same windows with rasterio and writing as many bytes.

The first table is for imagery as it is delivered (DEFLATE with a predictor), the second for raw
rasters, of which reading costs next to nothing. The third holds two workers against one, and says
how busy they keep the cores: where two keep two busy, nothing is left to gain by more of them. The
last holds two processes that only read and write against one: what the machine lets two gain.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import rasterio
from rasterio.windows import Window

from benchmarks.scenes import write_pairs
from benchmarks.timing import race, report
from lcseg.records import chart  # noqa: F401  What it loads must not fall on the first rival.
from lcseg.records.config import ConvertConfig
from lcseg.records.conversion import convert

SCENES, SIZE_PX, CHIP_PX = 4, 8192, 256
AGAIN = 12
"""How often the same scenes are listed for two workers: the start of processes must not count."""


def copy_windows(folder: Path, name: str = "bytes", again: int = 1) -> None:
    """Read every chip of every scene, some times, and write its pixels and labels to a file."""
    with (folder / name).open("wb") as file:
        for number in [*range(SCENES)] * again:
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


def clear(folder: Path) -> None:
    """Remove what the last rival wrote; not timed."""
    shutil.rmtree(folder / "data", ignore_errors=True)
    for path in folder.glob("bytes*"):
        path.unlink()
    os.sync()


def race_limit(folder: Path, **options: object) -> None:
    images, labels = write_pairs(folder, SCENES, SIZE_PX, **options)
    config = ConvertConfig(
        "chesapeake-4",
        str(folder / "data"),
        images,
        labels,
        split_buffer_px=0,
        workers=1,
        quiet=True,
    )
    rivals = {"convert": lambda: convert(config), "read and write": lambda: copy_windows(folder)}
    rates = race(rivals, SCENES * SIZE_PX**2 / 1e6, repeats=3, between=lambda: clear(folder))
    report("Mpx/s", rates, "read and write", target=0.7)


def race_workers(folder: Path) -> None:
    """Convert dates of the same scenes, many of them, with one worker and with two."""
    rows = [
        f"{again}/{number}_image.tif,{number}_label.tif"
        for again in range(AGAIN)
        for number in range(SCENES)
    ]
    for again in range(AGAIN):
        (folder / str(again)).mkdir()
        for number in range(SCENES):
            (folder / str(again) / f"{number}_image.tif").symlink_to(folder / f"{number}_image.tif")
    (folder / "pairs.csv").write_text("\n".join(["image,label", *rows]), encoding="utf-8")

    busy: dict[int, list[float]] = {1: [], 2: []}

    def run(workers: int) -> float:
        pairs, out = str(folder / "pairs.csv"), str(folder / "data")
        started_s, used_s = time.perf_counter(), processor_seconds()
        convert(ConvertConfig("chesapeake-4", out, pairs=pairs, workers=workers, quiet=True))
        seconds = time.perf_counter() - started_s
        busy[workers].append((processor_seconds() - used_s) / seconds)
        return seconds

    rivals = {"2 workers": lambda: run(2), "1 worker": lambda: run(1)}
    amount = AGAIN * SCENES * SIZE_PX**2 / 1e6
    rates = race(rivals, amount, repeats=2, between=lambda: clear(folder))
    report("Mpx/s", rates, "1 worker", target=1.8)
    shares = ", ".join(f"{workers}: {max(shares):.2f}" for workers, shares in busy.items())
    print(f"cores kept busy by so many workers, of {os.cpu_count()}: {shares}\n", flush=True)


def processor_seconds() -> float:
    """What this process and those that it has seen end have taken of all cores."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def race_copies(folder: Path) -> None:
    """Copy the windows of the same scenes in one process and in two, each its share."""

    def run(processes: int) -> None:
        shares = [(folder, f"bytes{i}", AGAIN // processes) for i in range(processes)]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            pool.starmap(copy_windows, shares, chunksize=1)

    rivals = {"2 processes": lambda: run(2), "1 process": lambda: run(1)}
    amount = AGAIN * SCENES * SIZE_PX**2 / 1e6
    report("Mpx/s", race(rivals, amount, repeats=2, between=lambda: clear(folder)), "1 process")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        delivered = Path(name) / "delivered"
        race_limit(delivered, compress="deflate", predictor=2)
        race_limit(Path(name) / "raw")
        race_workers(delivered)
        race_copies(delivered)


if __name__ == "__main__":
    main()
