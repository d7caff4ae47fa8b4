"""Go the whole way once, on a made-up landscape: scenes, data set, model, report, map, page.

lcseg demo --out=demo-run --serve
"""

from __future__ import annotations

import threading
import webbrowser

from lcseg import cli
from lcseg.demo.config import DemoConfig
from lcseg.runtime import start_tensorflow
from lcseg.serving.config import ServeConfig

FLAGS = cli.ConfigFlags(DemoConfig)


def main(config: DemoConfig) -> None:
    start_tensorflow()
    from lcseg.demo.journey import SHOWN, describe, travel
    from lcseg.serving.server import list_addresses, serve

    def open_page(address: str) -> None:
        print(list_addresses(address), flush=True)
        # Beside the server: some browsers do not return until they have the page.
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    stages = travel(config)
    print(f"\n{describe(stages)}\n\nopen {config.out}/index.html")
    shown = ServeConfig(config=f"{config.out}/{SHOWN}", port=config.port)
    if config.serve:
        serve(shown, open_page)
    else:
        print(f"or see it live: lcseg serve --config={shown.config}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
