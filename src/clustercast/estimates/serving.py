"""The serving half: one replica's layout, repeated, with the largest batch that keeps up."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from clustercast import records, units
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, improved_serving, limiting
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.estimates.question import Question
from clustercast.estimates.result import Serving, ServingMemory
from clustercast.physics.serving import (
    decode_pass,
    free_bytes,
    mean_cached_tokens,
    prompts_pass,
    rank_sequence_bytes,
    serve,
    serving_weights_bytes,
)
from clustercast.plans import rules
from clustercast.plans.search import divisors, powers_of_two

MOST_REPLICA_DOMAINS = 64
MOST_BATCH = 10_000_000
MOST_TIMES_SMALLEST = 8
CAPACITY_STEP = 1.1
SLOWER_THAN_ALONE = 1.25  # a batch may slow a token by this where even one sequence misses the objective


def job_of(question: Question, batch: float) -> records.ServingJob:
    """A question's lengths with so many sequences in flight on one replica; no token is guessed."""
    return records.ServingJob(question.input_len, question.output_len, float(batch), 0.0, 1.0)


def layouts(n_chips: int, model: records.Model, domain: int) -> Iterator[records.ServingPlan]:
    """Every way to lay one replica over `n_chips`.

    TP divides the scale-up domain; the rest pipelines, or for mixtures of experts attention data parallelism,
    with the experts over tp x attention_dp and an expert sliced inside the domain at most.
    """
    for tp in divisors(n_chips, min(domain, n_chips)):
        if rules.tp_rule(tp, model) or domain % tp:
            continue
        for pp in divisors(n_chips // tp, model.n_layers):
            attention_dp = n_chips // tp // pp
            if model.n_moe_layers == 0:
                if attention_dp == 1:
                    yield records.ServingPlan(tp, pp, 1, 1, 1)
                continue
            group = tp * attention_dp
            ep = math.gcd(group, model.n_experts)
            for experts, slices in {(ep, group // ep), (1, group)} if attention_dp == 1 else {(ep, group // ep)}:
                if domain % slices == 0 and model.expert_ffn % slices == 0:
                    yield records.ServingPlan(tp, pp, attention_dp, experts, slices)


def sizes(count: int, domain: int) -> list[int]:
    """Replica sizes to try, ascending: what divides a scale-up domain, then 2, 3, 4, 6, 8, 12 ... whole domains."""
    most = min(count // domain, MOST_REPLICA_DOMAINS)
    domains = sorted({n for power in powers_of_two(most) for n in (power, 3 * power // 2) if 1 < n <= most})
    return divisors(domain, count) + [domain * n for n in domains]


def held_bytes(setting: records.ServingSetting, plan: records.ServingPlan, job: records.ServingJob) -> float:
    """Bytes on one chip of a replica with so many sequences at their full length, as `physics.serving.serve` counts."""
    sequence_bytes = rank_sequence_bytes(float(job.input_len + job.output_len), setting, plan)
    kv_bytes = math.ceil(job.batch / plan.attention_dp) * sequence_bytes
    return serving_weights_bytes(setting, plan) + kv_bytes + setting.engine.workspace_bytes


def token_s(setting: records.ServingSetting, plan: records.ServingPlan, job: records.ServingJob) -> float:
    """Seconds of a decode step that guesses nothing."""
    return decode_pass(job.batch, 1.0, mean_cached_tokens(job), setting, plan).total_s


def largest_batch(setting: records.ServingSetting, question: Question, plan: records.ServingPlan, tpot_s: float) -> int:
    """The most sequences on one replica that fit and keep TPOT under `tpot_s`; 0 if one is too many.

    A larger batch never makes a token faster, so the ends close in on it.
    """
    job = job_of(question, 1)
    sequence_bytes = rank_sequence_bytes(float(job.input_len + job.output_len), setting, plan)
    most = math.floor(free_bytes(setting, plan) / sequence_bytes) * float(plan.attention_dp)
    fitting = int(min(most, MOST_BATCH))

    def time_s(batch: int) -> float:
        return token_s(setting, plan, job._replace(batch=float(batch)))

    if fitting < 1:
        return 0
    low, low_s = 1, time_s(1)
    if low_s > tpot_s:
        return 0
    high, high_s = fitting, time_s(fitting)
    if high_s <= tpot_s:
        return fitting
    straight = True  # a line between the ends first; where that hardly helps, the middle
    while high - low > 1:
        width = high - low
        share = (tpot_s - low_s) / (high_s - low_s) if straight else 0.5
        guess = min(max(low + int(share * width), low + 1), high - 1)
        guess_s = time_s(guess)
        if guess_s <= tpot_s:
            low, low_s = guess, guess_s
        else:
            high, high_s = guess, guess_s
        straight = high - low <= 0.5 * width or not straight
    return low


class Held(NamedTuple):
    """A replica's layout that is not searched again."""

    size: int  # chips
    plan: records.ServingPlan


def objective_s(question: Question) -> float:
    """The TPOT that the largest batch keeps to."""
    return question.asked.tpot_s or constants.default("serving", "tpot_s").value


def choose(
    question: Question, setting: records.ServingSetting, held: Held | None = None
) -> tuple[records.ServingPlan, int, int, str]:
    """The plan of a replica, its size, the batch per replica and a remark.

    Without a batch the layout that decodes most tokens per chip within the default TPOT, at the largest batch that
    fits and holds it; with one, the layout that decodes it fastest when it is spread over all chips. Sizes from the
    smallest that holds the model to eight times that; of equals the smaller. Raises WrongInput for a layout that is
    held and cannot be.
    """
    model = setting.model
    domain = setting.cluster.scale_up.n_chips
    if held is not None and (held.size > question.n_chips or held.plan not in layouts(held.size, model, domain)):
        raise WrongInput(f"a replica of {held.size:,} chips cannot be laid out so for {question.model.name}")
    limit_s = objective_s(question)
    capacity_bytes = (setting.chip.hbm_bytes - setting.chip.reserved_bytes) * setting.engine.memory_fraction
    best: tuple[float, records.ServingPlan, int, int] | None = None
    slow: tuple[float, records.ServingPlan, int, int] | None = None
    least = math.inf
    smallest = 0
    for size in sizes(question.n_chips, domain) if held is None else [held.size]:
        if smallest and size > MOST_TIMES_SMALLEST * smallest:
            break
        replicas = question.n_chips // size
        batch = math.ceil(question.asked.batch / replicas) if question.asked.batch else 1
        for plan in layouts(size, model, domain) if held is None else [held.plan]:
            job = job_of(question, batch)
            needed_bytes = held_bytes(setting, plan, job)
            least = min(least, needed_bytes)
            if needed_bytes > capacity_bytes:
                continue
            smallest = smallest or size
            tpot_s = token_s(setting, plan, job)
            if slow is None or tpot_s < slow[0]:
                slow = (tpot_s, plan, size, batch)
            if question.asked.batch or tpot_s > limit_s:
                continue
            largest = largest_batch(setting, question, plan, limit_s)
            if largest:
                rate = largest / token_s(setting, plan, job._replace(batch=float(largest))) * replicas
                if best is None or rate > best[0]:
                    best = (rate, plan, size, largest)
    if slow is None:
        raise too_large(question, setting, least)
    if best is not None:
        return best[1], best[2], best[3], ""
    if question.asked.batch:
        return slow[1], slow[2], slow[3], ""
    near_s = SLOWER_THAN_ALONE * slow[0]
    batch = largest_batch(setting, question, slow[1], near_s)
    remark = (
        f"no layout keeps TPOT under {1e3 * limit_s:.0f} ms: one sequence alone takes {1e3 * slow[0]:.0f} ms, "
        f"so the batch is what keeps it under {1e3 * near_s:.0f} ms"
    )
    return slow[1], slow[2], batch, remark


def too_large(question: Question, setting: records.ServingSetting, least: float) -> NoAnswer:
    """The answer when no replica holds the model."""
    capacity = (setting.chip.hbm_bytes - setting.chip.reserved_bytes) * setting.engine.memory_fraction
    domain = setting.cluster.scale_up.n_chips
    smallest = None
    for size in sizes(domain * MOST_REPLICA_DOMAINS, domain):
        job = job_of(question, question.asked.batch or 1)
        fitting = (serve(setting, job, plan) for plan in layouts(size, setting.model, domain))
        if size > question.n_chips and any(done.memory_bytes <= done.capacity_bytes for done in fitting):
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


def capacity_elasticity(
    question: Question,
    setting: records.ServingSetting,
    plan: records.ServingPlan,
    tokens_per_s: float,
) -> float:
    """What a tenth more memory buys in decoded tokens, where the batch grows into it within the default TPOT."""
    limit_s = objective_s(question)
    larger = improved_serving(setting, "hbm_capacity", CAPACITY_STEP)
    batch = largest_batch(larger, question, plan, limit_s)
    job = job_of(question, batch)
    more = serve(larger, job, plan).output_tokens_per_s
    return max(0.0, math.log(more / tokens_per_s) / math.log(CAPACITY_STEP))


def serve_estimate(question: Question, held: Held | None = None) -> tuple[Serving, str]:
    """The serving half of an estimate, and a remark where the default objective is out of reach."""
    setting = question.serving_setting()
    plan, size, batch, remark = choose(question, setting, held)
    replicas = question.n_chips // size
    job = job_of(question, batch)
    done = serve(setting, job, plan)

    capacity = 0.0
    if not question.asked.batch and not remark:
        capacity = capacity_elasticity(question, setting, plan, done.output_tokens_per_s)
    decode = elasticity(
        lambda resource, factor: token_s(improved_serving(setting, resource, factor), plan, job), capacity=capacity
    )
    prefill = elasticity(
        lambda resource, factor: prompts_pass(1.0, 1.0, job, improved_serving(setting, resource, factor), plan).total_s
    )
    evidence = interval.evidence_of(question.chip, "serving")
    mixture = question.record.n_moe_layers > 0
    width, first_width = (
        interval.half_width(evidence, size, mixture=mixture, purpose=purpose)
        + (0.0 if question.engine.settled else constants.default(purpose, "unknown_engine").value)
        for purpose in ("tpot_interval", "ttft_interval")
    )
    tpot_low, tpot_high = interval.around(done.tpot_s, width)
    ttft_low, ttft_high = interval.around(done.ttft_s, first_width)
    usd_per_h, _ = usd_per_chip_hour(question)
    total = question.asked.batch or batch * replicas
    per_chip = total / done.tpot_s / question.n_chips
    prefill_per_chip = done.prefill_tokens_per_s * replicas / question.n_chips
    chip_s_per_token = 1.0 / per_chip + question.input_len / question.output_len / prefill_per_chip
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
        output_tokens_per_s_per_chip=per_chip,
        prefill_tokens_per_s_per_chip=prefill_per_chip,
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
        evidence=evidence,
        engine=question.engine.name,
        cost_usd_per_million_output_tokens=usd_per_h / 3600.0 * chip_s_per_token * 1e6,
    )
    return result, remark
