"""Megatron-LM's scripts: read, written, read again."""

from dataclasses import replace
from pathlib import Path

import launch_samples
import launches
import pytest
from launch_samples import line

from clustercast import records
from clustercast.catalog import ModelProfile
from clustercast.errors import WrongInput
from clustercast.records import Job, Plan
from clustercast.studies.launch import megatron

MODELS = ("llama-3.1-70b", "llama-3.1-8b", "gpt-3-175b", "mixtral-8x7b", "deepseek-v3", "gpt-oss-20b", "qwen2.5-1.5b")
PRECISIONS = ("bf16", "fp16", "fp8", "fp8-block")


def bend(plan: Plan) -> Plan:
    """What Megatron-LM has: 1f1b, sharding of gradients and weights without a pipeline, offload with ZeRO 1."""
    plan = plan._replace(schedule=records.SCHEDULE_1F1B)
    if plan.zero > 1 and plan.pp > 1:
        plan = plan._replace(zero=1, shard=0)
    if plan.tp > 1 and not plan.sequence_parallel:
        plan = plan._replace(tp_overlap=0, ep=1, etp=1)
    if plan.zero != 1:
        plan = plan._replace(offload=0)
    return plan


def read(text: str, path: str = "run.sh") -> megatron.TrainingLaunch:
    return megatron.read(text, Path(path))


def test_a_hundred_plans_come_back_as_they_were_written() -> None:
    n_read = 0
    for asked, plan in launches.problems(MODELS, PRECISIONS, bend):
        if asked.record.n_moe_layers and plan.tp > 1 and not plan.sequence_parallel:
            continue
        launches.agrees(read(megatron.write(asked, plan, launches.HEADER)), asked, plan)
        n_read += 1
    assert n_read >= 0.8 * launches.N_PLANS


def test_the_175b_example_says_what_its_script_says() -> None:
    # NVIDIA/Megatron-LM, examples/gpt3/train_gpt3_175b_distributed.sh at 157006d, on the 1,024 GPUs of its README
    found = read(launch_samples.GPT_175B)
    wanted = {"tp": 8, "pp": 16, "dp": 8, "cp": 1, "vpp": 1, "micro_batch": 1, "zero": 0, "recompute": 0}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len, found.precision) == (1024, 1536, 2048, "fp16")
    assert found.tokens == 500000 * 1536 * 2048
    assert isinstance(found.model, ModelProfile)
    shape = found.model.architecture
    assert (shape["layers"], shape["hidden"], shape["ffn"], shape["vocab"]) == (96, 12288, 49152, 50257)
    assert (shape["gated"], shape["tied"], shape["bias"]) == (False, True, True)
    assert any("grows at first" in each for each in found.warnings)
    assert found.where["tp"] == "run.sh:23"


def test_the_llama_3_8b_example_says_what_its_script_says() -> None:
    # NVIDIA/Megatron-LM, examples/llama/train_llama3_8b_h100_fp8.sh at 157006d
    found = read(launch_samples.LLAMA_8B_FP8)
    wanted = {"tp": 1, "pp": 1, "cp": 1, "dp": 8, "zero": 1, "micro_batch": 1, "dp_overlap": 1, "sequence_parallel": 0}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.seq_len, found.precision) == (8, 128, 8192, "fp8")
    assert found.tokens == 1953125000 * 8192
    assert isinstance(found.model, ModelProfile)
    assert launches.shapes.differing(found.model.record(), launches.question("llama-3.1-8b").record) == ""
    assert any("only the first branch of an if" in each for each in found.notes)


def test_the_mixtral_example_says_what_its_readme_says() -> None:
    # NVIDIA/Megatron-LM, megatron/core/transformer/moe/README.md: Mixtral 8x7B on 128 GPUs, PP 4, EP 8, VPP by 8 layers
    found = read(launch_samples.MIXTRAL)
    wanted = {"tp": 1, "pp": 4, "vpp": 1, "dp": 32, "ep": 8, "etp": 1, "zero": 1, "micro_batch": 1}
    assert wanted.items() <= found.plan.items()
    assert isinstance(found.model, ModelProfile)
    assert launches.shapes.differing(found.model.record(), launches.question("mixtral-8x7b").record) == ""


def test_the_deepseek_v3_example_gives_out_its_layers_one_by_one() -> None:
    # Megatron-MoE-ModelZoo, DeepSeek-V3 on 256 GPUs: PP 8, EP 32, VPP 4 from its layout, GBS 8192, FP8 in blocks
    found = read(launch_samples.DEEPSEEK_ZOO)
    wanted = {"tp": 1, "pp": 8, "vpp": 4, "dp": 32, "ep": 32, "etp": 1, "zero": 1, "recompute": 1}
    assert wanted.items() <= found.plan.items()
    assert (found.n_chips, found.global_batch, found.precision) == (256, 8192, "fp8-block")
    assert isinstance(found.model, ModelProfile)
    assert launches.shapes.differing(found.model.record(), launches.question("deepseek-v3").record) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (line(tp=3), "run.sh:5: --tensor-model-parallel-size: tp x pp x cp is 6, which does not divide the 8 chips"),
        (line(batch=65), "run.sh:4: --global-batch-size: 65 is not divisible by dp 2 x micro-batch 1"),
        (line(nodes=3, pp=3), "run.sh:6: --pipeline-model-parallel-size: 32 layers do not divide over 3 stages"),
        (line(more="--bf16 --fp16"), "run.sh:6: --fp16: 16-bit floats of two kinds"),
        (
            line(more="--bf16 --num-experts 6 --expert-model-parallel-size 4 --expert-tensor-parallel-size 1"),
            "run.sh:6: --expert-model-parallel-size: expert parallel 4 does not divide 6 experts",
        ),
        (line(more="--bf16 --expert-model-parallel-size 4"), "--expert-model-parallel-size: 4 needs experts"),
        (line(more="--bf16 --num-virtual-stages-per-pipeline-rank x"), "a whole number from 1 to 1,000, got 'x'"),
        (line(more="--bf16 --num-layers-per-virtual-pipeline-stage 5"), "5 x pp 2 does not divide 32 layers"),
        (line(more="--bf16 --pipeline-model-parallel-layout 'Et*9|tL'"), "it holds 10 layers, --num-layers says 32"),
        (line(more="--bf16 --train-iters 5 --train-samples 5"), "the length of the run is given twice"),
        (line(more="--bf16 --recompute-granularity full"), "full recompute needs --recompute-method"),
        (line(more="--bf16 --context-parallel-size 3", nodes=3), "context parallel 3 does not divide the sequence"),
        (line().replace("--num-layers 32", "--num-layers $LAYERS"), "run.sh:2: --num-layers: expected a whole number"),
        ("echo nothing here", "run.sh: holds no arguments of a training command"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_told_with_its_line(text: str, said: str) -> None:
    assert said in launches.wrong(megatron.read, text, "run.sh")


def test_options_that_are_not_known_are_counted() -> None:
    found = read(line(more="--bf16 --frobnicate 7 --log-interval 1 --a-b --c-d --e-f"))
    assert (
        "5 options do not matter here or are not known: --frobnicate, --log-interval, --a-b, --c-d, ..." in found.notes
    )


def test_slurm_says_how_many_chips_there_are() -> None:
    text = "#SBATCH --nodes=4\n#SBATCH --gpus-per-node=h100:8\nsrun python pretrain_gpt.py \\\n"
    found = read(text + line().partition("pretrain_gpt.py \\\n")[2])
    assert (found.n_chips, found.plan["dp"]) == (32, 8)


def test_experts_are_cut_as_the_rest_where_nothing_else_is_said() -> None:
    found = read(line(more="--bf16 --num-experts 8 --expert-model-parallel-size 2 --sequence-parallel"))
    assert (found.plan["etp"], found.plan["ep"]) == (2, 2)


REFUSED = Plan(2, 2, 1, 2, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (REFUSED._replace(schedule=records.SCHEDULE_GPIPE), "schedule: megatron-lm has no gpipe schedule"),
        (REFUSED._replace(schedule=records.SCHEDULE_ZERO_BUBBLE), "schedule: megatron-lm has no zero-bubble"),
        (REFUSED._replace(schedule=records.SCHEDULE_DUALPIPE), "schedule: megatron-lm has no dualpipe"),
        (REFUSED._replace(zero=3), "zero: 3: --use-megatron-fsdp has no pipeline"),
        (REFUSED._replace(zero=0, offload=1), "offload: --optimizer-cpu-offload needs the distributed optimizer"),
        (REFUSED._replace(sequence_parallel=0), "tp_overlap: overlap of tensor parallelism needs sequence"),
        (
            REFUSED._replace(vpp=2, recompute=records.RECOMPUTE_BLOCK, recompute_layers=3),
            "recompute_layers: 3 does not divide over the 2 chunks of a stage",
        ),
    ],
)
def test_what_megatron_lacks_is_refused_by_name(plan: Plan, field: str) -> None:
    asked = replace(launches.question("llama-3.1-8b"), job=Job(4096, 64))
    with pytest.raises(WrongInput) as raised:
        megatron.write(asked, plan, launches.HEADER)
    assert field in raised.value.message
    assert raised.value.message.startswith("--export megatron-lm: ")


def test_a_model_with_layers_of_another_kind_is_refused() -> None:
    asked = replace(launches.question("qwen3.5-27b"), job=Job(4096, 64))
    with pytest.raises(WrongInput, match="linear-attention or state-space layers"):
        megatron.write(asked, REFUSED, launches.HEADER)


def test_stages_of_unequal_depth_are_written_as_a_layout() -> None:
    asked = replace(launches.question("deepseek-v3"), job=Job(4096, 960))
    text = megatron.write(asked, REFUSED._replace(tp=1, pp=16, ep=2, sequence_parallel=0), launches.HEADER)
    assert "--pipeline-model-parallel-layout 'Ettt|tttt" in text
    assert text.count("t", text.index("'E"), text.index("L'")) == 61
