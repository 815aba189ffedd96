"""The committed schemas are those of the dataclasses, and every kind of answer validates."""

import json
from pathlib import Path

import jsonschema
import pytest

import clustercast
from clustercast.report import json as plain
from clustercast.report import schemas

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"input_len": 1024, "output_len": 128}


def valid(verb: str, document: dict[str, object]) -> None:
    schema = json.loads((ROOT / f"docs/schemas/{verb}.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(plain.dumps(document)))


@pytest.mark.parametrize("verb", ["serve", "crossover", "size", "sensitivity", "check"])
def test_the_committed_schema_is_the_one_of_the_dataclasses(verb: str) -> None:
    committed = json.loads((ROOT / f"docs/schemas/{verb}.schema.json").read_text("utf-8"))
    assert committed == json.loads(json.dumps(schemas.schemas()[verb])), (
        "write them with report.schemas.write(docs/schemas)"
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"plan": "batch=8"},
        {"concurrency": 16},
        {"rate": 4.0, "percentile": 90, "ttft_s": 2.0},
        {"plan": "batch=8,chunk=8192", "frontier": True},
        {"concurrency": 4, "n_simulated": 50},
        {"concurrency": 4, "output_len": 1, "n_simulated": 20},
    ],
)
def test_an_answer_of_one_pool_validates(asked: dict[str, object]) -> None:
    done = clustercast.serve("h100", "llama-3.1-8b", n_chips=2, **(SMALL | asked))  # type: ignore[arg-type]
    valid("serve", done.as_dict())


@pytest.mark.parametrize("rate", [None, 5.0])
def test_an_answer_of_pools_apart_validates(rate: float | None) -> None:
    plans = {"prefill_plan": "tp=1,pp=1", "decode_plan": "tp=1,pp=1"}
    found = clustercast.pools(
        "h100", "h20", "llama-3.1-8b", n_chips=4, rate=rate, compare=False, frontier=True, **SMALL, **plans
    )  # type: ignore[arg-type]
    valid("serve", found.as_dict())


def test_an_answer_is_of_one_kind_only() -> None:
    done = clustercast.serve("h100", "llama-3.1-8b", n_chips=1, plan="batch=8", **SMALL).as_dict()  # type: ignore[arg-type]
    done.pop("replicas")
    with pytest.raises(jsonschema.ValidationError):
        valid("serve", done)


def test_a_map_validates() -> None:
    valid(
        "crossover",
        clustercast.crossover("h20", "h100", "llama-3.1-70b", batches=(1, 4096), contexts=(4096, 131072)).as_dict(),
    )


def test_sizes_validate() -> None:
    plan = "tp=1,pp=1,cp=1,dp=64"
    valid("size", clustercast.size_train(["v100", "b200"], "8B", 3, tokens=2e11, plan=plan).as_dict())
    valid("size", clustercast.size_serve("h100", "8B", 20, plan="tp=1,pp=1", **SMALL).as_dict())  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, {"replan": True}, {"method": "morris", "n": 60}, {"method": "sobol", "n": 200}])
def test_what_moves_an_answer_validates(more: dict[str, object]) -> None:
    plan = "tp=1,pp=1,cp=1,dp=8,micro_batch=1,recompute=full,zero=3"
    asked = {"n_chips": 8, "plan": plan, "parameters": ["hardware", "price"], "of": ("days", "cost")}
    found = clustercast.sensitivity("h20", "8B", **(asked | more))  # type: ignore[arg-type]
    valid("sensitivity", found.as_dict())
