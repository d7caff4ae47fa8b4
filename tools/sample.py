"""Draw a stratified random sample of points from a map, for people to say what is there.

lcseg sample --map=map.tif --n=500 --out=points.gpkg

The strata are the classes of the map. People fill in the field reference of each point, as in QGIS,
with the name of a class; lcseg area then estimates accuracies and areas.
"""

from __future__ import annotations

from lcseg import cli
from lcseg.evaluation.config import SampleConfig

FLAGS = cli.ConfigFlags(SampleConfig)


def main(config: SampleConfig) -> None:
    from lcseg.evaluation.sampling import draw_sample

    summary = draw_sample(config)
    print(summary.table())
    print(f"\n{sum(summary.points):,} points: {config.out}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
