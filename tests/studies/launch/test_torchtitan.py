"""torchtitan's configurations in TOML and Python: read, written, read again."""

from dataclasses import replace
from pathlib import Path

import launch_samples
import launches
import pytest

from clustercast import records
from clustercast.errors import WrongInput
from clustercast.records import Job, Plan
from clustercast.studies.launch import torchtitan
from clustercast.studies.launch.launch import TrainingLaunch

MODELS = ("llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "deepseek-v3", "qwen3-30b-a3b")


def bend(plan: Plan) -> Plan:
    """What torchtitan has: nothing or everything sharded, gathered or ring, no cut experts, no offload."""
    zero = {0: 0, 1: 2, 2: 2, 3: 3}[plan.zero]
    if plan.cp > 1 or plan.dp == 1:
        zero = max(zero, 2) if plan.cp > 1 else 0
    shard = plan.shard if zero == 3 and plan.shard > 1 and plan.shard % plan.cp == 0 and plan.shard != plan.cp else 0
    if plan.shard and shard and (plan.dp * plan.cp) % shard:
        shard = 0
    recompute = 0 if plan.recompute == records.RECOMPUTE_BLOCK else plan.recompute
    return plan._replace(
        zero=zero,
        shard=shard,
        etp=1,
        cp_kind=records.CP_RING,
        offload=0,
        dp_overlap=1,
        recompute=recompute,
        recompute_layers=0,
        sequence_parallel=plan.sequence_parallel,
        vpp=1,
        schedule=records.SCHEDULE_1F1B if plan.pp == 1 else plan.schedule,
    )


def read(text: str, path: str = "config.py", name: str = "") -> TrainingLaunch:
    return torchtitan.read(text, Path(path), name)


def test_a_hundred_plans_come_back_as_they_were_written() -> None:
    for asked, plan in launches.problems(MODELS, ("bf16", "fp8"), bend):
        launches.agrees(read(torchtitan.write(asked, plan, launches.HEADER)), asked, plan)


@pytest.mark.parametrize(("pp", "vpp"), [(2, 2), (4, 2), (4, 4), (8, 2), (8, 10), (5, 8)])
def test_chunks_of_a_stage_come_back(pp: int, vpp: int) -> None:
    asked = replace(launches.question("llama-3.1-70b"), job=Job(8192, 16 * pp), tokens=8192.0 * 16 * pp)
    plan = Plan(8, pp, vpp, 4, 1, 1, 1, 3, 0, 1, 2, 0, 0, 1, 0, 0)
    launches.agrees(read(torchtitan.write(asked, plan, launches.HEADER)), asked, plan)


def test_the_405b_preset_says_what_its_file_says() -> None:
    # pytorch/torchtitan, torchtitan/models/llama3/train_configs/llama3_405b.toml at 01424cb
    found = read(launch_samples.TITAN_TOML_405B, "llama3_405b.toml")
    wanted = {"tp": 8, "pp": 1, "cp": 1, "micro_batch": 2, "zero": 3, "shard": 0, "recompute": 2, "tp_overlap": 1}
    assert wanted.items() <= found.plan.items()
    assert "dp" not in found.plan
    assert (found.model, found.seq_len, found.precision) == ("llama-3.1-405b", 8192, "fp8")
    assert found.where["tp"] == "llama3_405b.toml:20"
    sized = read(launch_samples.TITAN_TOML_405B.replace("shard_degree = -1", "shard_degree = 16"), "llama3_405b.toml")
    assert (sized.n_chips, sized.global_batch, sized.plan["dp"]) == (128, 32, 16)


def test_the_70b_preset_says_what_its_file_says() -> None:
    # pytorch/torchtitan, torchtitan/models/llama3/train_configs/llama3_70b.toml at 038d5fd, on its 64 A100
    text = launch_samples.TITAN_TOML_405B.replace("405B", "70B").replace("batch_size = 2", "local_batch_size = 8")
    text = text.replace('converters = "float8"', "").replace("enable_async_tensor_parallel = true", "")
    found = read(text.replace("shard_degree = -1", "shard_degree = 8"), "llama3_70b.toml")
    wanted = {"tp": 8, "dp": 8, "micro_batch": 8, "zero": 3, "recompute": 2, "tp_overlap": 0, "sequence_parallel": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.model, found.n_chips, found.global_batch, found.precision) == ("llama-3.1-70b", 64, 64, "bf16")


def test_configurations_in_python_say_what_they_say() -> None:
    # pytorch/torchtitan, torchtitan/models/llama3/config_registry.py at 00d1c0e and deepseek_v3's at 0014ac2
    small = read(launch_samples.TITAN_PYTHON, name="llama3_8b")
    assert {"tp": 1, "zero": 3, "micro_batch": 1, "recompute": 1}.items() <= small.plan.items()
    assert (small.model, small.seq_len, small.precision) == ("llama-3.1-8b", 8192, "bf16")
    large = read(launch_samples.TITAN_PYTHON, name="deepseek_v3_671b")
    assert {"ep": 2, "pp": 1, "micro_batch": 4, "recompute": 1, "schedule": 0}.items() <= large.plan.items()
    assert (large.model, large.seq_len, large.precision) == ("deepseek-v3", 4096, "fp8")
    hybrid = read(launch_samples.TITAN_PYTHON, name="llama3_8b_hsdp")
    assert {"dp": 32, "shard": 8, "zero": 3, "recompute": 2, "micro_batch": 1}.items() <= hybrid.plan.items()
    assert (hybrid.n_chips, hybrid.global_batch) == (32, 64)


def test_a_command_line_says_what_it_says() -> None:
    # the options of a run with pipelines and FSDP, in tokens
    found = read(
        "torchrun --nproc_per_node=8 -m torchtitan.train --module glm5 --training.steps=20 "
        "--training.num_tokens_per_microbatch_per_dp_rank=128 --training.num_tokens_per_train_step=8192 "
        "--training.max_context_length=128 --parallelism.num_pp_microbatches=8 "
        "--parallelism.data_parallel_shard_degree=2 --parallelism.pipeline_parallel_degree=4"
    )
    wanted = {"pp": 4, "dp": 2, "micro_batch": 1, "zero": 2, "schedule": 0}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len, found.tokens) == (8, 64, 128, 20 * 8192)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tensor_parallel_degree = 8", "tensor_parallel_degree = 7", "tensor parallel 7 does not divide 128 attention"),
        ("steps = 3000", "steps = 3000\nglobal_batch_size = 33", "33 sequences are not divisible by dp 16 x 2"),
        ("seq_len = 8192", 'seq_len = "long"', "x.toml:14: training.seq_len: expected a whole number from 1"),
        ("tensor_parallel_degree = 8", "tensor_parallel_degre = 8", "tensor_parallel_degre: no such setting is known"),
        ("mode = 'full'", "mode = 'full", "x.toml: is not TOML: "),
        ("flavor", "flavor =", "x.toml: is not TOML: "),
        (
            "pipeline_parallel_degree = 1",
            'pipeline_parallel_degree = 2\npipeline_parallel_schedule = "Wild"',
            "x.toml:23: parallelism.pipeline_parallel_schedule: 'Wild' is no schedule that is modelled",
        ),
        (
            "pipeline_parallel_degree = 1",
            "pipeline_parallel_degree = 2\nfsdp_reshard_after_forward = 'sometimes'",
            "expected default, always or never, got 'sometimes'",
        ),
    ],
)
def test_what_contradicts_itself_is_told_with_its_line(old: str, new: str, said: str) -> None:
    text = launch_samples.TITAN_TOML_405B.replace("shard_degree = -1", "shard_degree = 16").replace(old, new, 1)
    assert said in launches.wrong(torchtitan.read, text, "x.toml")


GOOD = Plan(2, 2, 1, 4, 1, 1, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (GOOD._replace(recompute=3, recompute_layers=2), "recompute: block"),
        (GOOD._replace(zero=1), "zero: 1"),
        (GOOD._replace(zero=0, cp=2), "zero: 0: gradients are sharded with"),
        (GOOD._replace(cp=2, cp_kind=1), "cp_kind: all-to-all"),
        (GOOD._replace(offload=1), "offload: yes: optimizer state alone"),
        (GOOD._replace(dp_overlap=0), "dp_overlap: no: FSDP always overlaps"),
        (GOOD._replace(etp=2), "etp: 2"),
        (GOOD._replace(shard=2, cp=4), "shard: 2"),
        (GOOD._replace(pp=4, vpp=7), "vpp: 7: no number of layers per stage makes 28 of 32"),
    ],
)
def test_what_torchtitan_lacks_is_refused_by_name(plan: Plan, field: str) -> None:
    asked = replace(launches.question("llama-3.1-8b"), job=Job(4096, 64))
    with pytest.raises(WrongInput) as raised:
        torchtitan.write(asked, plan, launches.HEADER)
    assert f"--export torchtitan: {field}" in raised.value.message


def test_a_model_that_torchtitan_lacks_is_refused() -> None:
    with pytest.raises(WrongInput, match="model: the tool has no flavour of gpt-3-175b"):
        torchtitan.write(replace(launches.question("gpt-3-175b"), job=Job(2048, 64)), GOOD, launches.HEADER)


def test_a_configuration_that_is_written_is_python() -> None:
    asked = replace(launches.question("llama-3.1-8b", "fp8"), job=Job(4096, 64))
    text = torchtitan.write(asked, GOOD, launches.HEADER)
    compile(text, "config.py", "exec")
    assert text.startswith("# a header\n")


@pytest.mark.parametrize(("recompute", "kinds"), [(0, ()), (1, ("SelectiveAC",)), (2, ("FullAC",))])
def test_what_is_imported_is_used(recompute: int, kinds: tuple[str, ...]) -> None:
    asked = replace(launches.question("llama-3.1-8b"), job=Job(4096, 64))
    text = torchtitan.write(asked, GOOD._replace(recompute=recompute), launches.HEADER)
    for kind in ("FullAC", "SelectiveAC"):
        assert (f"import {kind}" in text) == (kind in kinds) == (f"{kind}.Config()" in text)
