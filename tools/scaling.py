"""Measure how training scales on the workers of this machine, and project it to more.

lcseg scaling --data=data --workers=1,2,4 --out=scaling --batch=16

The flags of the model, input, loss and optimizer are those of lcseg train, but --batch is that of
one worker, which each worker keeps, however many there are. Workers have as many cores each, with
any number of them.
"""

from __future__ import annotations

from lcseg import cli
from lcseg.scaling.config import ScalingConfig

FLAGS = cli.ConfigFlags(ScalingConfig)


def main(config: ScalingConfig) -> None:
    from lcseg.scaling.advice import advise
    from lcseg.scaling.measurement import measure_scaling
    from lcseg.scaling.page import format_tables, write_report
    from lcseg.scaling.projection import make_report

    report = make_report(config, measure_scaling(config))
    write_report(report, config.out)
    print(format_tables(report))
    print("".join(f"\nnote: {sentence}" for sentence in advise(report)))
    print(f"\nreport: {config.out}/report.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
