"""A model file from a Hugging Face config.json."""

import hashlib
from pathlib import Path
from typing import Any

from clustercast import units
from clustercast.catalog import hf, models, read, write
from clustercast.catalog.models import ModelProfile
from clustercast.catalog.quantity import Quantity
from clustercast.errors import WrongInput
from clustercast.physics.parameters import active_params, total_params
from clustercast.studies.new.made import Made, check_name, name_like


def model_of(path: str, name: str | None = None, full_name: str | None = None) -> Made:
    """The file of the model that a config.json describes.

    Raises WrongInput for what is no config, and for a name that no file can have.
    """
    if path.startswith(("http://", "https://")):
        raise WrongInput(f"{path!r}: an address is not read, expected a file", hint="download config.json first")
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    config = hf.read_config(file)
    if "architecture" in config:
        raise read.wrong(file, "architecture", "is that of a model file already, expected a Hugging Face config.json")
    found = hf.model_of_config(config, file)
    own = check_name("--name", name) if name is not None else name_like(found.name)
    data, remarks = _data(found, own, full_name or own, _provenance(file, config))
    text = write.yaml_text("model", data, remarks)
    _same_again(found, data, text)
    record = found.record()
    numbers = {
        "total_params": total_params(record),
        "active_params": active_params(record),
        "served_precision": found.served or None,
    }
    return Made("model", own, text, numbers, tuple(data["notes"]))


def _provenance(file: Path, config: dict[str, Any]) -> str:
    """Which file it was, without the folders of this machine."""
    digest = hashlib.sha256(read.read_bytes(file)).hexdigest()[:16]
    kind = config.get("model_type")
    said = f", model_type {kind}" if isinstance(kind, str) and kind.isprintable() and len(kind) <= 100 else ""
    return f"Hugging Face config.json{said}, sha256 {digest}"


def _data(found: ModelProfile, name: str, full_name: str, source: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of the file, and comments behind some of them."""
    notes, remarks = [], {}
    for note in found.notes:
        if note.startswith("other_params: "):
            remarks["other_params"] = note.removeprefix("other_params: ")
        else:
            notes.append(note)
    data: dict[str, Any] = {
        "name": name,
        "full_name": full_name,
        "aliases": [],
        "status": "published",
        "sources": {"config": source, "rule": found.sources["rule"]},
        "architecture": {"source": "config", "kind": "reported", **found.architecture},
        "training": {key: _quantity(each) for key, each in found.training.items()} | {"precision": found.precision},
    }
    if found.served:
        data["serving"] = {"precision": found.served}
    data["notes"] = notes
    return data, remarks


def _quantity(each: Quantity) -> dict[str, Any]:
    ends = {} if each.low is None or each.high is None else {"low": _number(each.low), "high": _number(each.high)}
    why = {"why": each.why} if each.why else {}
    return {"value": _number(each.value), "source": each.source, "kind": each.kind, **ends, **why}


def _number(value: float) -> str | int | float:
    """A count as people write it, where that is the same number."""
    if value == int(value) and value < 1e6:
        return int(value)
    text = units.count(value, 6)
    return text if units.parse(text, "count") == value else value


def _same_again(found: ModelProfile, data: dict[str, Any], text: str) -> None:
    """That the written file is the model that was read."""
    again = models.model_profile(write.checked("model", text, data), "", "")
    same = again.record() == found.record() and again.served == found.served
    values = {name: each.value for name, each in again.training.items()}
    if not same or values != {name: each.value for name, each in found.training.items()}:
        raise AssertionError("a model file does not read back as the config that it was made from")
