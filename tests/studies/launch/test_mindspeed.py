"""MindSpeed-LLM's scripts: read, written, read again."""

from dataclasses import replace
from pathlib import Path

import launch_samples
import launches
import pytest

from clustercast import records
from clustercast.catalog import ModelProfile
from clustercast.errors import WrongInput
from clustercast.records import Job, Plan
from clustercast.studies.launch import mindspeed
from clustercast.studies.launch.launch import TrainingLaunch

MODELS = ("llama-3.1-70b", "mixtral-8x7b", "deepseek-v3", "qwen2.5-7b")


def bend(plan: Plan) -> Plan:
    """What MindSpeed-LLM has: 1f1b and DualPipeV, the distributed optimizer."""
    plan = plan._replace(zero=min(plan.zero, 1), shard=0)
    if plan.tp > 1:
        plan = plan._replace(sequence_parallel=1)
    if plan.schedule != records.SCHEDULE_DUALPIPE or plan.cp > 1 or plan.ep == 1:
        plan = plan._replace(schedule=records.SCHEDULE_1F1B)
    if plan.schedule == records.SCHEDULE_DUALPIPE:
        plan = plan._replace(etp=1, dp_overlap=0)
    if not plan.zero:
        plan = plan._replace(offload=0)
    return plan


def read(text: str, path: str = "run.sh") -> TrainingLaunch:
    return mindspeed.read(text, Path(path))


def test_a_hundred_plans_come_back_as_they_were_written() -> None:
    schedules = set()
    for asked, plan in launches.problems(MODELS, ("bf16",), bend, "ascend-910b3"):
        launches.agrees(read(mindspeed.write(asked, plan, launches.HEADER)), asked, plan)
        schedules.add(plan.schedule)
    assert schedules == {records.SCHEDULE_1F1B, records.SCHEDULE_DUALPIPE}


def test_the_deepseek_v3_example_says_what_its_script_says() -> None:
    # Ascend/MindSpeed-LLM, examples/mcore/deepseek3/pretrain_deepseek3_671b_4k_A3_ptd.sh at 015ce04
    found = read(launch_samples.MINDSPEED_DEEPSEEK_V3)
    wanted = {"tp": 2, "pp": 8, "dp": 32, "ep": 32, "etp": 1, "zero": 1, "micro_batch": 1, "offload": 1, "vpp": 1}
    assert wanted.items() <= found.plan.items()
    assert found.plan["schedule"] == records.SCHEDULE_DUALPIPE
    assert (found.plan["recompute"], found.plan["recompute_layers"]) == (records.RECOMPUTE_BLOCK, 8)
    assert (found.n_chips, found.global_batch, found.seq_len, found.precision) == (512, 3840, 4096, "bf16")
    assert isinstance(found.model, ModelProfile)
    assert launches.shapes.differing(found.model.record(), launches.question("deepseek-v3").record) == ""


def test_the_deepseek_v2_example_says_what_its_script_says() -> None:
    # Ascend/MindSpeed-LLM, examples/mcore/deepseek2/pretrain_deepseek2_236b_8k_ptd.sh at 015ce04
    found = read(launch_samples.MINDSPEED_DEEPSEEK_V2)
    wanted = {"tp": 1, "pp": 10, "vpp": 3, "dp": 16, "ep": 8, "etp": 1, "zero": 1, "recompute": 2, "dp_overlap": 0}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len) == (160, 640, 8192)
    assert isinstance(found.model, ModelProfile)
    assert found.model.architecture["shared_ffn"] == 3072
    assert found.model.architecture["moe_layers"] == 59


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("--noop-layers 61,62,63", "--noop-layers all", "--noop-layers: expected numbers of layers like 61,62"),
        ("--noop-layers", "--num-layer-list 1,2 --noop-layers", "--num-layer-list: expected 8 stages that hold 64"),
        ("--num-layers 64", "--num-layers 65", "65 layers do not divide over 8 stages"),
        ("NPUS_PER_NODE=16", "NPUS_PER_NODE=15.5", "--nproc_per_node: expected a whole number"),
        ("PP=8", "PP=7", "tp x pp x cp is 14, which does not divide the 512 chips"),
    ],
)
def test_what_contradicts_itself_is_told(old: str, new: str, said: str) -> None:
    assert said in launches.wrong(mindspeed.read, launch_samples.MINDSPEED_DEEPSEEK_V3.replace(old, new), "run.sh")


GOOD = Plan(1, 4, 1, 8, 1, 8, 1, 1, 0, 1, 0, 0, records.SCHEDULE_DUALPIPE, 0, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("model", "plan", "field"),
    [
        ("mixtral-8x7b", GOOD._replace(zero=3), "zero: 3: the distributed optimizer shards optimizer state alone"),
        ("mixtral-8x7b", GOOD._replace(dp_overlap=1), "dp_overlap: dualpipev does not overlap"),
        ("mixtral-8x7b", GOOD._replace(cp=2), "schedule: dualpipev goes with neither context"),
        ("llama-3.1-8b", GOOD._replace(ep=1), "schedule: dualpipev is for mixtures of experts"),
        ("mixtral-8x7b", GOOD._replace(schedule=1), "schedule: mindspeed-llm has no gpipe schedule"),
    ],
)
def test_what_mindspeed_lacks_is_refused_by_name(model: str, plan: Plan, field: str) -> None:
    asked = replace(launches.question(model, chip="ascend-910b3"), job=Job(4096, 64))
    with pytest.raises(WrongInput) as raised:
        mindspeed.write(asked, plan, launches.HEADER)
    assert f"--export mindspeed-llm: {field}" in raised.value.message
