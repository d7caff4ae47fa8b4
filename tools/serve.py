"""Show a model's answer beside the imagery, live: a page, and layers for QGIS and ArcGIS.

lcseg serve --model=run/bundle --image=scene.tif
lcseg serve --config=maps.toml
"""

from __future__ import annotations

from lcseg import cli
from lcseg.serving.config import ServeConfig

FLAGS = cli.ConfigFlags(ServeConfig)


def main(config: ServeConfig) -> None:
    from lcseg.serving.server import list_addresses, serve

    serve(config, lambda address: print(list_addresses(address), flush=True))


if __name__ == "__main__":
    cli.run(FLAGS, main)
