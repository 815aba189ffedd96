"""The published record is found in a checkout and in a wheel."""

from pathlib import Path

import pytest

from clustercast.catalog import read
from clustercast.catalog.record import record_files, record_folder

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_reads_its_own_record() -> None:
    assert record_folder() == ROOT / "bench/record"
    assert [path.name for path in record_files()] == ["serving.csv", "training.csv"]


def test_a_wheel_reads_the_packages_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    package = Path(read.__file__).resolve().parents[1]
    monkeypatch.setattr(read, "data_root", lambda: package / "_data")
    assert record_folder() == package / "_data/record"
