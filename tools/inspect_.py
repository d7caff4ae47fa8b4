"""Read a data set back, verify its counts and checksums, and draw some chips.

lcseg inspect data --preview=chips.png
"""

from __future__ import annotations

from lcseg import cli
from lcseg.records.config import InspectConfig

FLAGS = cli.ConfigFlags(InspectConfig, positional="data")


def main(config: InspectConfig) -> None:
    from lcseg.records.inspection import inspect

    print(inspect(config))


if __name__ == "__main__":
    cli.run(FLAGS, main)
