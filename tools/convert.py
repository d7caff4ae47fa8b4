"""Pack image and label rasters into sharded TFRecords with a manifest.

lcseg convert --images='scenes/*_naip.tif' --labels='scenes/*_lc.tif' \\
    --classes=chesapeake-4 --out=data
"""

from __future__ import annotations

from lcseg import cli
from lcseg.records.config import ConvertConfig

FLAGS = cli.ConfigFlags(ConvertConfig)


def main(config: ConvertConfig) -> None:
    from lcseg.records.conversion import convert
    from lcseg.records.manifest import describe

    manifest = convert(config)
    print(describe(manifest))
    print(f"\n{len(manifest.shards)} shards from {len(manifest.sources)} scenes in {config.out}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
