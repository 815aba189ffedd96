"""The file of a measurement: written whole or not at all, and never over a file of another kind."""

import json
import os
import secrets
from pathlib import Path

from clustercast.errors import WrongInput
from clustercast.studies.measure.result import SCHEMA, Measurement


def check(path: str | Path, *, force: bool = False) -> Path:
    """The path, if a measurement may be written there. Raises WrongInput."""
    place = Path(path)
    if "\0" in str(path):
        raise WrongInput("--out: the path holds a NUL character")
    if place.is_dir() or not place.parent.is_dir():
        reason = "is a folder" if place.is_dir() else "its folder does not exist"
        raise WrongInput(f"--out {place}: {reason}, expected the path of a file")
    if place.exists() and not force and not _is_measurement(place):
        raise WrongInput(f"--out {place}: is there and is no measurement", hint="name another file, or give --force")
    return place


def _is_measurement(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return SCHEMA.encode() in file.read(4096)
    except OSError:
        return False


def write(found: Measurement, path: Path) -> None:
    """Write the document of a measurement. Raises WrongInput where that fails."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    text = json.dumps(found.as_dict(), indent=1, allow_nan=False) + "\n"
    try:
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise WrongInput(f"--out {path}: cannot be written: {(error.strerror or str(error)).lower()}") from None
