"""Go the whole way once, on a made-up landscape: scenes, data set, model, report, map, page.

lcseg demo --out=demo-run --serve
"""

from __future__ import annotations

import webbrowser

from lcseg_tools.serve import tell

from lcseg import cli
from lcseg.demo.config import DemoConfig
from lcseg.runtime import start_tensorflow
from lcseg.serving.config import ServeConfig

FLAGS = cli.ConfigFlags(DemoConfig)


def main(config: DemoConfig) -> None:
    start_tensorflow()
    from lcseg.demo.journey import SHOWN, describe, travel
    from lcseg.serving.server import serve

    stages = travel(config)
    print(f"\n{describe(stages)}\n\nopen {config.out}/index.html")
    shown = ServeConfig(config=f"{config.out}/{SHOWN}", port=config.port)
    if config.serve:
        serve(shown, _open)
    else:
        print(f"or see it live: lcseg serve --config={shown.config}")


def _open(address: str) -> None:
    tell(address)
    webbrowser.open(address)


if __name__ == "__main__":
    cli.run(FLAGS, main)
