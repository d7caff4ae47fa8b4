"""Find labels that are probably wrong: places where a confident prediction contradicts them.

lcseg audit --data=data --folds=3 --out=audit -- --epochs=20
lcseg audit --data=data --model=run/bundle --split=test --out=audit
lcseg audit --probabilities=probs.tif --label=lc.tif --classes=chesapeake-4 --out=audit

A model that has learnt a wrong label does not contradict it. So --folds trains models, each for the
ground that it has not seen, with the flags of lcseg train after --; what is interrupted goes on
with the same command. People say in OUT/suspects.gpkg which places are wrong, and lcseg convert
takes it as --corrections.
"""

from __future__ import annotations

import sys

from lcseg import cli
from lcseg.audit.config import AuditConfig

FLAGS = cli.ConfigFlags(AuditConfig, command="training")

# -P: what lies in the current folder shall not replace a module. What training prints is no result
# of the audit.
_TRAIN = "import sys; sys.stdout = sys.stderr; from lcseg.cli import main; main()"
_PROGRAM = [sys.executable, "-P", "-c", _TRAIN]


def main(config: AuditConfig) -> None:
    from lcseg.audit.auditing import audit
    from lcseg.audit.report import SUSPECTS

    report = audit(config, _PROGRAM)
    print(report.text())
    print(f"\nplaces: {config.out}/{SUSPECTS}\nreport: {config.out}/report.html")


if __name__ == "__main__":
    cli.run(FLAGS, main)
