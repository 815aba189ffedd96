"""Every model file loads, and the parameters counted from its shape are the published ones."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from clustercast import catalog
from clustercast.physics.parameters import (
    active_params,
    embedding_params,
    expert_params,
    matmul_active_params,
    mixer_params_total,
    total_params,
)

MODELS = Path(__file__).parents[1] / "workloads" / "models"
NAMES = sorted(file.stem for file in MODELS.glob("*.yaml"))

# What people ask for, and the file that answers.
ASKED = {
    "1.8T": "gpt-4-1.8t",
    "gpt-4": "gpt-4-1.8t",
    "gpt-3": "gpt-3-175b",
    "gpt3": "gpt-3-175b",
    "GPT-3-175B": "gpt-3-175b",
    "megatron-22b": "megatron-22b",
    "megatron-530b": "megatron-530b",
    "mt-nlg-530b": "megatron-530b",
    "megatron-1t": "megatron-1t",
    "opt-175b": "opt-175b",
    "bloom": "bloom-176b",
    "palm-540b": "palm-540b",
    "llama-1-7b": "llama-1-7b",
    "llama-1-13b": "llama-1-13b",
    "llama-1-33b": "llama-1-33b",
    "llama-65b": "llama-1-65b",
    "llama-2-7b": "llama-2-7b",
    "llama-2-13b": "llama-2-13b",
    "llama-2-70b": "llama-2-70b",
    "llama-3-8b": "llama-3.1-8b",
    "llama-3-70b": "llama-3.1-70b",
    "llama-3.1-8b": "llama-3.1-8b",
    "llama-3.1-70b": "llama-3.1-70b",
    "Llama-3.1-405B": "llama-3.1-405b",
    "llama3-405b": "llama-3.1-405b",
    "mixtral": "mixtral-8x7b",
    "mixtral-8x7b": "mixtral-8x7b",
    "mixtral-8x22b": "mixtral-8x22b",
    "qwen2.5-7b": "qwen2.5-7b",
    "qwen2.5-72b": "qwen2.5-72b",
    "qwen3-8b": "qwen3-8b",
    "qwen3-32b": "qwen3-32b",
    "qwen3-30b-a3b": "qwen3-30b-a3b",
    "qwen3-235b": "qwen3-235b-a22b",
    "deepseek-v2": "deepseek-v2",
    "deepseek-v3": "deepseek-v3",
    "deepseek-r1": "deepseek-r1",
    "kimi-k2": "kimi-k2",
    "glm-4.5": "glm-4.5",
    "gpt-oss-20b": "gpt-oss-20b",
    "gpt-oss-120b": "gpt-oss-120b",
    "grok-1": "grok-1",
    "dbrx": "dbrx",
    "pangu-ultra": "pangu-ultra-135b",
    "pangu-ultra-moe": "pangu-ultra-moe-718b",
    "minimax-text-01": "minimax-text-01",
    "minimax-m2.5": "minimax-m2.5",
}


def written(name: str) -> dict[str, Any]:
    """The file with every scalar as the text that stands there."""
    yaml = YAML(typ="base", pure=True)
    data: dict[str, Any] = yaml.load((MODELS / f"{name}.yaml").read_text(encoding="utf-8"))
    return data


def rounds_to(count: float, printed: str) -> bool:
    """Whether a count rounds to the printed digits: 70.55 to 70.65 billion for `70.6e9`."""
    number = Decimal(printed)
    half_a_digit = Decimal(5).scaleb(int(number.as_tuple().exponent) - 1)
    return abs(Decimal(count) - number) <= half_a_digit


@pytest.mark.parametrize(
    ("count", "printed", "expected"),
    [(70.55e9, "70.6e9", True), (70.54e9, "70.6e9", False), (1.84e12, "1.8e12", True), (236e9, "235e9", False)],
)
def test_printed_digits_say_how_near_a_count_has_to_be(count: float, printed: str, expected: bool) -> None:
    assert rounds_to(count, printed) is expected


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_the_published_ones_except_where_the_file_says_why(name: str) -> None:
    record = catalog.find_model(name).record()
    published = written(name).get("published", {})
    derived = {"total": total_params(record), "active": active_params(record)}
    off = {key for key in derived if key in published and not rounds_to(derived[key], published[key]["value"])}
    assert off == set(published.get("exceptions", {})), derived


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_of_a_model_add_up(name: str) -> None:
    record = catalog.find_model(name).record()
    n_mixers = record.n_full_layers + record.n_window_layers + record.n_linear_layers
    n_mlps = record.n_dense_layers + record.n_moe_layers
    assert (n_mixers, n_mlps) == (record.n_layers, record.n_layers) or n_mixers + n_mlps == record.n_layers
    assert 0.0 <= record.other_params < 0.02 * total_params(record)
    assert matmul_active_params(record) <= active_params(record) + record.tied * embedding_params(record)


@pytest.mark.parametrize("name", NAMES)
def test_a_mixture_says_its_active_count_where_its_total_is_published(name: str) -> None:
    model = written(name)
    is_mixture = "experts" in model["architecture"]
    assert ("active" in model.get("published", {})) == (is_mixture and "published" in model)


@pytest.mark.parametrize("name", NAMES)
def test_training_defaults_say_where_they_come_from(name: str) -> None:
    model = written(name)
    for field in ("tokens", "seq_len", "global_batch", "chips"):
        quantity = model["training"][field]
        assert quantity["source"] in model["sources"]
        assert quantity["kind"] in {"reported", "assumed"}
        if quantity["kind"] == "assumed":
            assert float(quantity["low"]) <= float(quantity["value"]) <= float(quantity["high"])
            assert quantity["why"]


@pytest.mark.parametrize("name", NAMES)
def test_unverified_fields_are_fields(name: str) -> None:
    architecture = written(name)["architecture"]
    assert set(architecture.get("unverified", [])) <= set(architecture)


def test_every_file_is_named_after_its_model_and_found() -> None:
    assert [written(name)["name"] for name in NAMES] == NAMES
    assert catalog.model_names() == NAMES


@pytest.mark.parametrize(("asked", "name"), ASKED.items())
def test_the_models_that_people_ask_for_are_found(asked: str, name: str) -> None:
    assert catalog.find_model(asked).name == name


def test_no_name_means_two_models() -> None:
    names = [alias for name in NAMES for alias in [name, *written(name).get("aliases", [])]]
    assert len(names) == len(set(names))
    assert names == [name.lower() for name in names]


def test_the_gpt_4_reconstruction_gives_the_reported_sums() -> None:
    record = catalog.find_model("1.8T").record()
    experts = record.n_moe_layers * expert_params(record)
    assert mixer_params_total(record) == pytest.approx(55e9, rel=0.01)
    assert experts == pytest.approx(111e9, rel=0.01)
    assert total_params(record) == pytest.approx(1.8e12, rel=0.03)
    assert active_params(record) == pytest.approx(280e9, rel=0.01)
