"""Megatron-Bridge's recipes in Python and its overrides in launch_samples.BRIDGE_YAML: read, written, read again."""

from dataclasses import replace
from pathlib import Path

import launch_samples
import launches
import pytest

from clustercast import records
from clustercast.catalog import ModelProfile
from clustercast.errors import WrongInput
from clustercast.records import Job, Plan
from clustercast.studies.launch import bridge
from clustercast.studies.launch.launch import TrainingLaunch

MODELS = ("llama-3.1-70b", "gpt-3-175b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-20b")
PRECISIONS = tuple(bridge.MIXED)


def bend(plan: Plan) -> Plan:
    """What Megatron has, as in the test of its scripts."""
    plan = plan._replace(schedule=records.SCHEDULE_1F1B)
    if plan.zero > 1 and plan.pp > 1:
        plan = plan._replace(zero=1, shard=0)
    if plan.tp > 1:
        plan = plan._replace(sequence_parallel=1)
    if plan.zero != 1:
        plan = plan._replace(offload=0)
    return plan


def read(text: str, path: str = "recipe.py", name: str = "") -> TrainingLaunch:
    return bridge.read(text, Path(path), name)


@pytest.mark.parametrize("chip", ["h100", "b200"])
def test_a_hundred_plans_come_back_as_they_were_written(chip: str) -> None:
    precisions = PRECISIONS if chip == "b200" else ("bf16", "fp16", "fp8", "fp8-block")
    for asked, plan in launches.problems(MODELS, precisions, bend, chip):
        launches.agrees(read(bridge.write(asked, plan, launches.HEADER)), asked, plan)


def test_the_gpt_3_recipe_says_what_its_text_says() -> None:
    # NVIDIA-NeMo/Megatron-Bridge, src/megatron/bridge/recipes/gpt/h100/gpt3_175b.py at b276dc7
    found = read(launch_samples.BRIDGE_GPT_175B)
    wanted = {"tp": 4, "pp": 8, "vpp": 6, "cp": 1, "micro_batch": 2, "sequence_parallel": 1, "zero": 1, "tp_overlap": 1}
    assert wanted.items() <= found.plan.items()
    assert "dp" not in found.plan
    assert (found.global_batch, found.seq_len, found.precision) == (2048, 2048, "bf16")
    assert found.tokens == 1168251 * 2048 * 2048
    assert isinstance(found.model, ModelProfile)
    assert found.model.architecture["layers"] == 96
    assert found.where["pp"] == "recipe.py:13"


def test_the_llama_3_16k_recipe_says_what_its_text_says() -> None:
    # NVIDIA-NeMo/Megatron-Bridge, src/megatron/bridge/recipes/llama/h100/llama3.py at 026d7fa
    found = read(launch_samples.BRIDGE_LLAMA_8B, name="llama3_8b_pretrain_16k_config")
    wanted = {"tp": 4, "pp": 2, "vpp": 1, "cp": 2, "micro_batch": 1, "sequence_parallel": 1, "zero": 1, "dp_overlap": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.model, found.global_batch, found.seq_len, found.precision) == ("llama-3.1-8b", 512, 16384, "bf16")
    assert any("as in the common recipe" in note for note in found.notes)
    assert read(launch_samples.BRIDGE_LLAMA_8B, name="another_config").plan["cp"] == 4
    assert read(launch_samples.BRIDGE_LLAMA_8B, name="another_config").plan["tp"] == 4


def test_several_configurations_ask_for_a_name() -> None:
    with pytest.raises(WrongInput) as raised:
        read(launch_samples.BRIDGE_LLAMA_8B)
    assert "holds 2 configurations: llama3_8b_pretrain_16k_config, another_config" in raised.value.message
    assert raised.value.hint == "name one: recipe.py::llama3_8b_pretrain_16k_config"
    assert "has no configuration 'x'" in launches.wrong(
        lambda text, path: bridge.read(text, path, "x"), launch_samples.BRIDGE_LLAMA_8B
    )


def test_the_deepseek_v3_performance_configuration_says_what_its_text_says() -> None:
    # NVIDIA-NeMo/Megatron-Bridge, scripts/performance/configs/deepseek/deepseek_workload_base_configs.py at 0426418
    found = read(launch_samples.BRIDGE_DEEPSEEK, name="DEEPSEEK_V3_H100_V1")
    wanted = {"tp": 2, "pp": 8, "vpp": 4, "dp": 64, "cp": 1, "ep": 64, "etp": 1, "micro_batch": 1, "recompute": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch) == (1024, 8192)
    assert any("as in the performance scripts" in note for note in found.notes)
    assert read(launch_samples.BRIDGE_DEEPSEEK, name="DEEPSEEK_V3_H100_V2").global_batch == 16384


NEMO = """
import nemo_run as run

def trainer(
    tensor_parallelism: int = 4,
    pipeline_parallelism: int = 4,
    virtual_pipeline_parallelism: int | None = 5,
    context_parallelism: int = 2,
    sequence_parallelism: bool = True,
    num_nodes: int = 4,
    num_gpus_per_node: int = 8,
    max_steps: int = 1168251,
):
    strategy = run.Config(
        nl.MegatronStrategy,
        tensor_model_parallel_size=tensor_parallelism,
        pipeline_model_parallel_size=pipeline_parallelism,
        virtual_pipeline_model_parallel_size=virtual_pipeline_parallelism,
        context_parallel_size=context_parallelism,
        sequence_parallel=sequence_parallelism,
        ddp=run.Config(DistributedDataParallelConfig, overlap_grad_reduce=True),
    )
    return run.Config(nl.Trainer, devices=num_gpus_per_node, max_steps=max_steps, num_nodes=num_nodes)

def pretrain_recipe(num_nodes: int = 1):
    return run.Partial(
        pretrain,
        trainer=trainer(num_nodes=8),
        data=run.Config(MockDataModule, seq_length=8192, global_batch_size=512, micro_batch_size=1),
        plugins=bf16_with_fp8_current_scaling_mixed(),
    )
"""


def test_a_nemo_recipe_says_what_its_parameters_say() -> None:
    # the form of NVIDIA/NeMo, nemo/collections/llm/recipes/llama3_70b.py (2.x): TP 4, PP 4, VPP 5, CP 2, SP
    found = read(NEMO, name="pretrain_recipe")
    wanted = {"tp": 4, "pp": 4, "vpp": 5, "cp": 2, "dp": 2, "micro_batch": 1, "sequence_parallel": 1, "dp_overlap": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len, found.precision) == (64, 512, 8192, "fp8")
    assert found.tokens == 1168251 * 512 * 8192


def test_overrides_in_yaml_say_what_they_say() -> None:
    # the numbers of Llama 3.1 405B on 1,024 H100: scripts/performance/configs/llama31/llama31_405b_llm_pretrain.yaml
    # of NVIDIA-NeMo/Megatron-Bridge at 0cfe9a4
    found = read(launch_samples.BRIDGE_YAML, "405b.yaml")
    wanted = {"tp": 8, "pp": 8, "vpp": 8, "cp": 2, "dp": 8, "micro_batch": 1, "sequence_parallel": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len, found.model) == (1024, 512, 8192, None)
    assert found.where["pp"] == "405b.yaml:5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            launch_samples.BRIDGE_YAML.replace(": 128", ": 100"),
            "tp x pp x cp is 128, which does not divide the 800 chips",
        ),
        (
            launch_samples.BRIDGE_YAML.replace("512", "500"),
            "405b.yaml:11: global_batch_size: 500 is not divisible by dp 8 x micro-batch 1",
        ),
        (
            launch_samples.BRIDGE_YAML.replace(": 8   #", ": eight   #"),
            "405b.yaml:5: pipeline_model_parallel_size: expected a whole number",
        ),
        (launch_samples.BRIDGE_YAML + "  devices: 8\n", "405b.yaml:19: duplicate key"),
        (launch_samples.BRIDGE_YAML + "a: &x 1\n", "anchors and aliases are not allowed"),
        ("cfg.model.mixed = (", "405b.yaml:1: is not Python that can be read"),
        ("x = 1\n", "holds no settings of a training run"),
        (
            launch_samples.BRIDGE_GPT_175B.replace("bf16_mixed", "int3_mixed"),
            "405b.yaml:25: mixed_precision: expected one of bf16_mixed",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    assert said in launches.wrong(bridge.read, text, "405b.yaml")


def test_nothing_of_a_recipe_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    text = (
        f"import os\nos.system('touch {marker}')\n__import__('os').mkdir({str(marker)!r})\n"
        + launch_samples.BRIDGE_GPT_175B
    )
    assert read(text).plan["tp"] == 4
    assert not marker.exists()


def test_a_recipe_that_is_written_counts_its_run_in_steps_as_its_base_does() -> None:
    # `_pretrain_common` warms up over steps; Bridge refuses that beside train_samples (training/config.py)
    text = bridge.write(launches.question("llama-3.1-8b"), Plan(2, 1, 1, 4, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0), ())
    assert "cfg.train.train_iters = " in text
    assert "train_samples" not in text


def test_a_recipe_that_is_written_is_python() -> None:
    asked = replace(launches.question("deepseek-v3"), job=Job(4096, 960))
    plan = Plan(1, 4, 1, 4, 1, 4, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0)
    text = bridge.write(asked, plan, launches.HEADER)
    compile(text, "recipe.py", "exec")
    assert text.startswith("# a header\n")
    assert "MLAModelProvider(" in text
