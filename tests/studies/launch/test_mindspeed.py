"""MindSpeed-LLM's scripts: read, written, read again."""

from dataclasses import replace
from pathlib import Path

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


DEEPSEEK_V3 = r"""
export PYTORCH_NPU_ALLOC_CONF="expandable_segments:True"
NPUS_PER_NODE=16
NNODES=32
TOKENIZER="your tokenizer path"
TP=2
PP=8
CP_TYPE='ulysses_cp_algo'
RANKS="
    --nproc_per_node $NPUS_PER_NODE \
    --nnodes $NNODES
"
MLA_ARGS="
    --multi-head-latent-attention --qk-rope-head-dim 64 --qk-nope-head-dim 128 \
    --q-lora-rank 1536 --kv-lora-rank 512 --v-head-dim 128 \
"
MOE_ARGS="
    --moe-grouped-gemm --moe-token-dispatcher-type alltoall_seq --first-k-dense-replace 3 --moe-layer-freq 1 \
    --n-shared-experts 1 --num-experts 256 --moe-router-topk 8 --moe-intermediate-size 2048 --n-group 8 --topk-group 4 \
    --moe-tp-extend-ep \
"
MEM_ARGS="
    --swap-optimizer --recompute-granularity full --recompute-method block --recompute-num-layers 8 \
"
GPT_ARGS="
    --noop-layers 61,62,63 --use-distributed-optimizer --mtp-num-layers 1 \
    --moe-fb-overlap --schedules-method dualpipev \
    --tensor-model-parallel-size ${TP} --pipeline-model-parallel-size ${PP} --expert-model-parallel-size 16 \
    --sequence-parallel --context-parallel-size 1 --context-parallel-algo  ${CP_TYPE} --num-layers 64 \
    --hidden-size 7168 --ffn-hidden-size 18432 --num-attention-heads 128 --seq-length 4096 --micro-batch-size 1 \
    --global-batch-size 3840 --train-iters 2000 --untie-embeddings-and-output-weights --disable-bias-linear \
    --position-embedding-type rope --swiglu --vocab-size 129280 --bf16 \
"
python -m torch.distributed.launch $RANKS pretrain_gpt.py \
    $GPT_ARGS $MLA_ARGS $MEM_ARGS $MOE_ARGS \
    --distributed-backend nccl | tee logs/pretrain.log
"""


def test_the_deepseek_v3_example_says_what_its_script_says() -> None:
    # Ascend/MindSpeed-LLM, examples/mcore/deepseek3/pretrain_deepseek3_671b_4k_A3_ptd.sh at 015ce04
    found = read(DEEPSEEK_V3)
    wanted = {"tp": 2, "pp": 8, "dp": 32, "ep": 32, "etp": 1, "zero": 1, "micro_batch": 1, "offload": 1, "vpp": 1}
    assert wanted.items() <= found.plan.items()
    assert found.plan["schedule"] == records.SCHEDULE_DUALPIPE
    assert (found.plan["recompute"], found.plan["recompute_layers"]) == (records.RECOMPUTE_BLOCK, 8)
    assert (found.n_chips, found.global_batch, found.seq_len, found.precision) == (512, 3840, 4096, "bf16")
    assert isinstance(found.model, ModelProfile)
    assert launches.shapes.differing(found.model.record(), launches.question("deepseek-v3").record) == ""


DEEPSEEK_V2 = """
NPUS_PER_NODE=8
NNODES=20
torchrun --nproc_per_node $NPUS_PER_NODE --nnodes $NNODES pretrain_gpt.py \\
    --multi-head-latent-attention --qk-rope-head-dim 64 --qk-nope-head-dim 128 --q-lora-rank 1536 --kv-lora-rank 512 \\
    --v-head-dim 128 --first-k-dense-replace 1 --moe-layer-freq 1 --n-shared-experts 2 --num-experts 160 \\
    --moe-router-topk 6 --moe-intermediate-size 1536 --topk-group 3 \\
    --num-layers-per-virtual-pipeline-stage 2 --recompute-granularity full --recompute-method uniform \\
    --recompute-num-layers 1 --use-distributed-optimizer --tensor-model-parallel-size 1 \\
    --pipeline-model-parallel-size 10 --expert-model-parallel-size 8 --sequence-parallel --context-parallel-size 1 \\
    --num-layers 60 --hidden-size 5120 --ffn-hidden-size 12288 --num-attention-heads 128 --seq-length 8192 \\
    --micro-batch-size 1 --global-batch-size 640 --train-iters 2000 --untie-embeddings-and-output-weights \\
    --disable-bias-linear --position-embedding-type rope --swiglu --vocab-size 102400 --bf16
"""


def test_the_deepseek_v2_example_says_what_its_script_says() -> None:
    # Ascend/MindSpeed-LLM, examples/mcore/deepseek2/pretrain_deepseek2_236b_8k_ptd.sh at 015ce04
    found = read(DEEPSEEK_V2)
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
        ("NPUS_PER_NODE=16", "NPUS_PER_NODE=15.5", "--nproc-per-node: expected a whole number"),
        ("PP=8", "PP=7", "tp x pp x cp is 14, which does not divide the 512 chips"),
    ],
)
def test_what_contradicts_itself_is_told(old: str, new: str, said: str) -> None:
    assert said in launches.wrong(mindspeed.read, DEEPSEEK_V3.replace(old, new), "run.sh")


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
