"""The folder of a sweep as a question reads it: which parts are finished, what they belong to, their columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.query.columns import Column, columns_of
from clustercast.studies.sweep import store
from clustercast.studies.sweep.values import is_relative

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Kept:
    """What a sweep has kept so far."""

    folder: Path
    title: str
    about: str
    study: str  # SHA-256 of what the study says
    version: str  # of clustercast that computed it
    parts: tuple[int, ...]  # finished ones
    n_parts: int
    n_rows: int
    counts: dict[str, int]
    columns: tuple[Column, ...]

    @property
    def complete(self) -> bool:
        """Whether all parts are there."""
        return len(self.parts) == self.n_parts

    def column(self, name: str) -> Column | None:
        """A column by its name in any case."""
        return next((each for each in self.columns if each.name.lower() == name.lower()), None)


def kept_in(path: str | Path) -> Kept:
    """What lies in a sweep's folder. Raises WrongInput; NoAnswer where no part is finished."""
    folder = Path(path)
    if not folder.is_dir():
        raise WrongInput(f"there is no folder {str(folder)!r}", hint="name the folder that `sweep --out` was given")
    identity = store.read_identity(folder)
    n_points, size = identity["n_points"], identity["part_size"]
    entries, damage = store.checked(
        folder, identity, lambda part: (part * size, min((part + 1) * size, n_points)), whole=False
    )
    hurt = [each for each in damage if each.part is not None]
    if hurt:
        raise store.damaged(folder, hurt)
    n_parts = identity["n_parts"]
    if not entries:
        raise NoAnswer(f"{str(folder)!r}: none of the {n_parts:,} parts is finished", numbers={"n_parts": n_parts})
    study = store.canonical(_study(folder), folder / store.STUDY)
    totals = store.totals(entries)
    return Kept(
        folder=folder,
        title=str(study.get("title", folder.name)),
        about=str(study.get("about", "")),
        study=str(identity["study"]),
        version=str(identity.get("versions", {}).get("clustercast", "")),
        parts=tuple(sorted(entries)),
        n_parts=n_parts,
        n_rows=totals["rows"],
        counts=totals["counts"],
        columns=columns_of(_schema(folder, min(entries)), multiples(study)),
    )


def multiples(study: dict[str, Any]) -> frozenset[str]:
    """Axes whose values are multiples of the usual one.

    >>> sorted(multiples({"axes": {"tp": [1, 2], "chip.flops": ["0.5x", "1x"]}}))
    ['chip.flops']
    """
    samples = study.get("samples")
    tables = [study.get("axes"), samples.get("axes") if isinstance(samples, dict) else None]
    named = [pair for each in tables if isinstance(each, dict) for pair in each.items()]
    return frozenset(name for name, spec in named if is_relative(_first(spec)))


def _first(spec: Any) -> Any:
    """The first value that an axis is written with."""
    if isinstance(spec, dict):
        return spec.get("from")
    return spec[0] if isinstance(spec, list) and spec else None


def _study(folder: Path) -> bytes:
    with store.trouble(folder / store.STUDY, "read"):
        return (folder / store.STUDY).read_bytes()


def _schema(folder: Path, part: int) -> "pa.Schema":
    """Names and types of the columns. Raises WrongInput."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(store.part_path(folder, part))
    except (OSError, pa.ArrowException) as error:
        raise broken(folder, part, error) from None


def broken(folder: Path, part: int, error: Exception) -> WrongInput:
    """The error for a part that cannot be read."""
    name = store.part_path(folder, part).name
    said = " ".join(str(error).split())
    return WrongInput(f"{str(folder)!r}: {name} is broken: {said}", hint="`sweep ... --repair` computes it again")


def first_broken(kept: Kept) -> WrongInput | None:
    """The first part of which a page is not as it was written; None where all are whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for part in kept.parts:
        try:
            file = pq.ParquetFile(store.part_path(kept.folder, part), page_checksum_verification=True)
            for _ in file.iter_batches():
                pass
        except (OSError, pa.ArrowException) as error:
            return broken(kept.folder, part, error)
    return None
