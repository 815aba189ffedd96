"""Every test here has a cache folder of its own."""

import pytest

from clustercast.catalog import read


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(read, "_cache_folder", lambda: folder)
    return folder
