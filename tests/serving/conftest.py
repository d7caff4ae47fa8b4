"""One place and one server for all tests of serving that change neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from served import Place, make_place, running

from lcseg.serving.config import ServeConfig


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def address(place: Place) -> Iterator[str]:
    """The address of a server with the data sets "made" and "bare"."""
    with running(ServeConfig(config=str(place.write_config()), port=0)) as found:
        yield found
