"""JSON Schemas of the answers, made from their dataclasses: what docs/schemas holds and tests validate against."""

import json
from pathlib import Path
from typing import Any, Final

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
POOLS_PARTS: Final = ("prefill", "decode", "transfer", "bottleneck", "n_considered")  # under "pools" in the document


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by verb: serve, crossover, size, sensitivity, check."""
    from clustercast.studies.check import Check
    from clustercast.studies.sensitivity import Sensitivity
    from clustercast.studies.serving.crossover import Crossover
    from clustercast.studies.serving.pools import Pools
    from clustercast.studies.serving.result import ServeResult
    from clustercast.studies.size import Size

    one, two = made_from(ServeResult), _under_pools(made_from(Pools))
    both = {"$defs": one.pop("$defs") | two.pop("$defs"), "oneOf": [one, two]}
    return {
        "serve": _whole("serve", "One pool, or prefill and decode in pools apart.", both),
        "crossover": _whole("crossover", "Where one chip serves faster than another.", made_from(Crossover)),
        "size": _whole("size", "The fewest chips for a purpose.", made_from(Size)),
        "check": _whole("check", "Measured numbers against what is expected.", made_from(Check)),
        "sensitivity": _whole("sensitivity", "What moves an answer.", made_from(Sensitivity)),
    }


def made_from(kind: type) -> dict[str, Any]:
    """The schema of an answer's dataclass. Fields that follow are welcome, so none is forbidden."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).json_schema(mode="serialization")


def _whole(verb: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A document's schema with the name that it carries."""
    schema.pop("title", None)
    named = {"schema": {"const": f"clustercast.{verb}/1"}}
    properties = named | schema.pop("properties", {})
    required = ["schema", *schema.pop("required", ())]
    head = {"$schema": DIALECT, "title": f"clustercast {verb} --json", "description": description, "type": "object"}
    schema.pop("description", None)
    return head | {"properties": properties, "required": required} | schema


def _under_pools(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as `Pools.as_dict` nests it."""
    parts = {name: schema["properties"].pop(name) for name in POOLS_PARTS}
    schema["properties"]["pools"] = {"type": "object", "properties": parts, "required": list(parts)}
    schema["required"] = [name for name in schema["required"] if name not in parts] + ["pools"]
    return schema


def write(folder: Path) -> None:
    """Write docs/schemas/<verb>.schema.json."""
    for verb, made in schemas().items():
        (folder / f"{verb}.schema.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
