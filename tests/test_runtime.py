import os
import subprocess
import sys
from pathlib import Path

import pytest

from lcseg.runtime import _stderr_held_back

OPEN_FILES = Path("/proc/self/fd")
START = "import sys; from lcseg.runtime import start_tensorflow; start_tensorflow(); "


def run(script: str, level: str | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: text for name, text in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=kept if level is None else {**kept, "TF_CPP_MIN_LOG_LEVEL": level},
    )


@pytest.mark.slow
def test_tensorflow_starts_without_a_word():
    result = run(START + "print('tensorflow' in sys.modules); print('mine', file=sys.stderr)")
    assert result.stdout == "True\n"
    assert result.stderr == "mine\n"


def test_level_0_leaves_stderr_and_tensorflow_alone():
    script = START + "print('tensorflow' in sys.modules)"
    assert run(script, level="0").stdout == "False\n"


def test_what_is_held_back_is_shown_after_all_where_the_start_fails():
    script = (
        "import os\nfrom lcseg.runtime import _stderr_held_back\n"
        "with _stderr_held_back():\n    os.write(2, b'chatter\\n')\n    raise ValueError('broken')"
    )
    result = run(script)
    assert result.returncode == 1
    assert result.stderr.startswith("chatter\n")
    assert result.stderr.endswith("ValueError: broken\n")


def test_stderr_of_the_process_is_held_back_and_given_back(capfd):
    with _stderr_held_back():
        os.write(2, b"chatter\n")
    os.write(2, b"mine\n")
    assert capfd.readouterr().err == "mine\n"


def test_no_file_stays_open_after_holding_back():
    if not OPEN_FILES.is_dir():
        pytest.skip("the open files of a process are listed on Linux only")
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(5):
        with _stderr_held_back():
            pass
    assert len(list(OPEN_FILES.iterdir())) == before


def test_memory_that_is_no_longer_used_goes_back_to_the_system():
    program = """
from lcseg.runtime import release_memory
def resident_mb():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096 / 1e6
blocks = [bytearray(100_000) for _ in range(2_000)]
del blocks[:-1]
before_mb = resident_mb()
release_memory()
print(before_mb - resident_mb())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert float(done.stdout) > 100
