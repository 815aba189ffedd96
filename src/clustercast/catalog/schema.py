"""What chip, fabric and model files may say. Imported only when a file is new or has changed, or for JSON Schema.

The pydantic models below check one field at a time; the functions after them check what several fields say together.
`validate` gives plain data for the cache: text, integers, lists, and quantities as lists in the order of `Quantity`.
"""

import datetime
import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from clustercast import records, units

Kind = Literal["datasheet", "measured", "reported", "fitted", "assumed"]
Format = Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp6", "fp4", "int4"]
LinkName = Literal[
    "nvlink2",
    "nvlink3",
    "nvlink4",
    "nvlink5",
    "hccs",
    "unified-bus",
    "xgmi",
    "gaudi-ethernet",
    "ici",
    "neuronlink",
    "pcie3",
    "pcie4",
    "pcie5",
    "mlulink",
    "blink",
    "mtlink",
    "other-link",
    "infiniband",
    "roce",
    "ethernet-dcn",
]
Place = tuple[str | int, ...]


class UnfitError(Exception):
    """A file's data does not fit: the place in it, what is wrong, and a guess if there is one."""

    def __init__(self, place: Place, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


class Strict(BaseModel):
    """A mapping with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Alias = Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,64}$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Whole = Annotated[int, Field(ge=1, le=10**9)]
WholeOrNone = Annotated[int, Field(ge=0, le=10**9)]
Written = str | int | float


class Quantity(Strict):
    """A value as its source writes it."""

    dimension: ClassVar[str]

    value: Annotated[Written, Field(description="as the source writes it, with its unit")]
    source: Annotated[Text, Field(description="a key of the file's `sources`")]
    kind: Kind
    low: Written | None = None
    high: Written | None = None
    note: Text | None = None
    why: Annotated[Text | None, Field(description="required, as are low and high, where kind is assumed")] = None

    @field_validator("value", "low", "high")
    @classmethod
    def _has_the_unit(cls, written: Written | None) -> Written | None:
        if written is not None:
            value = units.number(written, cls.dimension)
            if value == 0:
                raise ValueError(f"{written!r} is not more than 0")
        return written

    @model_validator(mode="after")
    def _has_its_range(self) -> Self:
        value, low, high = self.plain()[:3]
        if low is not None and low > value:
            raise ValueError(f"low ({self.low}) is more than the value ({self.value})")
        if high is not None and high < value:
            raise ValueError(f"high ({self.high}) is less than the value ({self.value})")
        if (low is None) != (high is None):
            raise ValueError("has only one of low and high, expected both or neither")
        if self.kind == "assumed" and (self.why is None or low is None):
            raise ValueError("is assumed, expected why, low and high")
        return self

    def plain(self) -> list[Any]:
        """The fields of `catalog.quantity.Quantity`, in its order."""
        low, high = (
            None if written is None else units.number(written, self.dimension) for written in (self.low, self.high)
        )
        value = units.number(self.value, self.dimension)
        return [value, low, high, str(self.value), self.dimension, self.source, self.kind, self.note, self.why]


class FlopRate(Quantity):
    """Operations per second, such as 148 TFLOP/s or 296 TOP/s."""

    dimension = "flop/s"


class ByteRate(Quantity):
    """Bytes or bits per second, such as 4.0 TB/s or 400 Gbit/s."""

    dimension = "bytes/s"


class Bytes(Quantity):
    """Bytes, such as 96 GiB or 60 MB."""

    dimension = "bytes"


class Watts(Quantity):
    """Power, such as 400 W."""

    dimension = "watts"


class Hertz(Quantity):
    """A clock, such as 1830 MHz."""

    dimension = "hertz"


class Area(Quantity):
    """An area, such as 814 mm2."""

    dimension = "mm2"


class Price(Quantity):
    """A price, such as 13500 USD."""

    dimension = "usd"


class Rent(Quantity):
    """A price of an hour, such as 2.0 USD/h."""

    dimension = "usd/h"


class Count(Quantity):
    """A count, such as 8192, 60M or 1.8T."""

    dimension = "count"


class Choice(Count):
    """A default that somebody chose: it may be assumed without a range."""

    @model_validator(mode="after")
    def _has_its_range(self) -> Self:
        if self.kind == "assumed" and self.why is None and self.note is None:
            raise ValueError("is assumed, expected why")
        return self


# chips


class Memory(Strict):
    """The memory that holds weights and caches."""

    type: Text
    capacity: Bytes
    bandwidth: ByteRate
    cache: Bytes | None = None


class ChipScaleUp(Strict):
    """The chip's own links to its peers."""

    name: Text
    quoted: ByteRate | None = None
    direction: Annotated[Literal["both", "one"], Field(description="what `quoted` counts")]
    per_direction: Annotated[ByteRate, Field(description="usable, one direction")]


class Prices(Strict):
    """What it costs to buy, or to rent for an hour."""

    buy: Price | None = None
    rent: Rent | None = None


def _date_text(written: Any) -> Any:
    """YAML reads 2023-11-05 as a date and 2023 as a number; both are text here."""
    if isinstance(written, datetime.date):
        return written.isoformat()
    return str(written) if type(written) is int else written


Date = Annotated[str, BeforeValidator(_date_text), Field(pattern=r"^[0-9]{4}(-[0-9]{2}){0,2}$")]


class Chip(Strict):
    """One accelerator: hardware_profiles/chips/<name>.yaml."""

    name: Name
    full_name: Text
    vendor: Text
    aliases: list[Alias] = []
    family: Literal[
        "volta",
        "turing",
        "ampere",
        "ada",
        "hopper",
        "blackwell",
        "cdna2",
        "cdna3",
        "cdna4",
        "gaudi",
        "ascend",
        "tpu",
        "trainium",
        "other",
    ]
    architecture: Text
    released: Date
    status: Literal["shipping", "announced", "rumoured"]
    data_centre: Annotated[bool, Field(description="marketed for data centres")]
    fabric: Annotated[Name, Field(description="the fabric it usually comes in")]
    sources: dict[str, Text]
    peaks: Annotated[dict[Format, FlopRate], Field(min_length=1, description="dense matmul peaks by format")]
    vector: dict[Format, FlopRate] = {}
    memory: Memory
    scale_up: ChipScaleUp | None = None
    pcie_generation: Annotated[int, Field(ge=2, le=8)] | None = None
    nic: Annotated[ByteRate | None, Field(description="per chip, one direction")] = None
    power: Watts
    boost_clock: Hertz | None = None
    n_cores: Whole | None = None
    n_cores_source: str | None = None
    die_area: Area | None = None
    io_bandwidth: Annotated[ByteRate | None, Field(description="own links and PCIe, both directions")] = None
    price: Prices | None = None
    notes: list[Text] = []


# fabrics


class Tier(Strict):
    """Chips that reach one another at one level, and the bandwidth per chip and direction there."""

    n_chips: Whole
    link: LinkName
    bandwidth: ByteRate | None = None
    source: Text
    kind: Kind
    low: Annotated[Whole | None, Field(description="the range of n_chips")] = None
    high: Whole | None = None
    note: Text | None = None
    why: Annotated[Text | None, Field(description="required where kind is assumed")] = None

    @model_validator(mode="after")
    def _has_its_range(self) -> Self:
        if self.low is not None and self.low > self.n_chips:
            raise ValueError(f"low ({self.low}) is more than n_chips ({self.n_chips})")
        if self.high is not None and self.high < self.n_chips:
            raise ValueError(f"high ({self.high}) is less than n_chips ({self.n_chips})")
        if self.kind == "assumed" and self.why is None:
            raise ValueError("is assumed, expected why")
        return self


class FabricScaleUp(Tier):
    """The innermost network, between the chips of a node or rack."""

    shape: Literal["switch", "full-mesh", "cube-mesh", "torus", "pcie-tree"]
    pair_fraction: Annotated[float, Field(gt=0, le=1, strict=False)] | None = None
    n_axes: Annotated[int, Field(ge=1, le=6)] | None = None
    axis_chips: Whole | None = None


class Spine(Strict):
    """What joins the rails."""

    oversubscription: Annotated[Count, Field(description="down over up")]
    link: LinkName
    note: Text | None = None


class Fabric(Strict):
    """A node and the network around it: hardware_profiles/fabrics/<name>.yaml."""

    name: Name
    full_name: Text
    aliases: list[Alias] = []
    sources: dict[str, Text]
    scale_up: FabricScaleUp
    package: Tier | None = None
    rail: Tier | None = None
    spine: Spine
    rails_cross: bool
    notes: list[Text] = []


# models


class Architecture(Strict):
    """The shape of a transformer or hybrid. A field that is absent is not there; counts are per layer of its kind."""

    source: Text
    kind: Kind
    unverified: list[str] = []
    why: Text | None = None
    note: Text | None = None
    layers: Whole
    hidden: Whole
    vocab: Whole
    tied: bool
    attention: Literal["gqa", "mla"] = "gqa"
    heads: Whole
    kv_heads: Whole | None = None
    head_dim: Whole | None = None
    v_head_dim: Whole | None = None
    q_lora: Whole | None = None
    kv_lora: Whole | None = None
    qk_nope_dim: Whole | None = None
    qk_rope_dim: Whole | None = None
    ffn: Whole | None = None
    gated: bool
    experts: Whole | None = None
    experts_per_token: Whole | None = None
    expert_ffn: Whole | None = None
    shared_ffn: Annotated[WholeOrNone | None, Field(description="all shared experts together")] = None
    first_dense_layers: WholeOrNone | None = None
    moe_every: Whole | None = None
    moe_layers: WholeOrNone | None = None
    dense_layers: WholeOrNone | None = None
    n_groups: Whole | None = None
    top_groups: Whole | None = None
    window: Whole | None = None
    window_layers: WholeOrNone | None = None
    full_attention_layers: WholeOrNone | None = None
    linear_layers: WholeOrNone | None = None
    linear_k_heads: Whole | None = None
    linear_v_heads: Whole | None = None
    linear_k_dim: Whole | None = None
    linear_v_dim: Whole | None = None
    linear_params_per_layer: Whole | None = None
    index_heads: Whole | None = None
    index_dim: Whole | None = None
    index_topk: Whole | None = None
    mtp_layers: WholeOrNone | None = None
    norm_params_per_layer: WholeOrNone | None = None
    bias: Annotated[
        bool | Literal["qkv", "attention"] | None,
        Field(description="true: every matrix and norm has one; qkv or attention: only those matrices"),
    ] = None
    learned_positions: WholeOrNone | None = None
    other_params: Annotated[
        WholeOrNone | None, Field(description="everything that no matmul touches, where it does not follow", le=10**12)
    ] = None


class Published(Strict):
    """Counts of parameters as printed."""

    total: Count | None = None
    active: Count | None = None
    exceptions: Annotated[
        dict[Literal["total", "active"], Text],
        Field(description="why a derived count does not round to the published one"),
    ] = {}


class Training(Strict):
    """What `estimate` assumes about a training run of this model unless told."""

    tokens: Choice | None = None
    seq_len: Choice | None = None
    global_batch: Annotated[Choice | None, Field(description="sequences")] = None
    chips: Choice | None = None
    precision: Text | None = None


class Serving(Strict):
    """What `serve` and `estimate` assume about serving this model unless told: tokens, and how weights are kept."""

    input_len: Whole | None = None
    output_len: Whole | None = None
    precision: Annotated[Text | None, Field(description="the recipe of the published weights, for `serve`")] = None


class Model(Strict):
    """A language model: workloads/models/<name>.yaml."""

    name: Name
    full_name: Text
    aliases: list[Alias] = []
    status: Literal["published", "reported", "reconstruction"]
    sources: dict[str, Text]
    architecture: Architecture
    published: Published | None = None
    training: Training | None = None
    serving: Serving | None = None
    notes: list[Text] = []


class Calibrated(Strict):
    """One constant that a user measured; its unit is checked where the constant is known, in catalog.overlay."""

    value: Written
    standard_error: Written
    low: Written
    high: Written
    before: Written
    kind: Literal["measured", "fitted"]
    source: Text


class Errors(Strict):
    """Absolute relative errors of the points."""

    median: Annotated[float, Field(ge=0)]
    max: Annotated[float, Field(ge=0)]


class Covers(Strict):
    """What measured training steps were like."""

    kinds: Annotated[list[Literal["dense", "mixture"]], Field(min_length=1)]
    precisions: Annotated[list[Name], Field(min_length=1)]
    least_chips: Whole
    most_chips: Whole


class Part(Strict):
    """What one kind of measurement said of one chip with one link, number format, stack or engine."""

    kind: Literal["collectives", "matmuls", "steps", "serving"]
    chip: Name
    chip_file: Text | None = None  # of a chip that is not in the catalogue
    belongs_to: Name
    n: Whole
    error_before: Errors
    error_after: Errors
    error_left_out: Errors | None = None
    half_width: Annotated[float | None, Field(gt=0, le=10)] = None  # None: too few configurations to tell
    covers: Covers | None = None
    left_as_they_were: list[Name] = []
    constants: Annotated[dict[str, Calibrated], Field(min_length=1)]


class Calibration(Strict):
    """An overlay: constants that a user measured, as `calibrate` writes them."""

    schema_: Annotated[Literal["clustercast.calibration/1"], Field(alias="schema")]
    date: Annotated[str, BeforeValidator(_date_text)]
    clustercast: Text
    sources: dict[str, Text]
    parts: Annotated[list[Part], Field(min_length=1)]


# studies


class StudyRange(Strict):
    """Values from one end to the other."""

    from_: Annotated[Written, Field(alias="from")]
    to: Written
    steps: Annotated[int | None, Field(ge=2, le=10**6, description="how many values, both ends among them")] = None
    step: Annotated[Written | None, Field(description="from one value to the next; 1 for whole numbers")] = None
    factor: Annotated[float | None, Field(gt=1, le=10**6, strict=False, description="the next over the last")] = None
    scale: Annotated[Literal["linear", "log"], Field(description="how `steps` lie between the ends")] = "linear"


class StudyEnds(Strict):
    """The ends between which samples are drawn."""

    from_: Annotated[Written, Field(alias="from")]
    to: Written
    scale: Literal["linear", "log"] = "linear"


class StudyGroup(Strict):
    """Everything of one group of the catalogue, by name."""

    group: Text


def _values_tag(written: Any) -> str:
    """Which of the three forms an axis is meant to be in."""
    if isinstance(written, dict):
        return "group" if "group" in written else "range"
    return "list"


StudyValue = str | bool | int | float
StudyValues = Annotated[
    Annotated[list[StudyValue], Field(min_length=1), Tag("list")]
    | Annotated[StudyRange, Tag("range")]
    | Annotated[StudyGroup, Tag("group")],
    Discriminator(_values_tag),
]
_STUDY_NAMES = ("chip", "model", "fabric", "stack", "engine", "precision")
_STUDY_WHOLE = ("count", "tokens", "global_batch", "seq_len", "input_len", "output_len", "batch")
_STUDY_PLAN = tuple(dict.fromkeys((*records.Plan._fields, *records.ServingPlan._fields)))
_STUDY_NUMBER = r"^(chip|engine|job|kernels|link|stack)\.[a-z0-9_.]+$"
STUDY_AXES = (*_STUDY_NAMES, *_STUDY_WHOLE, *_STUDY_PLAN)
_AXIS_NAMES: dict[str, Any] = {"propertyNames": {"anyOf": [{"enum": list(STUDY_AXES)}, {"pattern": _STUDY_NUMBER}]}}
_NUMBER_NAMES: dict[str, Any] = {"propertyNames": {"pattern": _STUDY_NUMBER}}


class StudySamples(Strict):
    """Numbers drawn together: one more axis, the fastest."""

    method: Literal["sobol", "latin-hypercube"]
    n: Annotated[int, Field(ge=1, le=2**24)]
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    axes: Annotated[dict[str, StudyEnds], Field(min_length=1, max_length=100, json_schema_extra=_NUMBER_NAMES)]


class Study(Strict):
    """A study: axes whose product are the points, and what to keep of each."""

    sources: ClassVar[dict[str, str]] = {}

    schema_: Annotated[Literal["clustercast.study/1"], Field(alias="schema")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    about: Literal["training", "serving"]
    axes: Annotated[
        dict[str, StudyValues],
        Field(min_length=1, max_length=60, description="the first varies slowest", json_schema_extra=_AXIS_NAMES),
    ]
    samples: StudySamples | None = None
    fixed: Annotated[
        dict[str, StudyValue], Field(description="one value for any name of an axis", json_schema_extra=_AXIS_NAMES)
    ] = {}
    where: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=1000)]],
        Field(max_length=100, description="conditions on names of axes, as SQL expressions; all have to hold"),
    ] = []
    optimise: Annotated[
        Literal["nothing", "plan"], Field(description="plan: what axes and fixed leave open of it is searched")
    ] = "nothing"
    outputs: Annotated[list[Text], Field(min_length=1, max_length=100)] = []
    keep: Annotated[Literal["legal", "fitting", "all"], Field(description="which points are written")] = "legal"
    part_size: Annotated[int | None, Field(ge=1, le=2**22, description="points of one file")] = None


MODELS: dict[str, type[Strict]] = {"chip": Chip, "fabric": Fabric, "model": Model}
READ: dict[str, type[Strict]] = MODELS | {"calibration": Calibration, "study": Study}  # in no folder of the catalogue


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema by kind of file, as docs/schemas holds them."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {kind: dialect | model.model_json_schema() for kind, model in READ.items()}


def write_json_schemas(folder: Path) -> None:
    """Write docs/schemas/<kind>.schema.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, made in json_schemas().items():
        (folder / f"{kind}.schema.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def validate(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """Checked plain data of one file; UnfitError where it is wrong."""
    try:
        checked = READ[kind].model_validate(data)
    except ValidationError as error:
        raise _unfit(error, READ[kind]) from None
    for place, message in (*_sources(checked, ()), *_TOGETHER[kind](checked)):
        raise UnfitError(place, message)
    plain: dict[str, Any] = _plain(checked)
    return plain


def _plain(value: Any) -> Any:
    """Quantities as lists, mappings without what is absent."""
    if isinstance(value, Quantity):
        return value.plain()
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


# what several fields say together: places and messages


def _sources(checked: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every `source` that is no key of the file's sources."""
    known = checked.sources

    def walk(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
        if isinstance(value, BaseModel):
            value = {name: getattr(value, name) for name in type(value).model_fields}
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("source", "n_cores_source") and item is not None and item not in known:
                    keys = ", ".join(each if each.isprintable() else ascii(each) for each in known)
                    yield (*place, key), f"{item!r} is not in sources, expected one of {keys}"
                elif key != "sources":
                    yield from walk(item, (*place, key))
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(item, (*place, index))

    return walk(checked, place)


def _chip_together(chip: Any) -> Iterator[tuple[Place, str]]:
    yield from _names(chip)
    own = chip.scale_up
    if own is not None and own.quoted is not None:
        quoted, usable = own.quoted.plain()[0], own.per_direction.plain()[0]
        share = 2 if own.direction == "both" else 1
        if usable * share > 1.001 * quoted:
            allowed = f"half of quoted ({own.quoted.value})" if share == 2 else f"quoted ({own.quoted.value})"
            yield ("scale_up", "per_direction"), f"{own.per_direction.value} is more than {allowed}"


def _fabric_together(fabric: Any) -> Iterator[tuple[Place, str]]:
    yield from _names(fabric)
    own = fabric.scale_up
    if own.shape == "torus":
        if own.n_axes is None or own.axis_chips is None:
            yield ("scale_up",), "is a torus, expected n_axes and axis_chips"
        elif own.axis_chips**own.n_axes > own.n_chips:
            place = ("scale_up", "axis_chips")
            yield place, f"{own.axis_chips} on each of {own.n_axes} axes is more than n_chips ({own.n_chips})"
    elif own.n_axes is not None or own.axis_chips is not None:
        yield ("scale_up",), f"is a {own.shape}, expected no n_axes and axis_chips"
    if own.shape == "cube-mesh" and own.pair_fraction is None:
        yield ("scale_up",), "is a cube-mesh, expected pair_fraction"
    if fabric.package is not None and own.n_chips % fabric.package.n_chips:
        yield (
            ("package", "n_chips"),
            f"{fabric.package.n_chips} does not divide scale_up.n_chips ({own.n_chips})",
        )
    if fabric.spine.oversubscription.plain()[0] < 1:
        yield ("spine", "oversubscription"), "is less than 1"


def _names(profile: Any) -> Iterator[tuple[Place, str]]:
    for index, alias in enumerate(profile.aliases):
        if alias in profile.aliases[:index] or alias == profile.name.lower():
            yield ("aliases", index), f"{alias!r} is there twice"


def _model_together(model: Any) -> Iterator[tuple[Place, str]]:
    yield from _names(model)
    for place, message in _shape(model.architecture):
        yield ("architecture", *place), message


def _shape(shape: Architecture) -> Iterator[tuple[Place, str]]:
    for field in shape.unverified:
        if field not in Architecture.model_fields:
            yield ("unverified",), f"{field!r} is not a field of architecture"
    if shape.attention == "mla":
        yield from _needed(shape, "attention is mla", "kv_lora", "qk_nope_dim", "qk_rope_dim", "v_head_dim")
    else:
        if shape.head_dim is None and shape.hidden % shape.heads:
            yield ("heads",), f"{shape.heads} does not divide hidden ({shape.hidden}), expected head_dim"
        if shape.kv_heads is not None and shape.heads % shape.kv_heads:
            yield ("kv_heads",), f"{shape.kv_heads} does not divide heads ({shape.heads})"
    if shape.experts is None:
        yield from _unwanted(
            shape, "there are no experts", "experts_per_token", "expert_ffn", "shared_ffn", "moe_layers", "n_groups"
        )
        yield from _needed(shape, "there are no experts", "ffn")
    else:
        yield from _experts(shape, shape.experts)
    if shape.window_layers:
        yield from _needed(shape, "there are window_layers", "window")
    if shape.linear_layers:
        yield from _needed(shape, "there are linear_layers", "linear_v_heads", "linear_k_dim", "linear_v_dim")
        yield from _needed(shape, "there are linear_layers", "linear_params_per_layer")
    if shape.index_heads or shape.index_dim or shape.index_topk:
        yield from _needed(shape, "there is an index", "index_heads", "index_dim", "index_topk")
    n_mixers = (shape.window_layers or 0) + (shape.linear_layers or 0) + (shape.full_attention_layers or 0)
    if n_mixers > shape.layers:
        yield ("layers",), f"{shape.layers} is less than its attention and linear layers ({n_mixers})"
    n_mlps = (shape.moe_layers or 0) + (shape.dense_layers or 0)
    if n_mlps > shape.layers:
        yield ("layers",), f"{shape.layers} is less than its dense and expert layers ({n_mlps})"


def _experts(shape: Architecture, n_experts: int) -> Iterator[tuple[Place, str]]:
    yield from _needed(shape, "there are experts", "experts_per_token", "expert_ffn")
    if shape.experts_per_token is not None and shape.experts_per_token > n_experts:
        yield ("experts_per_token",), f"{shape.experts_per_token} is more than experts ({n_experts})"
    if (shape.first_dense_layers or 0) > shape.layers:
        yield ("first_dense_layers",), f"{shape.first_dense_layers} is more than layers ({shape.layers})"
    if (shape.n_groups is None) != (shape.top_groups is None):
        yield ("n_groups",), "has no meaning without top_groups, expected both or neither"
    if shape.n_groups is not None and shape.top_groups is not None:
        if shape.top_groups > shape.n_groups:
            yield ("top_groups",), f"{shape.top_groups} is more than n_groups ({shape.n_groups})"
        if n_experts % shape.n_groups:
            yield ("n_groups",), f"{shape.n_groups} does not divide experts ({n_experts})"
    if (shape.first_dense_layers or shape.dense_layers or (shape.moe_every or 1) > 1) and shape.ffn is None:
        yield (), "has dense layers, expected ffn"


def _needed(shape: Architecture, because: str, *fields: str) -> Iterator[tuple[Place, str]]:
    for field in fields:
        if getattr(shape, field) is None:
            yield (), f"{because}, expected {field}"


def _unwanted(shape: Architecture, because: str, *fields: str) -> Iterator[tuple[Place, str]]:
    for field in fields:
        if getattr(shape, field):
            yield (field,), f"is given but {because}"


def _nothing_together(_: Any) -> Iterator[tuple[Place, str]]:
    yield from ()


_TOGETHER = {
    "chip": _chip_together,
    "fabric": _fabric_together,
    "model": _model_together,
    "calibration": _nothing_together,
    "study": _nothing_together,
}


# pydantic's words to ours


def _unfit(error: ValidationError, model: type[Strict]) -> UnfitError:
    """The first thing that pydantic found, a misspelt field before a missing one."""
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    first = found[0]
    place = _field_place(first)
    more = len({_field_place(each) for each in found}) - 1
    hint = f"{more} more field{'s are' if more > 1 else ' is'} wrong in this file" if more else None
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), _field_names(model, place[:-1]), n=1)
        return UnfitError(place, "is not a known field", f"did you mean {near[0]}?" if near else hint)
    return UnfitError(place, _words(first), hint)


_BRANCHES = ("str", "int", "float", "bool", "constrained-int", "literal['qkv','attention']", "[key]")


def _field_place(error: Any) -> Place:
    """The place in the file: pydantic also names the branch of a union at its end, which is in no file."""
    place: Place = error["loc"]
    if error["type"] in ("extra_forbidden", "missing"):
        return place
    while len(place) > 1 and place[-1] in _BRANCHES:
        place = place[:-1]
    return place


def _field_names(model: type[BaseModel], place: Place) -> list[str]:
    """The fields that a mapping at this place may have."""
    here: type[BaseModel] | None = model
    for step in place:
        if here is None or step not in here.model_fields:
            return sorted({name for each in _nested(model) for name in _written_names(each)})
        here = next(iter(_classes(here.model_fields[str(step)].annotation)), None)
    return _written_names(here) if here is not None else []


def _written_names(model: type[BaseModel]) -> list[str]:
    """The fields of a mapping as files spell them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _nested(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in _classes(field.annotation):
            yield from _nested(inner)


def _classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _classes(inner)


def _words(error: Any) -> str:
    """What is wrong and what was expected, in our words."""
    kind, context, given = error["type"], error.get("ctx", {}), error.get("input")
    shown = repr(given)[:60] if isinstance(given, (str, int, float, bool)) else f"a {_yaml_name(given)}"
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"{shown} is not known, expected {context['expected'].replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "string_pattern_mismatch":
        return f"{shown} is not well formed, expected {_PATTERNS.get(context['pattern'], context['pattern'])}"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return f"{shown} is out of range, expected {re.sub('^input should be ', '', error['msg'].lower())}"
    if kind == "string_unicode":
        return f"is {ascii(given)[:60]}, expected text that a file can hold"
    if len(error["loc"]) > 1 and error["loc"][-1] in _BRANCHES and error["loc"][-2] in ("value", "low", "high"):
        return f"is {shown}, expected a quantity as its source writes it"
    if kind in _TYPES:
        return f"is {shown}, expected {_TYPES[kind]}"
    return f"is {shown}: {error['msg'][:1].lower()}{error['msg'][1:]}"


_TYPES = {
    "string_type": "text",
    "string_too_short": "text",
    "string_too_long": "a shorter text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least one",
}
_PATTERNS = {
    r"^[A-Za-z0-9._-]{1,64}$": "1 to 64 letters, digits, dots, dashes or underscores",
    r"^[a-z0-9._-]{1,64}$": "1 to 64 lower-case letters, digits, dots, dashes or underscores",
    r"^[0-9]{4}(-[0-9]{2}){0,2}$": "a date such as 2023-11",
}


def _yaml_name(given: Any) -> str:
    return {dict: "mapping", list: "list", type(None): "null"}.get(type(given), type(given).__name__)
