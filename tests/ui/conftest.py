"""A server that answers by real worker processes, started once."""

import warnings
from collections.abc import Iterator

import pytest

from clustercast.ui.app import application
from clustercast.ui.pool import Pool

with warnings.catch_warnings():  # starlette would rather have httpx2; httpx is what it took before
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    with TestClient(application(Pool(n_workers=2), 8765), base_url=ADDRESS) as started:
        yield started
