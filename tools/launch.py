"""Train on several workers of this machine, which are restarted together when one dies.

lcseg launch --workers=2 -- train --data=data --run=run
"""

from __future__ import annotations

import sys

from lcseg import cli
from lcseg.training.launcher import LaunchConfig, launch

FLAGS = cli.ConfigFlags(LaunchConfig, command="command")

# -P: what lies in the current folder shall not replace a module.
_PROGRAM = [sys.executable, "-P", "-c", "from lcseg.cli import main; main()"]


def main(config: LaunchConfig) -> None:
    restarts = launch(config, _PROGRAM)
    print(f"workers: {config.workers}, restarts: {restarts}")


if __name__ == "__main__":
    cli.run(FLAGS, main)
