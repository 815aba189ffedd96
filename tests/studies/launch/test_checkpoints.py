"""Names of weights: what they mean, and what is written for a model."""

import json
from pathlib import Path

import pytest

from clustercast import catalog
from clustercast.studies.launch import checkpoints
from clustercast.studies.launch.checkpoints import checkpoint, repository


@pytest.mark.parametrize(
    ("name", "model", "precision"),
    [
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek-v3", "fp8-block"),
        ("unsloth/DeepSeek-R1-0528-BF16", "deepseek-r1", "bf16"),
        ("nvidia/DeepSeek-R1-0528-FP4", "deepseek-r1", "nvfp4"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama-3.3-70b", None),
        ("meta-llama/Meta-Llama-3-8B", "llama-3.1-8b", None),
        ("nvidia/Llama-3.1-405B-Instruct-FP8", "llama-3.1-405b", "fp8"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b", "fp8-block"),
        ("neuralmagic/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b", "int4-weight-only"),
        ("openai/gpt-oss-20b", "gpt-oss-20b", "mxfp4"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b", None),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "", None),
        ("someone/llama-3.1-8b-but-different", "", None),
        ("$MODEL", "", None),
        ("../../etc/passwd", "", None),
        ("", "", None),
    ],
)
def test_a_name_is_a_model_and_its_format(name: str, model: str, precision: str | None) -> None:
    assert checkpoint(name) == (model, precision)


def test_every_model_of_the_catalogue_has_a_name_that_means_it() -> None:
    for model in catalog.model_names():
        assert checkpoint(repository(model)[0]).model in (model, *_twins(model))


def _twins(model: str) -> list[str]:
    """Models whose files name the same weights."""
    mine = repository(model)[0]
    return [each for each in catalog.model_names() if repository(each)[0] == mine]


@pytest.mark.parametrize("precision", ["bf16", "fp8", "fp8-block", "nvfp4", "mxfp4", "int8", "int4-weight-only"])
@pytest.mark.parametrize("model", ["llama-3.1-8b", "deepseek-v3", "gpt-oss-120b"])
def test_weights_that_nobody_published_are_named_so_that_they_are_read_back(model: str, precision: str) -> None:
    name, remark = repository(model, precision)
    published = checkpoints.published_in(model) == precision
    assert (remark == "") == published
    assert checkpoint(name).model == model
    if precision != "bf16" or not published:
        assert checkpoint(name).precision == precision


def test_a_folder_with_a_config_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps({"model_type": "llama"}))
    found = checkpoint("mine", tmp_path / "launch.sh")
    assert found.model == str(tmp_path / "mine" / "config.json")
    assert repository(found.model) == (str(tmp_path / "mine"), "")
