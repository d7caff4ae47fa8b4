"""Real servers of object stores on this machine: moto for S3, Azurite for Azure."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

AZURITE = Path(sys.prefix) / "azurite" / "node_modules" / ".bin" / "azurite-blob"
"""Where `make .venv-io/dev` puts it."""

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What every Azurite takes; it is no secret."""

START_S = 60
STATUS = pytest.StashKey[int]()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(command: list[str | Path], port: int) -> Iterator[None]:
    """Run a server until the end of the block, which begins when it listens."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert server.poll() is None, f"{command[0]} has ended"
            assert time.monotonic() < deadline_s, f"{command[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def s3() -> Iterator[str]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "S3_ENDPOINT": address,
    }
    with serving([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        import boto3

        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="bucket")
        yield "s3://bucket"


@contextmanager
def azure(folder: Path) -> Iterator[str]:
    port = free_port()
    os.environ |= {
        "TF_AZURE_STORAGE_KEY": KEY,
        "TF_AZURE_STORAGE_USE_HTTP": "1",
        "TF_AZURE_STORAGE_BLOB_ENDPOINT": f"127.0.0.1:{port}/{ACCOUNT}",
    }
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder]
    node = shutil.which("node") or "node"
    quiet = ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    # The client waits for more of the answer that a container is there already, until Azurite ends
    # the connection.
    quiet += ["--blobKeepAliveTimeout", "1"]
    with serving([node, AZURITE.resolve(), *where, *quiet], port):
        import tensorflow as tf
        import tensorflow_io  # noqa: F401

        root = f"az://{ACCOUNT}/container"
        tf.io.gfile.makedirs(root)
        yield root


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[STATUS] = int(session.exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End as `lcseg` does: tensorflow-io may abort a process that ends by itself."""
    if "tensorflow_io" in sys.modules and STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[STATUS])


@pytest.fixture(scope="session", params=["s3", "az"])
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an empty bucket or container, to which this process and its children may."""
    is_s3 = request.param == "s3"
    with s3() if is_s3 else azure(tmp_path_factory.mktemp("azurite")) as root:
        yield root


@pytest.fixture
def place(store: str) -> str:
    """The address of a folder that nobody else uses."""
    return f"{store}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """A function that starts `lcseg VERB …` and does not wait."""

    def begin(*arguments: str) -> subprocess.Popen[str]:
        program = str(Path(sys.executable).with_name("lcseg"))
        return subprocess.Popen(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return begin
