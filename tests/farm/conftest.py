"""A cluster of three nodes for all tests of one process, and the workspace of the tests of jobs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.farm.nodes import Nodes
from tests.jobs.conftest import still_one_thread, workspace

__all__ = ["still_one_thread", "workspace"]


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """Three nodes with a processor each."""
    with Nodes({"CPU": 1}, {"CPU": 1}, {"CPU": 1}, has_client_server=True) as made:
        yield made
