"""Show a model's answer beside the imagery, live: a page, and layers for QGIS and ArcGIS.

lcseg serve --model=run/bundle --image=scene.tif
lcseg serve --config=maps.toml
"""

from __future__ import annotations

from lcseg import cli
from lcseg.serving.config import ServeConfig

FLAGS = cli.ConfigFlags(ServeConfig)


def main(config: ServeConfig) -> None:
    from lcseg.serving.server import serve

    serve(config, tell)


def tell(address: str) -> None:
    """Say where everything is."""
    print(
        f"page    {address}\n"
        f"XYZ     {address}tiles/DATASET/classes/{{z}}/{{x}}/{{y}}.png\n"
        f"WMTS    {address}wmts/1.0.0/WMTSCapabilities.xml\n"
        f"ArcGIS  {address}arcgis/rest/services\n"
        f"OGC     {address}ogc\n"
        "Ctrl-C ends it",
        flush=True,
    )


if __name__ == "__main__":
    cli.run(FLAGS, main)
