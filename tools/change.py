"""Say what changed between maps of two or more dates: maps of transitions, hectares, a report.

lcseg change --before=2013.tif --after=2017.tif --out=change
lcseg change --maps=2009=a.tif,2013=b.tif,2017=c.tif --regions=counties.gpkg --out=change
lcseg change --model=run/bundle --image_before=2013.tif --image_after=2017.tif --out=change
"""

from __future__ import annotations

from lcseg import cli
from lcseg.change.config import ChangeConfig

FLAGS = cli.ConfigFlags(ChangeConfig)


def main(config: ChangeConfig) -> None:
    from lcseg.change.analysis import find_change

    report = find_change(config)
    print(report.text())
    for interval in report.intervals:
        place = f"{config.out}/{interval.folder}".rstrip("/")
        print(f"\ntransitions: {place}/transitions.tif", end="")
    print(f"\nreport: {config.out}/report.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
