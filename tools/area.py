"""Estimate how good a map is, and the area of each class, by points that people have looked at.

lcseg area --map=map.tif --reference=points.gpkg --out=area

The points are those of lcseg sample. Their field reference holds the name of a class, or its value
on the map. Estimates have 95 % intervals.
"""

from __future__ import annotations

from lcseg import cli
from lcseg.evaluation.config import AreaConfig

FLAGS = cli.ConfigFlags(AreaConfig)


def main(config: AreaConfig) -> None:
    from lcseg.evaluation.area_assessment import assess_area

    report = assess_area(config)
    print(report.estimates.table())
    if report.change:
        print(f"\n{report.change.table(report.estimates.hectares_format)}")
    print("".join(f"\nnote: {note}" for note in report.notes), end="\n" if report.notes else "")
    if config.out:
        print(f"\nreport: {config.out}/report.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
