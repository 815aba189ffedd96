"""What an estimate holds: inputs, plan, every term in seconds, the bracket, memory, what limits, assumptions."""

from dataclasses import asdict, dataclass
from typing import Any

from clustercast.display import Notebook

Scalar = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number that the answer rests on and nobody was asked for."""

    name: str
    value: Scalar
    kind: str  # datasheet, measured, reported, fitted, assumed
    source: str
    low: Scalar = None
    high: Scalar = None
    days_low: float | None = None  # training days with this alone at one end of its range, the plan unchanged
    days_high: float | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Exposed seconds of one step; they add up to `step_s`."""

    compute: float
    tp_comm: float
    cp_comm: float
    ep_comm: float
    pp_comm: float
    dp_comm: float
    bubble: float
    optimizer: float
    host: float
    straggler: float


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes that the fullest chip holds."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    workspace: float
    total: float
    capacity: float


@dataclass(frozen=True, slots=True)
class Elasticity:
    """d ln(throughput) / d ln(resource) at the fixed plan: what one per cent more of a resource buys, in per cent.

    Latency and host count as resources by their inverse; bubble is the share of time that it takes.
    """

    flops: float
    hbm_bandwidth: float
    hbm_capacity: float
    scale_up: float
    scale_out: float
    latency: float
    host: float
    bubble: float


@dataclass(frozen=True, slots=True)
class Search:
    """What the search looked at."""

    n_considered: int
    n_feasible: int
    rejected: dict[str, int]
    wall_s: float
    fixed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Money:
    """What a chip-hour costs, rented and owned, and where either number comes from."""

    rent_usd_per_chip_hour: float
    rent_basis: str
    own_usd_per_chip_hour: float
    own_basis: str
    capital_usd_per_chip: float  # all in: its share of host, network and storage


@dataclass(frozen=True, slots=True)
class Job:
    """What a training run is beside its steps: interruptions, spares, power, carbon, money."""

    interruptions: float  # expected while it runs
    between_interruptions_s: float
    checkpoint_interval_s: float
    checkpoints: float
    calendar: dict[str, float]  # shares: training, saving, repeating, restarting, waiting; they add up to 1
    spare_chips: int  # that keep the wait for repairs below the default share
    power_mw: float | None  # at the meter
    carbon_t: float | None
    rent_usd: float
    own_usd: float
    money: Money


@dataclass(frozen=True, slots=True)
class Training:
    """The training half of an estimate."""

    tokens: float
    days: float
    days_low: float
    days_high: float
    step_s: float
    step_s_low: float
    step_s_high: float
    step_s_bracket: tuple[float, float]
    tokens_per_s: float
    tokens_per_s_per_chip: float
    mfu: float
    mfu_bf16: float
    hfu: float
    plan: dict[str, Any]
    plan_text: str
    time_s: Terms
    memory_bytes: TrainingMemory
    limiting: str
    elasticity: Elasticity
    evidence: str
    stack: str
    movers: tuple[Assumption, ...]  # what the days rest on, what moves them most first
    goodput: float
    energy_mwh: float | None
    cost_usd: float | None
    price_basis: str
    job: Job
    search: Search


@dataclass(frozen=True, slots=True)
class ServingMemory:
    """Bytes per chip of a replica."""

    weights: float
    kv_cache: float
    workspace: float
    total: float
    capacity: float


@dataclass(frozen=True, slots=True)
class Serving:
    """The serving half of an estimate: one replica, repeated."""

    input_len: int
    output_len: int
    batch: int
    replicas: int
    batch_per_replica: int
    plan: dict[str, Any]
    ttft_ms: float
    ttft_ms_low: float
    ttft_ms_high: float
    tpot_ms: float
    tpot_ms_low: float
    tpot_ms_high: float
    output_tokens_per_s: float
    output_tokens_per_s_per_chip: float
    prefill_tokens_per_s_per_chip: float
    decode_time_ms: dict[str, float]
    prefill_time_ms: dict[str, float]
    memory_bytes: ServingMemory
    max_batch: int
    limiting_prefill: str
    limiting_decode: str
    elasticity: Elasticity
    elasticity_prefill: Elasticity
    evidence: str
    engine: str
    cost_usd_per_million_output_tokens: float | None


@dataclass(frozen=True, slots=True)
class Estimate(Notebook):
    """The whole answer. `as_dict` is the JSON of the stable interface; printing adds nothing."""

    chip: str
    chip_name: str
    count: int
    model: str
    model_name: str
    model_resolved_as: str
    fabric: str
    fabric_name: str
    total_params: float
    active_params: float
    seq_len: int
    precision: str
    serving_precision: str
    training: Training | None
    training_reason: str | None
    serving: Serving | None
    serving_reason: str | None
    assumptions: tuple[Assumption, ...]
    warnings: tuple[str, ...]
    calibration: tuple[str, ...] = ()  # what a user's own measurements changed

    @property
    def step_s(self) -> float | None:
        """Seconds of one optimizer step."""
        return self.training.step_s if self.training else None

    @property
    def tokens_per_s(self) -> float | None:
        """Training tokens per second of the whole cluster."""
        return self.training.tokens_per_s if self.training else None

    @property
    def terms(self) -> Terms | None:
        """Exposed seconds of a training step by cause."""
        return self.training.time_s if self.training else None

    def as_dict(self) -> dict[str, Any]:
        """The JSON document of the stable interface."""
        return {"schema": "clustercast.estimate/1"} | asdict(self)
