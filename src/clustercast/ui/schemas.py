"""The description of the HTTP API: OpenAPI, with the schema of every document."""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX: Final = "#/components/schemas/"
NUMBER_OR_NONE: Final = {"type": ["number", "null"]}
TEXT: Final = {"type": "string"}


def described(app: "FastAPI") -> dict[str, Any]:
    """OpenAPI of the application: FastAPI's, with the documents' schemas beside those of the questions."""
    from fastapi.openapi.utils import get_openapi

    found: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas |= documents()
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return found


def documents() -> dict[str, Any]:
    """The schema of each document under "clustercast.<name>"; what they share under its own name."""
    from pydantic import TypeAdapter

    from clustercast.estimates.result import Estimate
    from clustercast.studies.compare import Comparison
    from clustercast.studies.plan import PlanRanking
    from clustercast.studies.rules import RulesResult
    from clustercast.studies.sensitivity import Sensitivity
    from clustercast.studies.serving.crossover import Crossover
    from clustercast.studies.serving.result import ServeResult
    from clustercast.studies.size import Size
    from clustercast.studies.why import Why

    kinds: dict[str, Any] = {
        "estimate": Estimate, "compare": Comparison, "plan": PlanRanking, "rules": RulesResult,
        "sensitivity": Sensitivity, "crossover": Crossover, "serve": ServeResult, "size": Size, "why": Why,
    }  # fmt: skip
    made, shared = TypeAdapter.json_schemas(
        [(name, "serialization", TypeAdapter(kind)) for name, kind in kinds.items()], ref_template=PREFIX + "{model}"
    )
    found: dict[str, Any] = dict(shared.get("$defs", {}))
    for name in kinds:
        found[f"clustercast.{name}"] = _whole(name, _resolved(made[name, "serialization"], found))
    return found | {f"clustercast.{name}": _whole(name, schema) for name, schema in _own().items()}


def _resolved(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    reference = str(schema.get("$ref", "")).removeprefix(PREFIX)
    return dict(shared[reference]) if reference in shared else dict(schema)


def _whole(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    properties = {"schema": {"const": f"clustercast.{name}/1"}} | schema.get("properties", {})
    required = ["schema", *schema.get("required", ())]
    return {"type": "object", "title": f"clustercast.{name}/1"} | schema | {
        "properties": properties, "required": required,
    }  # fmt: skip


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"{PREFIX}clustercast.{name}"}


def _own() -> dict[str, dict[str, Any]]:
    """Documents that no dataclass makes."""
    rows = {"type": "array", "items": {"type": "object"}}
    texts = {"type": "array", "items": TEXT}
    number = {"type": "number"}
    wholes = {"type": "array", "items": {"type": "integer"}}
    operation = _object(phase=TEXT, kind=TEXT, flop=number, hbm_bytes=number, time_s=number, share=number)
    roof = _object(phase=TEXT, flop_per_s=number, hbm_bytes_per_s=number)
    numbers = {"type": "object", "additionalProperties": NUMBER_OR_NONE}
    return {
        "error": _object(
            exit={"type": "integer"}, error=TEXT, hint={"type": ["string", "null"]}, numbers={"type": "object"}
        ),
        "file": _object(name=TEXT, text=TEXT),
        "chips": _object(chips=rows),
        "models": _object(models=rows),
        "chip": _object(name=TEXT, full_name=TEXT, quantities={"type": "object"}, numbers=numbers),
        "model": _object(name=TEXT, full_name=TEXT, total_params=number, active_params=number),
        "options": _object(version=TEXT, precisions=texts, engines=texts, tpot_s=number, tools=texts),
        "roofline": _object(
            chip=TEXT, roofs={"type": "array", "items": roof}, operations={"type": "array", "items": operation}
        ),
        "map": _object(chip=TEXT, other=TEXT, batches=wholes, contexts=wholes, cells=rows),
        "board": _object(
            estimate=_reference("estimate"), rules=_reference("rules"), roofline=_reference("roofline"), numbers=numbers
        ),
    }
