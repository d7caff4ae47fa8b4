"""Write a trained model in a form that other programs load.

lcseg export --model=run/bundle --format=onnx --out=model.onnx
lcseg export --model=run/bundle --format=savedmodel --out=saved
lcseg export --model=run/bundle --format=arcgis --out=landcover
"""

from __future__ import annotations

from lcseg import cli
from lcseg.model.config import ExportConfig
from lcseg.runtime import start_tensorflow

FLAGS = cli.ConfigFlags(ExportConfig)


def main(config: ExportConfig) -> None:
    start_tensorflow()
    from lcseg.model.export import export

    exported = export(config)
    print(f"{exported}\n{config.format}: {exported.out}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
