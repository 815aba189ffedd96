"""Published serving runs, one row each, as settings and layouts: what the accuracy table is made of.

A row is in the documented serving form (see CONTRIBUTING.md): models and chips are names of the catalogue.
"""

import math
import re
from typing import Final, NamedTuple

from clustercast import catalog, records
from clustercast.catalog import ChipProfile, build, constants
from clustercast.catalog import serving as serving_catalog
from clustercast.errors import ClustercastError, WrongInput
from clustercast.estimates import interval
from clustercast.physics.loop import closed_loop
from clustercast.physics.serving import decode_pool, in_flight_limit, prefill_pool, static_batch
from clustercast.studies.record import numbers
from clustercast.studies.record.numbers import ChipKey, kept
from clustercast.studies.record.outcome import CONTEXT, OK, UNSUPPORTED, Answer, Outcome, figure, size_class

NODE_CHIPS: Final = 8
INPUT_LEN: Final = 1024  # where a row states no lengths
OUTPUT_LEN: Final = 128
THIN_SLICE: Final = 129  # columns of an expert's slice below which experts are spread instead
WIDE_EP: Final = 32  # a pool of so many expert-parallel ranks is the decode half of a deployment with pools apart
GUESSING: Final = re.compile(r"\bMTP[ =-]?\d", re.IGNORECASE)
LOADS: Final = {"loop": closed_loop, "static": static_batch, "decode": decode_pool, "prefill": prefill_pool}
METRICS: Final = (
    "ttft_ms",
    "tpot_ms",
    "request_latency_ms",
    "total_tokens_per_s",
    "output_tokens_per_s",
    "output_tokens_per_s_per_chip",
    "output_tokens_per_s_per_user",
    "output_tokens_per_s_per_node",
    "prefill_tokens_per_s_per_chip",
    "prefill_tokens_per_s_per_node",
)


class Case(NamedTuple):
    """A row as the physics sees it: one worker's setting, job and layout, how it is loaded, and what is measured."""

    load: str  # loop, static, decode, prefill
    setting: records.ServingSetting
    job: records.ServingJob
    plan: records.ServingPlan
    workers: float  # equal workers of this kind
    n_chips: int
    metric: str
    engine: str
    settled: bool
    precision: str
    said: tuple[str, ...]


@kept
def known_model(name: str) -> records.Model:
    """The architecture that a row names."""
    return records.as_declared(numbers.model_of({"model": name}))


def model_of(row: dict[str, str]) -> records.Model:
    """The architecture of a row: its shape columns, or the one that it names."""
    if numbers.has_shape(row):
        return records.as_declared(numbers.model_of(row))
    return known_model(row.get("model") or "")


@kept
def usual_precision(model_name: str) -> str:
    """The usual recipe of a model of the catalogue; BF16 for one that is made of numbers."""
    try:
        return catalog.find_model(model_name).precision
    except ClustercastError:
        return "bf16"


@kept
def silicon_of(key: ChipKey, weight: str, expert: str, kv: str) -> serving_catalog.ServingSilicon:
    """The chip under the formats of a row."""
    return serving_catalog.silicon(numbers.chip(key), weight, expert, kv)


@kept
def engine_of(name: str, date: str, key: ChipKey) -> tuple[serving_catalog.EngineProfile, str]:
    """The engine that a row names, as it was at its date on its chip, and a remark if it is not known."""
    chip = numbers.chip(key)
    return serving_catalog.engine_of_row(name, date, chip.family, chip.name)


@kept
def cluster_of(key: ChipKey, n_chips: int) -> records.Cluster:
    """The chip's fabric, cut to a number of chips."""
    return build.cluster(numbers.chip(key), numbers.fabric(key), n_chips)


@kept
def assumed(field: str) -> float:
    """What is taken where a row leaves it open."""
    return constants.default("serving_record", field).value


@kept
def half_width(evidence: str, metric: str, *, mixture: bool, settled: bool) -> float:
    """Half width of the interval of a row's ln(time)."""
    purpose = {"ttft_ms": "ttft_interval", "tpot_ms": "tpot_interval"}.get(metric, "throughput_interval")
    width = interval.half_width(evidence, 1, mixture=mixture, purpose=purpose)
    return width if settled else width + constants.default(purpose, "unknown_engine").value


def count(row: dict[str, str], field: str, default: int) -> int:
    """A whole number of a row, at least 1, or the default where the cell is empty."""
    found = figure(row, field)
    return default if found is None else max(1, round(found))


def plan_of(row: dict[str, str], prefix: str, n_chips: int, model: records.Model) -> records.ServingPlan:
    """The layout of one worker; `prefix` is empty, prefill_ or decode_.

    Where nothing is stated TP takes all chips, up to a node; experts that are not stated to be parallel are sliced,
    except over attention ranks and where slices would be too thin for a matmul: there they are spread.
    """
    pp = count(row, f"{prefix}pp", 1)
    attention_dp = count(row, f"{prefix}attention_dp", 1)
    stated = figure(row, f"{prefix}tp")
    tp = max(1, round(stated)) if stated else max(1, min(n_chips // (pp * attention_dp), NODE_CHIPS))
    if model.n_moe_layers == 0:
        return records.ServingPlan(tp, pp, attention_dp, 1, 1)
    group = tp * attention_dp
    ep = min(count(row, f"{prefix}ep", group if attention_dp > 1 else 1), group)
    slices = max(1, group // ep)
    if attention_dp > 1 and model.expert_ffn < THIN_SLICE * slices:
        ep, slices = group, 1
    return records.ServingPlan(tp, pp, attention_dp, ep, slices)


def load_of(row: dict[str, str], engine: serving_catalog.EngineProfile, plan: records.ServingPlan) -> str:
    """How the figure of a row was taken.

    First tokens and tokens: under a closed loop, except by engines whose tables are of static batches. Latencies and
    rates: static batches. Prefill rates: prefill alone. Decode rates of a very wide expert-parallel pool, or per node:
    decode alone.
    """
    metric = row["metric"]
    if row.get("mode") == "disagg":
        return "prefill" if metric.startswith(("ttft", "prefill")) else "decode"
    if metric.startswith("prefill"):
        return "prefill"
    if metric in ("ttft_ms", "tpot_ms"):
        return engine.load
    if metric.startswith("output") and (plan.ep >= WIDE_EP or metric.endswith("node")):
        return "decode"
    if metric.endswith("user"):
        return "loop"
    return "static"


def formats_of(row: dict[str, str], usual: str, chip: ChipProfile) -> tuple[str, str, str]:
    """The formats of dense weights, experts and cache.

    Weights that are not stated: the model's usual recipe. A cache that is not stated: FP8 where the weights
    have 8 bits or fewer and the silicon has FP8, else 16 bits.
    """
    weight = row.get("weight_dtype") or ("fp8_block" if usual == "fp8-block" else "bf16")
    expert = row.get("moe_dtype") or weight
    kv = row.get("kv_dtype") or ""
    if not kv:
        small = expert in ("fp8", "fp8_block", "nvfp4", "mxfp4")
        kv = "fp8" if small and "fp8" in chip.peaks() else "bf16"
    return weight, expert, kv


def job_of(row: dict[str, str], batch: float) -> records.ServingJob:
    """The lengths of a row with `batch` requests at one worker; guessed tokens only where the row says so."""
    n_drafts, accepted = 0.0, 1.0
    if row.get("mtp") in ("likely", "yes") or GUESSING.search(row.get("notes") or ""):
        n_drafts, accepted = assumed("n_drafts"), assumed("accepted_tokens")
    lengths = count(row, "input_len", INPUT_LEN), count(row, "output_len", OUTPUT_LEN)
    waves = figure(row, "n_waves") or assumed("n_waves")
    return records.ServingJob(*lengths, max(1.0, batch), n_drafts, accepted, n_waves=waves)


def decoding_s(
    row: dict[str, str], setting: records.ServingSetting, job: records.ServingJob, n_clients: float
) -> float:
    """Time that a request of a row with pools apart spends in its decode pool."""
    workers = count(row, "decode_workers", 1)
    plan = plan_of(row, "decode_", count(row, "n_chips", 1), setting.model)
    done = decode_pool(setting, job._replace(batch=max(1.0, n_clients / workers)), plan)
    return (job.output_len - 1.0) * done.tpot_s


def case_of(row: dict[str, str]) -> Case:
    """A row as the physics sees it. Raises WrongInput where it says too little or what nobody knows.

    A row without a concurrency is taken to show what a full machine does.
    """
    metric = row.get("metric") or ""
    if metric not in METRICS:
        raise WrongInput(f"metric: expected one of {', '.join(METRICS)}, got {metric!r}")
    n_chips = count(row, "n_chips", 1)
    key = numbers.chip_key(row)
    model = model_of(row)
    engine, remark = engine_of(row.get("engine") or "", row.get("date") or "", key)
    weight, expert, kv = formats_of(row, usual_precision(row.get("model") or ""), numbers.chip(key))
    silicon = silicon_of(key, weight, expert, kv)
    said = (*silicon.said, remark) if remark else silicon.said
    apart = row.get("mode") == "disagg"
    prefix = ("prefill_" if metric.startswith(("ttft", "prefill")) else "decode_") if apart else ""
    plan = plan_of(row, prefix, n_chips, model)
    used = plan.tp * plan.pp * plan.attention_dp
    workers = float(count(row, f"{prefix}workers", 1)) if apart else max(1.0, n_chips // used)
    cluster = cluster_of(key, max(n_chips, used))
    batch = (figure(row, "concurrency") or 0.0) / workers
    if not batch and apart:
        batch = (figure(row, f"{prefix}batch") or 0.0) * plan.attention_dp
    job = job_of(row, batch)
    if job.n_drafts <= 0.0:
        model = model._replace(n_mtp_layers=0)
    setting = records.ServingSetting(silicon.chip, silicon.kernels, silicon.precision, engine.record, cluster, model)
    if not batch:
        job = job._replace(batch=float(math.floor(in_flight_limit(job._replace(batch=math.inf), setting, plan))))
        said = (*said, f"concurrency is not stated: {job.batch:,.0f} sequences fill each replica")
    if apart and prefix == "prefill_" and batch:
        job = job._replace(elsewhere_s=decoding_s(row, setting, job, batch * workers))
    precision = weight if expert == weight else f"{weight} + {expert} experts"
    return Case(
        load_of(row, engine, plan),
        setting,
        job,
        plan,
        workers,
        n_chips,
        metric,
        engine.name,
        engine.settled,
        f"{precision}, {kv} cache",
        said,
    )


def in_metric(case: Case, done: records.Load) -> float:
    """What a worker does, in the unit of the row's metric."""
    job = case.job
    requests_per_s = done.requests_per_s * case.workers
    n_chips = float(case.n_chips)
    output = requests_per_s * job.output_len
    values = {
        "ttft_ms": 1e3 * done.ttft_s,
        "tpot_ms": 1e3 * done.tpot_s,
        "request_latency_ms": 1e3 * done.latency_s,
        "total_tokens_per_s": requests_per_s * (job.input_len + job.output_len),
        "output_tokens_per_s": output,
        "output_tokens_per_s_per_chip": output / n_chips,
        "output_tokens_per_s_per_user": job.output_len / done.latency_s,
        "output_tokens_per_s_per_node": NODE_CHIPS * output / n_chips,
        "prefill_tokens_per_s_per_chip": requests_per_s * job.input_len / n_chips,
        "prefill_tokens_per_s_per_node": NODE_CHIPS * requests_per_s * job.input_len / n_chips,
    }
    return values[case.metric]


def answer_of(row: dict[str, str]) -> Answer:
    """What the model says of a row. Raises WrongInput where it cannot say anything."""
    case = case_of(row)
    done = LOADS[case.load](case.setting, case.job, case.plan)
    value = in_metric(case, done)
    evidence = interval.evidence_of(numbers.chip_of(row), "serving")
    mixture = case.setting.model.n_moe_layers > 0
    width = half_width(evidence, case.metric, mixture=mixture, settled=case.settled)
    low, high = interval.around(value, width)
    terms = {
        "compute": done.decode_compute_s,
        "weights": done.decode_weights_s,
        "kv_cache": done.decode_kv_s,
        "comm": done.decode_comm_s,
        "host": done.decode_host_s,
        "prefills_of_others": done.interference_s,
    }
    shown = ", ".join(f"{name}={value}" for name, value in case.plan._asdict().items() if value > 1)
    setup = {"engine": case.engine, "precision": case.precision, "plan": shown or "one chip"}
    if case.said:
        setup["said"] = "; ".join(case.said)
    kind = "mixture" if mixture else "dense"
    return Answer(value, low, high, evidence, terms, setup, size_class(case.n_chips), kind)


def outcome(row: dict[str, str]) -> Outcome:
    """A row of a file in the serving form, judged. Never raises for what the row says."""
    status, why, published, answer = OK, "", None, None
    try:
        published = figure(row, "value")
        answer = answer_of(row)
        if published is None or published <= 0.0:
            raise WrongInput("value: expected a positive number")
    except (ClustercastError, KeyError, ValueError, ZeroDivisionError, OverflowError) as error:
        status, why = UNSUPPORTED, str(error)
    if row.get("complete") != "yes":
        status, why = CONTEXT, why or "complete is not yes"
    return Outcome(
        row.get("id") or "",
        row.get("metric") or "",
        row.get("chip") or "",
        row.get("source") or "",
        published,
        answer,
        status,
        why,
    )
