"""MindSpeed-LLM on Ascend: scripts as Megatron-LM's, with options of its own.

Names: Ascend/MindSpeed-LLM at c77308a and Ascend/MindSpeed, docs/features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clustercast import records
from clustercast.errors import WrongInput
from clustercast.estimates.question import Question
from clustercast.studies.launch import megatron, plan_options
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.launch.space import Rule

TOOL: Final = "mindspeed-llm"
VERSION: Final = "c77308a"

# What only scripts of this tool say.
TELLING: Final = (
    "NPUS_PER_NODE", "--context-parallel-algo", "--schedules-method", "--moe-tp-extend-ep", "--use-fused-rmsnorm",
    "--swap-optimizer", "--noop-layers", "--num-layer-list", "mindspeed_llm", "PYTORCH_NPU_ALLOC_CONF", "--use-ascend-",
)  # fmt: skip
PRECISIONS: Final = ("bf16", "fp16")

_DUALPIPE: Final = (("schedule", records.SCHEDULE_DUALPIPE),)
_CUT: Final = "dualpipev goes with neither context nor expert tensor parallelism"
SPACE: Final = (
    (
        *plan_options.space_of(records.SCHEDULE_1F1B, records.SCHEDULE_DUALPIPE)[0],
        Rule("cp", (1,), _CUT, _DUALPIPE),
        Rule("etp", (1,), _CUT, _DUALPIPE),
        Rule("dp_overlap", (0,), "dualpipev does not overlap the gradients' reduction", _DUALPIPE),
    ),
)


def read(text: str, path: Path) -> TrainingLaunch:
    """The launch that a script describes. Raises WrongInput with the line of what cannot be or contradicts itself."""
    return megatron.read_as(TOOL, text, path)


def write(question: Question, plan: records.Plan, header: Sequence[str]) -> str:
    """A launch script for a plan. Raises WrongInput for what MindSpeed-LLM lacks, with the field of the plan."""
    if question.precision not in PRECISIONS:
        raise WrongInput(f"--export {TOOL}: precision: the tool has no recipe like {question.precision}")
    refused = plan_options.Refusal(TOOL)
    if plan.zero > 1:
        raise refused.of("zero", f"{plan.zero}: the distributed optimizer shards optimizer state alone", "zero=1")
    if plan.schedule == records.SCHEDULE_DUALPIPE:
        _dualpipe(refused, question, plan)
    return megatron.script_of(TOOL, question, plan, header)


def _dualpipe(refused: plan_options.Refusal, question: Question, plan: records.Plan) -> None:
    """DualPipeV needs experts of their own cut, no context parallelism, head and embedding apart."""
    model = question.record
    if not model.n_moe_layers:
        raise refused.of("schedule", "dualpipev is for mixtures of experts", "schedule=1f1b")
    if plan.cp > 1 or plan.etp > 1:
        raise refused.of("schedule", "dualpipev goes with neither context nor expert tensor parallelism", "cp=1,etp=1")
    if model.tied:
        raise refused.of("schedule", "dualpipev needs a head of its own", "schedule=1f1b")
    if plan.dp_overlap:
        raise refused.of("dp_overlap", "dualpipev does not overlap the gradients' reduction", "dp_overlap=no")
