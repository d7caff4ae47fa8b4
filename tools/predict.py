"""Map rasters with a trained model: Cloud-Optimized GeoTIFFs with palette and class names.

lcseg predict --model=run/bundle --image=scene.tif --out=map.tif
lcseg predict --model=run/bundle --images='naip/*.tif' --mosaic --aoi=county.geojson --out=map.tif
lcseg predict --model=run/bundle --images='naip/*.tif' --out='maps/{name}.tif'
"""

from __future__ import annotations

import numpy as np
from tabulate import tabulate

from lcseg import cli
from lcseg.prediction.config import NAME, PredictConfig

FLAGS = cli.ConfigFlags(PredictConfig)


def main(config: PredictConfig) -> None:
    from lcseg.prediction.mapping import predict_maps

    summaries = predict_maps(config)
    if not summaries:
        print("all maps were there already")
        return
    counts = np.sum([summary.class_pixels for summary in summaries], axis=0)
    areas = np.sum(
        [np.array(s.class_pixels) * (s.pixel_m or 0) ** 2 / 1e4 for s in summaries], axis=0
    )
    mapped = max(int(counts.sum()), 1)
    rows = [
        [name, f"{n:,}", f"{100 * n / mapped:.1f} %", f"{area:,.1f}" if area else "–"]
        for name, n, area in zip(summaries[0].names, counts, areas, strict=True)
    ]
    print(
        tabulate(
            rows,
            ["class", "pixels", "share", "hectares"],
            disable_numparse=True,
            colalign=("left", "right", "right", "right"),
        )
    )
    mpx, earlier, seconds = (
        sum(getattr(s, what) for s in summaries) / unit
        for what, unit in (("pixels", 1e6), ("earlier", 1e6), ("seconds", 1))
    )
    before = f", {earlier:.2f} of them before" if earlier else ""
    print(f"\n{mpx:.2f} Mpx in {seconds:.1f} s{before} ({(mpx - earlier) / seconds:.2f} Mpx/s)")
    for summary in summaries:
        print(f"map: {summary.out}")
    for flag in ("probabilities", "confidence", "margin", "polygons"):
        if getattr(config, flag) and NAME not in getattr(config, flag):
            print(f"{flag}: {getattr(config, flag)}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
