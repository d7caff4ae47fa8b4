"""Pack image and label rasters into sharded TFRecords with a manifest.

lcseg convert --images='scenes/*_naip.tif' --labels='scenes/*_lc.tif' \\
    --classes=chesapeake-4 --out=data
"""

from __future__ import annotations

from lcseg import cli
from lcseg.records.config import ConvertConfig

FLAGS = cli.ConfigFlags(ConvertConfig)


def main(config: ConvertConfig) -> None:
    from lcseg.records.conversion import convert, plan_folder, rehearse
    from lcseg.records.correction_report import describe_corrections
    from lcseg.records.manifest import describe

    if config.plan:
        report = rehearse(config)
        print(describe(report.splits, report.scheme))
        print(f"\n{describe_corrections(report.corrections)}", end="")
        print(f"no records were written; report: {plan_folder(config.out)}/conversion.html")
        return
    manifest = convert(config)
    print(describe(manifest.splits, manifest.class_scheme))
    print(f"\n{describe_corrections(manifest.corrections)}", end="")
    print(f"{len(manifest.shards)} shards from {len(manifest.sources)} scenes in {config.out}")
    print(f"report: {config.out}/conversion.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
