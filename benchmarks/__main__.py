"""Run the benchmarks that are named, or all of them, each in a process of its own."""

import subprocess
import sys

NAMES = (
    "conversion",
    "input",
    "trainer",
    "cluster",
    "network",
    "predict",
    "seams",
    "export",
    "serve",
    "change",
    "audit",
    "compression",
)

for name in sys.argv[1:] or NAMES:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
