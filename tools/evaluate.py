"""Say how good a model is on a split of a data set, or a map by a label raster.

lcseg evaluate --model=run/bundle --data=data --split=test --out=report
lcseg evaluate --map=map.tif --label=lc.tif --classes=chesapeake-4 --out=report
"""

from __future__ import annotations

from lcseg import cli
from lcseg.evaluation.config import EvaluateConfig
from lcseg.runtime import start_tensorflow

FLAGS = cli.ConfigFlags(EvaluateConfig)


def main(config: EvaluateConfig) -> None:
    start_tensorflow()
    from lcseg.evaluation.assessment import assess

    report = assess(config)
    print(report.text())
    print(f"\nreport: {config.out}/report.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
