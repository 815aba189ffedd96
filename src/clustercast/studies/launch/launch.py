"""The form between all launch files: what a training or a serving tool was told, whatever its own words for it.

None says that the file leaves it open. Codes of a plan are those that `plans.text.parse` gives.
"""

from dataclasses import dataclass, field

from clustercast.catalog import ModelProfile
from clustercast.errors import WrongInput


class PlanRefused(WrongInput):
    """A tool lacks a field of the plan: another plan may do."""


@dataclass(frozen=True, slots=True)
class TrainingLaunch:
    """What one training launch file says."""

    tool: str  # megatron-lm, megatron-bridge, torchtitan, deepspeed, mindspeed-llm
    file: str  # as messages show it
    model: ModelProfile | str | None = None  # read from shape arguments, or a name, or not said
    plan: dict[str, int] = field(default_factory=dict)
    n_chips: int | None = None
    global_batch: int | None = None  # sequences
    replica_batch: int | None = None  # sequences of one replica and step, where the global batch follows from the chips
    steps: int | None = None  # of the run, where its tokens follow from the global batch
    seq_len: int | None = None
    precision: str | None = None  # a recipe of the catalogue
    tokens: float | None = None
    open_chips: str = ""  # why the number of chips cannot be told, where a variable holds it that nothing sets
    notes: tuple[str, ...] = ()  # what was assumed, and what was read and does not matter here
    warnings: tuple[str, ...] = ()  # what matters to the time of a step and is not modelled
    where: dict[str, str] = field(default_factory=dict)  # field of the plan or of this record: file:line


@dataclass(frozen=True, slots=True)
class ServingLaunch:
    """What one serving launch file or command line says."""

    tool: str  # vllm, sglang, tensorrt-llm
    file: str  # as messages show it
    model: ModelProfile | str | None = None
    plan: dict[str, int] = field(default_factory=dict)  # tp, pp, attention_dp, ep, etp, replicas
    n_chips: int | None = None
    precision: str | None = None
    kv_precision: str | None = None
    max_batch: int | None = None  # sequences in flight on one replica
    chunk_tokens: int | None = None  # of prompts in one step
    memory_fraction: float | None = None  # as the tool counts: of a chip's memory, or of what the weights leave of it
    max_len: int | None = None  # tokens of a prompt and its answer together
    input_len: int | None = None
    output_len: int | None = None
    n_drafts: float | None = None
    accepted_tokens: float | None = None
    prefix_cache: bool | None = None
    engine: str | None = None  # of the catalogue, where the options say more than the tool does
    role: str = ""  # prefill or decode where pools are apart
    eager: str = ""  # the option by which steps run without captured graphs, with its line
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
