"""Where the published record lies: `bench/record` of a checkout, or the package's own copy in a wheel."""

from pathlib import Path

from clustercast.catalog import read


def record_folder() -> Path:
    """The folder of the record's files.

    >>> (record_folder() / "training.csv").is_file()
    True
    """
    own = Path(read.__file__).resolve().parents[1] / "_data"
    root = read.data_root()
    return root / "record" if root == own else root / "bench" / "record"


def record_files() -> list[Path]:
    """The record's files, sorted: one of training runs, one of serving points."""
    return sorted(record_folder().glob("*.csv"))
