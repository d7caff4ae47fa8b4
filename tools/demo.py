"""Go the whole way once, on a made-up landscape: scenes, data set, model, report, map, page.

lcseg demo --out=demo-run
"""

from __future__ import annotations

from lcseg import cli
from lcseg.demo.config import DemoConfig
from lcseg.runtime import start_tensorflow

FLAGS = cli.ConfigFlags(DemoConfig)


def main(config: DemoConfig) -> None:
    start_tensorflow()
    from lcseg.demo.journey import describe, travel

    stages = travel(config)
    print(f"\n{describe(stages)}\n\nopen {config.out}/index.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
