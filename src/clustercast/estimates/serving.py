"""The serving half: the smallest replica that fits, repeated, with the largest batch that keeps up."""

import math
from collections.abc import Iterator

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.errors import NoAnswer
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, limiting
from clustercast.estimates.question import Question
from clustercast.estimates.result import Serving, ServingMemory
from clustercast.estimates.training import rent
from clustercast.physics.serving import serve
from clustercast.plans import rules
from clustercast.plans.search import divisors

MOST_REPLICA_DOMAINS = 64


def engine_record(engine: constants.Engine) -> records.Engine:
    """The engine's constants as the physics sees them."""
    return records.as_declared(
        records.Engine(**{name: engine.constants[name].value for name in records.Engine._fields})
    )


def layouts(n_chips: int, model: records.Model, domain: int) -> Iterator[records.ServingPlan]:
    """Every way to lay one replica over `n_chips`.

    TP inside the scale-up domain; the rest pipelines, or for mixtures of experts attention data parallelism,
    with the experts over tp x attention_dp.
    """
    for tp in divisors(n_chips, min(domain, n_chips)):
        if rules.tp_broken(tp, model):
            continue
        for pp in divisors(n_chips // tp, model.n_layers):
            attention_dp = n_chips // tp // pp
            if model.n_moe_layers == 0:
                if attention_dp == 1:
                    yield records.ServingPlan(tp, pp, 1, 1, 1)
                continue
            group = tp * attention_dp
            ep = math.gcd(group, model.n_experts)
            if model.expert_ffn % (group // ep) == 0:
                yield records.ServingPlan(tp, pp, attention_dp, ep, group // ep)
            if attention_dp == 1 and ep > 1 and model.expert_ffn % group == 0:
                yield records.ServingPlan(tp, pp, 1, 1, group)


def sizes(count: int, domain: int) -> list[int]:
    """Replica sizes to try, ascending: parts of a domain, then whole domains."""
    inside = [size for size in range(1, min(domain, count) + 1) if domain % size == 0 or size % 2 == 0]
    beyond = [domain * n for n in range(2, min(count // domain, MOST_REPLICA_DOMAINS) + 1)]
    return inside + beyond


def largest_batch(
    setting: records.Setting, question: Question, plan: records.ServingPlan, engine: records.Engine, tpot_s: float
) -> int:
    """The most sequences on one replica that fit and keep TPOT under `tpot_s`; 0 if one is too many."""

    def holds(batch: int) -> bool:
        job = records.ServingJob(question.input_len, question.output_len, float(batch))
        done = serve(setting, job, plan, engine)
        return done.memory_bytes <= done.capacity_bytes and done.tpot_s <= tpot_s

    if not holds(1):
        return 0
    low, high = 1, 2
    while holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def choose(
    question: Question, setting: records.Setting, engine: records.Engine
) -> tuple[records.ServingPlan, int, int, str]:
    """The plan of a replica, its size, the batch per replica and a remark.

    The smallest replica that holds the weights and its share of the batch; among its layouts the one that is
    fastest at that batch. Without a batch, the layout that serves most tokens within the default TPOT.
    """
    model = setting.model
    domain = setting.cluster.scale_up.n_chips
    limit_s = constants.default("serving", "tpot_s").value
    fallback: tuple[float, records.ServingPlan, int, int] | None = None
    least = math.inf
    for size in sizes(question.n_chips, domain):
        replicas = question.n_chips // size
        options: list[tuple[float, records.ServingPlan, int]] = []
        for plan in layouts(size, model, domain):
            batch = math.ceil(question.asked.batch / replicas) if question.asked.batch else 1
            job = records.ServingJob(question.input_len, question.output_len, float(batch))
            done = serve(setting, job, plan, engine)
            least = min(least, done.memory_bytes)
            if done.memory_bytes > done.capacity_bytes:
                continue
            if question.asked.batch:
                options.append((done.tpot_s, plan, batch))
                continue
            batch = largest_batch(setting, question, plan, engine, limit_s)
            if batch:
                job = job._replace(batch=float(batch))
                options.append((-serve(setting, job, plan, engine).output_tokens_per_s, plan, batch))
            elif fallback is None or done.tpot_s < fallback[0]:
                fallback = (done.tpot_s, plan, size, 1)
        if options:
            _, plan, batch = min(options, key=lambda option: option[0])
            return plan, size, batch, ""
    if fallback is not None:
        slowest_ms = 1e3 * fallback[0]
        remark = f"no layout keeps TPOT under {1e3 * limit_s:.0f} ms: batch 1 takes {slowest_ms:.0f} ms"
        return fallback[1], fallback[2], fallback[3], remark
    raise too_large(question, setting, engine, least)


def too_large(question: Question, setting: records.Setting, engine: records.Engine, least: float) -> NoAnswer:
    """The answer when no replica holds the model."""
    capacity = (setting.chip.hbm_bytes - setting.chip.reserved_bytes) * engine.memory_fraction
    domain = setting.cluster.scale_up.n_chips
    smallest = None
    job = records.ServingJob(question.input_len, question.output_len, 1.0)
    for size in sizes(domain * MOST_REPLICA_DOMAINS, domain):
        fitting = (serve(setting, job, plan, engine) for plan in layouts(size, setting.model, domain))
        if any(done.memory_bytes <= done.capacity_bytes for done in fitting):
            smallest = size
            break
    return NoAnswer(
        f"serving {question.model.name} does not fit {question.n_chips:,} x {question.chip.name}: the layout that "
        f"needs least takes {units.gib(least)} per chip, {units.gib(capacity)} are available",
        hint=f"{smallest:,} {question.chip.name} would do" if smallest else None,
        numbers={
            "needed_bytes": least if math.isfinite(least) else None,
            "available_bytes": capacity,
            "count": question.n_chips,
            "smallest_count": smallest,
        },
    )


def serve_estimate(question: Question) -> tuple[Serving, str]:
    """The serving half of an estimate, and a remark where the default objective is out of reach."""
    setting = question.serving_setting()
    engine = engine_record(question.engine)
    plan, size, batch, remark = choose(question, setting, engine)
    replicas = question.n_chips // size
    job = records.ServingJob(question.input_len, question.output_len, float(batch))
    done = serve(setting, job, plan, engine)
    decode = elasticity(setting, lambda other: serve(other, job, plan, engine).tpot_s)
    prefill = elasticity(setting, lambda other: serve(other, job, plan, engine).ttft_s)
    width = interval.half_width(
        question.silicon.evidence, size, mixture=question.record.n_moe_layers > 0, purpose="serving_interval"
    )
    first_width = width + constants.default("serving_interval", "first_token").value
    tpot_low, tpot_high = interval.around(done.tpot_s, width)
    ttft_low, ttft_high = interval.around(done.ttft_s, first_width)
    usd_per_h, _ = rent(question)
    per_chip = done.output_tokens_per_s / size
    total = question.asked.batch or batch * replicas
    result = Serving(
        input_len=question.input_len,
        output_len=question.output_len,
        batch=total,
        replicas=replicas,
        batch_per_replica=batch,
        plan=plan._asdict() | {"chips": size, "idle": question.n_chips - replicas * size},
        ttft_ms=1e3 * done.ttft_s,
        ttft_ms_low=1e3 * ttft_low,
        ttft_ms_high=1e3 * ttft_high,
        tpot_ms=1e3 * done.tpot_s,
        tpot_ms_low=1e3 * tpot_low,
        tpot_ms_high=1e3 * tpot_high,
        output_tokens_per_s=total / done.tpot_s,
        output_tokens_per_s_per_chip=total / done.tpot_s / question.n_chips,
        prefill_tokens_per_s_per_chip=done.prefill_tokens_per_s * replicas / question.n_chips,
        decode_time_ms={
            "compute": 1e3 * done.decode_compute_s,
            "weights": 1e3 * done.decode_weights_s,
            "kv_cache": 1e3 * done.decode_kv_s,
            "comm": 1e3 * done.decode_comm_s,
            "host": 1e3 * done.decode_host_s,
        },
        prefill_time_ms={
            "compute": 1e3 * done.prefill_compute_s,
            "comm": 1e3 * done.prefill_comm_s,
            "host": 1e3 * done.prefill_host_s,
        },
        memory_bytes=ServingMemory(
            weights=done.weights_bytes,
            kv_cache=done.kv_bytes,
            workspace=done.workspace_bytes,
            total=done.memory_bytes,
            capacity=done.capacity_bytes,
        ),
        max_batch=int(done.max_batch) * replicas,
        limiting_prefill=limiting(prefill),
        limiting_decode=limiting(decode),
        elasticity=decode,
        elasticity_prefill=prefill,
        evidence=question.silicon.evidence,
        engine=question.engine.name,
        cost_usd_per_million_output_tokens=usd_per_h / 3600.0 / per_chip * 1e6,
    )
    return result, remark
