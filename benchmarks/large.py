"""A map of 50,000 x 50,000 px beside one of 5,000 x 5,000: peak memory and speed.

The image is a VRT that shows one scene again and again, so that every pixel holds data; the network
is tiny. Each map is made by `lcseg predict`, in a process of its own. Some minutes, 4 GB of disk.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tabulate import tabulate

from benchmarks.bundles import write_bundle
from benchmarks.scenes import BANDS, write_scene
from lcseg.model.config import UNetConfig
from lcseg.synthetic import Landscape, make_landscape

TILE_PX = 5000
SIZES_PX = (5_000, 50_000)
TARGET_RATIO, TARGET_GB = 1.1, 2.0

_PROGRAM = """
import sys
from lcseg.prediction.config import PredictConfig
from lcseg.prediction.mapping import predict_map
summary = predict_map(PredictConfig(*sys.argv[1:4]))
# Not that of getrusage, which a process takes over from the one that starts it.
with open("/proc/self/status") as status:
    peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(summary.seconds, peak_kb / 2**20)
"""


def write_vrt(path: Path, tile: Path, size_px: int) -> None:
    """Show a tile again and again until it fills a raster."""
    root = ElementTree.Element("VRTDataset", rasterXSize=str(size_px), rasterYSize=str(size_px))
    ElementTree.SubElement(root, "SRS").text = "EPSG:26918"
    ElementTree.SubElement(root, "GeoTransform").text = "400000, 1, 0, 4300000, 0, -1"
    side = {"xSize": str(TILE_PX), "ySize": str(TILE_PX)}
    for index, name in enumerate(BANDS, start=1):
        band = ElementTree.SubElement(root, "VRTRasterBand", dataType="Byte", band=str(index))
        ElementTree.SubElement(band, "Description").text = name
        for row in range(0, size_px, TILE_PX):
            for col in range(0, size_px, TILE_PX):
                source = ElementTree.SubElement(band, "SimpleSource")
                ElementTree.SubElement(source, "SourceFilename", relativeToVRT="1").text = tile.name
                ElementTree.SubElement(source, "SourceBand").text = str(index)
                ElementTree.SubElement(source, "SrcRect", xOff="0", yOff="0", **side)
                ElementTree.SubElement(source, "DstRect", xOff=str(col), yOff=str(row), **side)
    ElementTree.ElementTree(root).write(path)


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tile, bundle = folder / "tile.tif", folder / "bundle"
        write_scene(tile, make_landscape(Landscape(TILE_PX)).image_hwc, TILE_PX, 0, BANDS)
        write_bundle(bundle, UNetConfig(depth=1, width=4))
        for size_px in SIZES_PX:
            image, out = folder / f"{size_px}.vrt", folder / f"{size_px}.tif"
            write_vrt(image, tile, size_px)
            command = [sys.executable, "-c", _PROGRAM, str(bundle), str(image), str(out)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds, peak_gb = map(float, done.stdout.split())
            rows.append([size_px, seconds, size_px**2 / 1e6 / seconds, peak_gb])
    print(
        tabulate(rows, ["side (px)", "s", "Mpx/s", "peak (GB)"], floatfmt=("", ".1f", ".2f", ".3f"))
    )
    ratio, peak_gb = rows[-1][-1] / rows[0][-1], rows[-1][-1]
    is_fine = ratio <= TARGET_RATIO and peak_gb < TARGET_GB
    print(
        f"target at most {TARGET_RATIO} times and {TARGET_GB:.0f} GB: "
        f"{'pass' if is_fine else 'MISS'} at {ratio:.3f} and {peak_gb:.2f} GB"
    )


if __name__ == "__main__":
    main()
