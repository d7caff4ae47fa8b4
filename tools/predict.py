"""Map a raster with a trained model: a Cloud-Optimized GeoTIFF with palette and class names.

lcseg predict --model=run/bundle --image=scene.tif --out=map.tif
"""

from __future__ import annotations

from tabulate import tabulate

from lcseg import cli
from lcseg.prediction.config import PredictConfig
from lcseg.runtime import start_tensorflow

FLAGS = cli.ConfigFlags(PredictConfig)


def main(config: PredictConfig) -> None:
    start_tensorflow()
    from lcseg.prediction.mapping import predict_map

    summary = predict_map(config)
    mapped = max(sum(summary.class_pixels), 1)
    hectares = (summary.pixel_m or 0) ** 2 / 1e4
    rows = [
        [name, f"{n:,}", f"{100 * n / mapped:.1f} %", f"{n * hectares:,.1f}" if hectares else "–"]
        for name, n in zip(summary.names, summary.class_pixels, strict=True)
    ]
    print(
        tabulate(
            rows,
            ["class", "pixels", "share", "hectares"],
            disable_numparse=True,
            colalign=("left", "right", "right", "right"),
        )
    )
    mpx = summary.pixels / 1e6
    print(f"\n{mpx:.2f} Mpx in {summary.seconds:.1f} s ({summary.speed_mpx_s:.2f} Mpx/s)")
    print(f"map: {summary.out}")
    if config.probabilities:
        print(f"probabilities: {config.probabilities}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
