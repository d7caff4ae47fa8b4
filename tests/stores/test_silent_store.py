"""A store that nobody answers for must not be taken for an empty one."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("tensorflow_io", reason="needs lcseg[io]")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["s3://bucket/run", "az://account/container/run"])
def test_store_that_does_not_answer_is_one_line_and_not_empty(lcseg, monkeypatch, address):
    nowhere = "127.0.0.1:1"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "S3_ENDPOINT": f"http://{nowhere}",
        "TF_AZURE_STORAGE_KEY": "a2V5",
        "TF_AZURE_STORAGE_USE_HTTP": "1",
        "TF_AZURE_STORAGE_BLOB_ENDPOINT": nowhere,
    }.items():
        monkeypatch.setitem(os.environ, name, value)
    done = lcseg("inspect", f"--data={address}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the store does not answer" in done.stderr or "the store refuses" in done.stderr
    assert done.stderr.count("\n") == 1
