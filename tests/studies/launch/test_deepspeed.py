"""DeepSpeed's JSON: read, written, read again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import launch_samples
import launches
import pytest

from clustercast import records
from clustercast.errors import WrongInput
from clustercast.records import Job, Plan
from clustercast.studies.launch import deepspeed
from clustercast.studies.launch.launch import TrainingLaunch

MODELS = ("llama-3.1-8b", "llama-3.1-70b", "gpt-3-175b", "qwen2.5-1.5b")


def bend(plan: Plan) -> Plan:
    """What the JSON can say: ZeRO, AutoTP without sequence parallelism, Ulysses, all or nothing recomputed."""
    return plan._replace(
        pp=1,
        vpp=1,
        ep=1,
        etp=1,
        schedule=records.SCHEDULE_1F1B,
        zero=min(plan.zero, 2) if plan.tp > 1 else plan.zero,
        shard=0 if plan.tp > 1 else plan.shard,
        sequence_parallel=0,
        tp_overlap=int(plan.tp == 1),
        cp_kind=records.CP_ALL_TO_ALL if plan.cp > 1 else records.CP_RING,
        recompute=0 if plan.recompute in (1, 3) else plan.recompute,
        recompute_layers=0,
        offload=plan.offload if plan.zero else 0,
    )


def read(text: str | dict[str, Any], path: str = "ds_config.json") -> TrainingLaunch:
    return deepspeed.read(text if isinstance(text, str) else json.dumps(text, indent=2), Path(path))


def test_a_hundred_plans_come_back_as_they_were_written() -> None:
    for asked, plan in launches.problems(MODELS, ("bf16", "fp16"), bend):
        launches.agrees(read(deepspeed.write(asked, plan, launches.HEADER)), asked, plan)


def test_the_llama_70b_example_says_what_its_file_says() -> None:
    # deepspeedai/DeepSpeedExamples, claude_tutorials/model_configs/llama/llama_70b_multi_node.json at d6b8036
    found = read(launch_samples.DEEPSPEED_LLAMA_70B)
    wanted = {"tp": 1, "pp": 1, "cp": 1, "dp": 32, "zero": 3, "micro_batch": 1, "offload": 0, "dp_overlap": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.precision, found.model) == (32, 256, "bf16", None)
    assert found.where["zero"] == "ds_config.json:9"
    assert any("communication_data_type" in each for each in found.warnings)


def test_the_autotp_example_leaves_open_what_it_leaves_open() -> None:
    # deepspeedai/DeepSpeedExamples, training/tensor_parallel/hf_integration/configs/ds_config.json at ff01ee0
    found = read(
        {
            "bf16": {"enabled": "auto"},
            "zero_optimization": {"stage": 2},
            "tensor_parallel": {"autotp_size": 4},
            "train_batch_size": "auto",
            "train_micro_batch_size_per_gpu": "auto",
            "gradient_accumulation_steps": "auto",
        }
    )
    assert {"tp": 4, "zero": 2, "dp_overlap": 0, "tp_overlap": 0}.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.precision) == (None, None, None)
    assert not found.plan.keys() & {"dp", "micro_batch"}


def test_the_ulysses_example_says_what_its_file_says() -> None:
    # deepspeedai/DeepSpeedExamples, benchmarks/autosp/configs/autosp_config.json at f8d19a7
    found = read(
        {
            "bf16": {"enabled": True},
            "zero_optimization": {"stage": 0},
            "gradient_accumulation_steps": 1,
            "train_batch_size": 1,
            "train_micro_batch_size_per_gpu": 1,
            "sequence_parallel_size": 2,
        }
    )
    assert {"cp": 2, "cp_kind": 1, "dp": 1, "zero": 0}.items() <= found.plan.items()
    assert found.n_chips == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_batch_size": 257}, "ds_config.json:2: train_batch_size: 257 is not micro-batch 1 x accumulation 8"),
        ({"fp16": {"enabled": True}}, "fp16: 16-bit floats of two kinds: bf16 is enabled too (ds_config.json:5)"),
        ({"tensor_parallel": {"autotp_size": 2}}, "AutoTP goes with ZeRO stages 0 to 2, and the stage is 3"),
        ({"zero_optimization": {"stage": 4}}, "zero_optimization.stage: expected a whole number from 0 to 3, got '4'"),
        ({"zero_optimization": {"stage": True}}, "expected a whole number from 0 to 3, got 'True'"),
        ({"zero_optimization": 3}, "expected {...} around it, got '3'"),
        ({"zero_optimization": {"stage": 3, "mics_shard_size": 5}}, "mics_shard_size: 5 does not divide 32 chips"),
        ({"bf16": {"enabled": "yes"}}, "bf16.enabled: expected true or false, got 'yes'"),
        ({"_clustercast": {"n_chips": 64}}, "64 chips, and the batch makes 32"),
        ({"_clustercast": {"model": "../../x"}}, "expected the name of a model, got '../../x'"),
        (
            {"zero_optimization": {"stage": 3, "offload_optimizer": {"device": "tape"}}},
            "expected cpu, nvme or none, got 'tape'",
        ),
    ],
)
def test_what_contradicts_itself_is_told_with_its_line(change: dict[str, Any], said: str) -> None:
    text = json.dumps(launch_samples.DEEPSPEED_LLAMA_70B | change, indent=2)
    assert said in launches.wrong(deepspeed.read, text, "ds_config.json")


def test_a_misspelled_key_is_told_with_its_line() -> None:
    text = json.dumps(launch_samples.DEEPSPEED_LLAMA_70B, indent=2).replace("zero_optimization", "zero_optimisation")
    assert "zero_optimisation: no such key is known" in launches.wrong(deepspeed.read, text, "ds.json")


def test_a_key_that_cannot_be_shown_is_shown_as_its_code() -> None:
    message = launches.wrong(deepspeed.read, '{"train_batch_size\u202e": 8}', "ds.json")
    assert message.isprintable()
    assert "u202e" in message


def test_what_is_no_json_is_told_with_its_line() -> None:
    assert "ds.json:2: is not JSON: " in launches.wrong(deepspeed.read, '{\n"a": }', "ds.json")
    assert "is not a mapping" in launches.wrong(deepspeed.read, "[1]", "ds.json")


GOOD = Plan(1, 1, 1, 8, 1, 1, 1, 2, 0, 1, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (GOOD._replace(pp=2), "pp: 2: the training program builds it"),
        (GOOD._replace(ep=2), "ep: 2"),
        (GOOD._replace(tp=2, zero=3, tp_overlap=0), "zero: 3: AutoTP goes with stages 0 to 2"),
        (GOOD._replace(tp=2, sequence_parallel=1, tp_overlap=0), "sequence_parallel: yes"),
        (GOOD._replace(tp=2), "tp_overlap: yes"),
        (GOOD._replace(cp=2), "cp_kind: ring"),
        (GOOD._replace(recompute=1), "recompute: selective"),
        (GOOD._replace(offload=1, zero=0), "zero: 0: offload needs ZeRO"),
    ],
)
def test_what_the_json_cannot_say_is_refused_by_name(plan: Plan, field: str) -> None:
    asked = replace(launches.question("llama-3.1-8b"), job=Job(4096, 64))
    with pytest.raises(WrongInput) as raised:
        deepspeed.write(asked, plan, launches.HEADER)
    assert f"--export deepspeed: {field}" in raised.value.message


@pytest.mark.parametrize(("recompute", "told"), [(0, False), (2, True)])
def test_what_deepspeed_itself_does_not_fill_in_is_a_number_or_told(recompute: int, told: bool) -> None:
    asked = replace(launches.question("llama-3.1-8b"), job=Job(4096, 64))
    text = deepspeed.write(asked, GOOD._replace(recompute=recompute), launches.HEADER)
    assert '"auto"' not in text
    said = json.loads(text)
    assert said["optimizer"]["params"]["lr"] > 0.0
    fill_in = said["_clustercast"]["fill_in"]
    assert fill_in[0].startswith("optimizer.params.lr: a place holder")
    assert any("deepspeed.checkpointing.checkpoint" in each for each in fill_in) == told
