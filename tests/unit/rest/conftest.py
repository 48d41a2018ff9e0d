from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

if importlib.util.find_spec("starlette") is None:  # the extra `rest` is not installed
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.unit.rest.cluster import Server

    @pytest.fixture
    def server() -> Iterator[Server]:
        made = Server()
        yield made
        made.close()
