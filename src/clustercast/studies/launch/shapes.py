"""An architecture read from a launch file as a model of the catalogue's kind."""

import re
from pathlib import Path
from typing import Any, Final

from clustercast import records
from clustercast.catalog import ModelProfile, constants, read
from clustercast.catalog.models import model_record
from clustercast.catalog.sizes import SOURCES, training_defaults
from clustercast.errors import WrongInput
from clustercast.physics.parameters import active_params, total_params

# The vocabularies of tokenizers that tools know by name; others are looked up by the model's name.
TOKENIZERS: Final = {"GPT2BPETokenizer": 50257, "Llama2Tokenizer": 32000, "Llama3Tokenizer": 128256}

# What two descriptions of one model may differ in: norms and biases, which no launch file counts.
UNCOUNTED: Final = ("other_params",)


def profile(shape: dict[str, Any], path: Path, tool: str) -> ModelProfile:
    """The model of an architecture, with the training defaults of its size."""
    record = records.as_declared(model_record(shape))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem)[:64].strip("-") or "launched"
    where = read.shown(path)
    return ModelProfile(
        name=name,
        full_name=f"{name} ({tool})",
        aliases=(),
        status="published",
        architecture=shape,
        architecture_source="launch",
        architecture_kind="reported",
        unverified=(),
        published={},
        exceptions={},
        training=training_defaults(total_params(record), active_params(record)),
        precision="bf16",
        serving={},
        sources={"launch": f"{where}, read as a {tool} launch file", **SOURCES},
        notes=(),
        resolved_as=f"{tool} launch file {where}",
        file=where,
    )


def usual_vocabulary(name: str) -> tuple[int, str]:
    """The vocabulary of a tokenizer or of the models whose name begins so, and how it was found."""
    table = constants.table("defaults")["vocabulary"]
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    plain = re.sub(r"^meta-?", "", last, flags=re.IGNORECASE).replace("-", "").replace("_", "").lower()
    for entry in table["models"]:
        if plain and plain.startswith(entry["text"].lower()):
            return int(entry["tokens"]), f"as models whose name begins with {entry['text']}"
    return int(table["other"]["value"]), "as no tokenizer that is known by name is given"


def differing(one: records.Model, other: records.Model) -> str:
    """The first field in which two models differ in more than norms and biases, or nothing."""
    for name in records.Model._fields:
        if name not in UNCOUNTED and getattr(one, name) != getattr(other, name):
            return name
    return ""


def plain(record: records.Model, tool: str) -> None:
    """Raise WrongInput for what no launch file of the tool can say of a model's layers."""
    problem = ""
    if record.n_linear_layers:
        problem = f"{record.n_linear_layers} linear-attention or state-space layers"
    elif record.n_full_layers + record.n_window_layers != record.n_layers:
        problem = "layers without attention"
    elif record.n_dense_layers + record.n_moe_layers != record.n_layers:
        problem = "layers without an MLP"
    elif record.index_heads:
        problem = "sparse attention with an index"
    elif record.attention == records.GQA and record.qk_head_dim != record.v_head_dim:
        problem = f"heads of {record.qk_head_dim} for keys and {record.v_head_dim} for values"
    if problem:
        raise WrongInput(f"--export {tool}: the model has {problem}, which this export cannot say")
