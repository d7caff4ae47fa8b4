"""How much memory a program takes at most."""

import subprocess
import sys

# Not that of getrusage, which a process takes over from the one that starts it.
_TAIL = """
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM")))
"""


def peak_mb(program: str, *arguments: object) -> float:
    """The peak resident set of a Python program in a process of its own, in MB."""
    command = [sys.executable, "-c", program + _TAIL, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return float(done.stdout.split()[-1])
