"""What a request may hold: names of the catalogue, bounded numbers, no path.

Fields are called as the options of the command line: `count`, `gbs`, `seq`, `isl`, `osl`, `set`. Numbers of things may
be text as people write it: "13T".
"""

import datetime
import math
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from clustercast import units

MOST_CHIPS: Final = 6  # side by side
MOST_COUNT: Final = 10_000_000
MOST_LENGTH: Final = 10_000_000
MOST_TOKENS: Final = 1e18
MOST_SETTINGS: Final = 24
MOST_POINTS: Final = 32  # of a crossover map on either axis
MOST_PLANS: Final = 100
MOST_PARAMETERS: Final = 8
FILE_ENDINGS: Final = (".yaml", ".yml", ".json")


def _name(value: Any) -> Any:
    if isinstance(value, str) and value.lower().endswith(FILE_ENDINGS):
        raise ValueError("expected a name of the catalogue, not a file")
    return value


def _count(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    if isinstance(value, str):
        try:
            value = units.parse(value, "count")
        except ValueError:
            raise ValueError("expected a number like 1024, 10k or 13T") from None
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def _list(value: Any) -> Any:
    """Text with commas for a list, as an address has it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _lists(value: Any) -> Any:
    """A list, also from an address, which gives one text in a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return _list(value[0])
    return _list(value)


Name = Annotated[str, BeforeValidator(_name), StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Model = Annotated[Name, Field(description="A name or alias of /api/1/models, or a size like 70B.")]
Count = Annotated[int, BeforeValidator(_count), Field(ge=1, le=MOST_COUNT)]
Length = Annotated[int, BeforeValidator(_count), Field(ge=1, le=MOST_LENGTH)]
Tokens = Annotated[float, BeforeValidator(_count), Field(ge=1, le=MOST_TOKENS)]
Seconds = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Plan = Annotated[str, StringConstraints(max_length=400, pattern=r"^[A-Za-z0-9_=,. -]*$")]
Setting = Annotated[str, StringConstraints(max_length=100, pattern=r"^[A-Za-z0-9._-]{1,80}=[A-Za-z0-9._+%/ -]{1,40}$")]
Settings = Annotated[list[Setting], BeforeValidator(_lists), Field(max_length=MOST_SETTINGS)]
Names = Annotated[list[Name], BeforeValidator(_lists), Field(min_length=1, max_length=MOST_CHIPS)]
Counts = Annotated[list[Count], BeforeValidator(_lists), Field(max_length=MOST_POINTS)]


class Question(BaseModel):
    """What all questions share: no field that is not known, no NaN."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    set: Settings = Field([], description='What is changed: "chip.hbm_bandwidth=6TB/s", "job.pue=1.1".')


class Work(Question):
    """The training and serving work of a model."""

    model: Model
    count: Count | None = Field(None, description="Chips; the workload's reference count if none.")
    tokens: Tokens | None = None
    gbs: Count | None = Field(None, description="Sequences per optimizer step.")
    seq: Length | None = Field(None, description="Tokens of a training sequence.")
    precision: Name | None = None
    isl: Length | None = Field(None, description="Tokens of a prompt.")
    osl: Length | None = Field(None, description="Tokens of an answer.")
    batch: Count | None = Field(None, description="Sequences in flight on all chips.")
    engine: Name = "vllm"
    price: Literal["rent", "buy"] = "rent"


class OneChip(Work):
    """The work on one chip."""

    chip: Name
    plan: Plan = Field("", description="What is fixed of the training plan; the rest is searched.")
    fabric: Name | None = None
    stack: Name | None = None


class Estimate(OneChip):
    """`estimate`, and what makes it quick while a slider moves."""

    serving_plan: Plan = Field("", description="A replica as an answer gave it: tp=8,pp=1,attention_dp=1,ep=1,...")
    tpot: Seconds | None = Field(None, description="Objective of the largest batch, seconds per token.")
    explain: bool = Field(True, description="Whether to try what moves the days most (`movers`).")


class Ranking(OneChip):
    """`plan`."""

    top: Annotated[int, Field(ge=1, le=MOST_PLANS)] = 10


class Launch(OneChip):
    """A launch file for the fastest training plan, or for a serving replica."""

    tool: Literal[
        "megatron-lm", "megatron-bridge", "torchtitan", "deepspeed", "mindspeed-llm", "vllm", "sglang", "tensorrt-llm"
    ]
    serving_plan: Plan = ""
    tpot: Seconds | None = None


class Serve(Question):
    """`serve`."""

    chip: Name
    model: Model
    count: Count | None = None
    isl: Length | None = None
    osl: Length | None = None
    concurrency: Count | None = None
    rate: Annotated[float, Field(gt=0, le=1e9)] | None = Field(None, description="Requests per second.")
    ttft: Seconds | None = None
    tpot: Seconds | None = None
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    engine: Name | None = None
    precision: Name | None = None
    plan: Plan = ""
    prefix_hit: Share = 0.0
    frontier: bool = False
    fabric: Name | None = None


class Compare(Work):
    """`compare`."""

    chips: Names
    equal: Literal["cards", "dollars", "megawatts", "tpp"] = "cards"
    reference: Name | None = None


class Report(Work):
    """`report`: one file to keep. The first chip is looked at closely."""

    chips: Names
    plan: Plan = ""


class Why(OneChip):
    """`why`."""

    other: Name | None = None


class Crossover(Question):
    """`crossover`."""

    chip: Name
    other: Name
    model: Model
    count: Count | None = None
    batches: Counts = []
    contexts: Counts = []
    precision: Name | None = None
    other_precision: Name | None = None
    plan: Plan = ""
    engine: Name = "vllm"


class Map(Crossover):
    """`crossover` of one phase, its rates alone."""

    phase: Literal["decode", "prefill"] = "decode"
    settled: bool = Field(True, description="False: only layouts that are best somewhere for the chips as they are.")


class Sensitivity(OneChip):
    """`sensitivity`: each number alone at both ends of its range."""

    of: Annotated[list[Name], BeforeValidator(_lists), Field(min_length=1, max_length=MOST_PARAMETERS)] = ["days"]
    parameters: Annotated[list[Name], BeforeValidator(_lists), Field(max_length=MOST_PARAMETERS)] = []


class SizeTraining(Question):
    """`size train`: the fewest chips that finish in so many days."""

    chips: Names
    model: Model
    days: Annotated[float, Field(gt=0, le=1e5)]
    tokens: Tokens | None = None
    gbs: Count | None = None
    seq: Length | None = None
    precision: Name | None = None


class SizeServing(Question):
    """`size serve`: the fewest chips that take so many requests per second."""

    chips: Names
    model: Model
    rate: Annotated[float, Field(gt=0, le=1e9)]
    isl: Length | None = None
    osl: Length | None = None
    ttft: Seconds | None = None
    tpot: Seconds | None = None
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = None
    precision: Name | None = None
    engine: Name = "vllm"


class Rules(Question):
    """`rules`."""

    chip: Name
    on: datetime.date | None = None


class Chip(Question):
    """One chip, changed."""

    chip: Name


class Entry(BaseModel):
    """One entry of the catalogue."""

    model_config = ConfigDict(extra="forbid")

    name: Name


class Nothing(BaseModel):
    """A question without a field."""

    model_config = ConfigDict(extra="forbid")
