import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def train_flags():
    """The flags that `lcseg train --help` lists; absl's own register is global to a process."""
    lcseg = Path(sys.executable).with_name("lcseg")
    run = subprocess.run([lcseg, "train", "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^  --(?:no)?(\w+)", run.stdout, re.MULTILINE))


@pytest.fixture
def write_program(tmp_path):
    """Write a program of bash into `tmp_path`."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{text}")
        path.chmod(0o755)

    return write
