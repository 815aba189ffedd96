"""The training half: the best plan (or the given one), its step, and the job that it makes."""

import math
import time

from clustercast import records, units
from clustercast.catalog import constants, overlay
from clustercast.errors import NoAnswer, Number, WrongInput
from clustercast.estimates import interval
from clustercast.estimates.elasticity import elasticity, improved, limiting
from clustercast.estimates.influence import movers
from clustercast.estimates.job import goodput_of, job_of, usd_per_chip_hour
from clustercast.estimates.question import Question
from clustercast.estimates.result import Search, Terms, Training, TrainingMemory
from clustercast.physics.job import energy_j, rent_usd, training_s
from clustercast.physics.training import training_step
from clustercast.plans import rules, search, text

NEEDED = ("tp", "pp", "dp")
MOST_MOVERS = 12


def choose(question: Question, fixed: dict[str, int], *, compiled: bool | None = None) -> tuple[records.Plan, Search]:
    """The plan to answer for: the fastest that fits, with what the user fixed held.

    Raises WrongInput when what is fixed breaks a rule, NoAnswer with the numbers when nothing fits.
    """
    started = time.perf_counter()
    setting = question.setting()
    if all(name in fixed for name in NEEDED) and text.ANY not in fixed.values():
        plan = given(setting, fixed)
        broken = rules.first_broken(plan, setting.model, setting.job, question.n_chips)
        if broken:
            raise WrongInput(f"--plan: {broken}", hint=suggestion(setting, fixed, question.n_chips))
        if "micro_batch" in fixed and "recompute" in fixed and "zero" in fixed:
            step = training_step(setting, plan)
            if step.memory_bytes > step.capacity_bytes:
                raise too_large(question, plan, fixed, step.memory_bytes, step.capacity_bytes, "the given plan")
            return plan, Search(1, 1, {}, time.perf_counter() - started, text.in_words(fixed))
    check_fixed(setting, fixed, question.n_chips)
    found = search.fastest(setting, question.n_chips, fixed, compiled=compiled)
    wall_s = time.perf_counter() - started
    if not found.plans:
        if found.least_plan is None:
            raise WrongInput(
                f"--plan: no legal plan for {question.n_chips:,} chips holds {_shown(fixed)}",
                hint=suggestion(setting, fixed, question.n_chips),
            )
        capacity = setting.chip.hbm_bytes - setting.chip.reserved_bytes
        raise too_large(question, found.least_plan, fixed, found.least_bytes, capacity, "the plan that needs least")
    return found.plans[0], Search(found.n_considered, found.n_feasible, found.rejected, wall_s, text.in_words(fixed))


def _shown(fixed: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in text.in_words(fixed).items()) or "anything"


def given(setting: records.Setting, fixed: dict[str, int]) -> records.Plan:
    """A whole plan from a given one: what is not said is at its neutral value."""
    neutral = records.Plan(1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0)
    plan = neutral._replace(**fixed)
    if "sequence_parallel" not in fixed:
        together = plan.tp > 1 and (setting.job.seq_len // plan.cp) % plan.tp == 0
        plan = plan._replace(sequence_parallel=int(together))
    return plan


def check_fixed(setting: records.Setting, fixed: dict[str, int], n_chips: int) -> None:
    """Raise WrongInput for a fixed dimension that no plan can have."""
    fixed = {name: code for name, code in fixed.items() if code != text.ANY}
    model, job = setting.model, setting.job
    broken = rules.tp_broken(fixed.get("tp", 1), model)
    broken = broken or rules.experts_broken(fixed.get("ep", 1), fixed.get("etp", 1), model)
    if not broken and fixed.get("pp", 1) > model.n_layers:
        broken = f"pipeline parallel {fixed['pp']} is more than {model.n_layers} layers"
    if not broken and job.seq_len % fixed.get("cp", 1):
        broken = f"context parallel {fixed['cp']} does not divide the sequence length {job.seq_len}"
    per_step = fixed.get("dp", 1) * fixed.get("micro_batch", 1)
    if not broken and job.global_batch % per_step:
        broken = f"dp x micro-batch {per_step} does not divide the global batch {job.global_batch}"
    if not broken and fixed.get("shard") and fixed.get("zero", 3) != 3:
        broken = "shard needs zero=3"
    block = fixed.get("recompute") == records.RECOMPUTE_BLOCK
    if not broken and block != bool(fixed.get("recompute_layers")):
        broken = "recompute=block and recompute_layers need one another"
    used = math.prod(fixed.get(name, 1) for name in ("tp", "pp", "cp", "dp"))
    if not broken and used > n_chips:
        broken = f"tp x pp x cp x dp {used} is more than {n_chips} chips"
    if broken:
        raise WrongInput(f"--plan: {broken}", hint=suggestion(setting, fixed, n_chips))


def suggestion(setting: records.Setting, fixed: dict[str, int], n_chips: int) -> str | None:
    """Values that would do for the dimension that most likely broke."""
    model, job = setting.model, setting.job
    tp = fixed.get("tp", 1)
    if rules.tp_rule(tp, model):
        legal = [each for each in range(1, 2 * tp + 8) if not rules.tp_rule(each, model)]
        return f"tensor parallel can be {', '.join(map(str, legal[:12]))}"
    if fixed.get("ep", 1) > 1 and rules.experts_broken(fixed["ep"], 1, model) and model.n_moe_layers:
        return f"expert parallel can be {', '.join(map(str, search.divisors(model.n_experts, 64)))}"
    if fixed.get("pp", 1) > model.n_layers:
        return f"the model has {model.n_layers} layers"
    if job.global_batch % (fixed.get("dp", 1) * fixed.get("micro_batch", 1)):
        near = search.divisors(job.global_batch, n_chips)
        close = sorted(sorted(near, key=lambda each: abs(each - fixed.get("dp", 1)))[:5])
        return f"data parallel near it that divides {job.global_batch}: {', '.join(map(str, close))}"
    return None


def too_large(
    question: Question, plan: records.Plan, fixed: dict[str, int], needed: float, capacity: float, which: str
) -> NoAnswer:
    """The answer for a plan or a model that does not fit, with the numbers and the smallest count that would do."""
    smallest = smallest_count(question, fixed) if which != "the given plan" else None
    numbers: dict[str, Number] = {
        "needed_bytes": needed,
        "available_bytes": capacity,
        "count": question.n_chips,
        "smallest_count": smallest,
        "plan": text.as_text(plan),
    }
    hint = f"{smallest:,} {question.chip.name} would do" if smallest else "try more recompute, sharding or chips"
    return NoAnswer(
        f"training {question.model.name} does not fit {question.n_chips:,} x {question.chip.name}: {which} needs "
        f"{units.gib(needed)} per chip, {units.gib(capacity)} are available",
        hint=hint,
        numbers=numbers,
    )


def smallest_count(question: Question, fixed: dict[str, int]) -> int | None:
    """The fewest chips on which some plan fits, to within an eighth; None beyond the largest sensible cluster."""
    low, high = question.n_chips, question.n_chips
    most = max(question.job.global_batch * question.record.n_layers * 8, 8)
    while True:
        high = min(2 * high, most)
        if search.fastest(question.setting(high), high, fixed).plans:
            break
        if high >= most:
            return None
        low = high
    while high - low > max(1, low // 8):
        middle = (low + high) // 2
        if search.fastest(question.setting(middle), middle, fixed).plans:
            high = middle
        else:
            low = middle
    return high


def measured_runs(question: Question) -> overlay.Calibration | None:
    """A user's own runs whose spread holds for this question."""
    return interval.own_runs(
        question.chip,
        question.stack.name,
        mixture=question.record.n_moe_layers > 0,
        precision=question.precision,
        n_chips=question.n_chips,
    )


def half_width_of(question: Question) -> float:
    """Half width of the interval of ln(step time) on the question's chips."""
    return interval.half_width(
        question.silicon.evidence,
        question.n_chips,
        mixture=question.record.n_moe_layers > 0,
        calibration=measured_runs(question),
        family=question.chip.family,
    )


def train(question: Question, *, explain: bool = True, compiled: bool | None = None) -> Training:
    """The training half of an estimate.

    explain   whether to try what moves the days most
    compiled  how to search, as `plans.search.fastest`
    """
    fixed = text.parse(question.asked.plan)
    plan, looked = choose(question, fixed, compiled=compiled)
    setting = question.setting()
    step = training_step(setting, plan)
    used = plan.tp * plan.pp * plan.cp * plan.dp
    tokens_per_s = question.job.global_batch * question.job.seq_len / step.step_s
    spent = goodput_of(question)
    total_s = training_s(question.tokens, tokens_per_s, spent.fraction)
    evidence = question.silicon.evidence if measured_runs(question) is None else interval.MEASURED
    width = half_width_of(question)
    step_low, step_high = interval.around(step.step_s, width)
    per_flop = step.step_s * used * setting.chip.matmul_flop_per_s
    mfu = step.model_flop / per_flop
    sixteen = setting.chip.attention_flop_per_s
    busy = min(1.0, step.compute_s / step.step_s)
    joules = None
    if setting.chip.peak_w > 0:
        joules = energy_j(
            float(question.n_chips),
            setting.chip.idle_w,
            setting.chip.peak_w,
            busy,
            constants.default("power", "wall_over_chip").value,
            constants.default("power", "pue").value,
            total_s,
        )
    usd_per_h, basis = usd_per_chip_hour(question)
    slopes = elasticity(
        lambda resource, factor: training_step(improved(setting, resource, factor), plan).step_s,
        bubble=step.bubble_s / step.step_s,
    )
    day_s = 86400.0
    return Training(
        tokens=question.tokens,
        days=total_s / day_s,
        days_low=total_s * step_low / step.step_s / day_s,
        days_high=total_s * step_high / step.step_s / day_s,
        step_s=step.step_s,
        step_s_low=step_low,
        step_s_high=step_high,
        step_s_bracket=(step.lower_s, step.upper_s),
        tokens_per_s=tokens_per_s,
        tokens_per_s_per_chip=tokens_per_s / question.n_chips,
        mfu=mfu,
        mfu_bf16=mfu * setting.chip.matmul_flop_per_s / sixteen,
        hfu=step.hardware_flop / per_flop,
        plan=text.as_dict(plan)
        | {
            "global_batch": question.job.global_batch,
            "precision": question.precision,
            "chips": used,
            "idle": question.n_chips - used,
        },
        plan_text=text.as_text(plan),
        time_s=Terms(
            compute=step.compute_s,
            tp_comm=step.tp_comm_s,
            cp_comm=step.cp_comm_s,
            ep_comm=step.ep_comm_s,
            pp_comm=step.pp_comm_s,
            dp_comm=step.dp_comm_s,
            bubble=step.bubble_s,
            optimizer=step.optimizer_s,
            host=step.host_s,
            straggler=step.straggler_s,
        ),
        memory_bytes=TrainingMemory(
            weights=step.weights_bytes,
            gradients=step.gradients_bytes,
            optimizer=step.optimizer_bytes,
            activations=step.activations_bytes,
            workspace=step.workspace_bytes,
            total=step.memory_bytes,
            capacity=step.capacity_bytes,
        ),
        limiting=limiting(slopes),
        elasticity=slopes,
        evidence=evidence,
        stack=question.stack.name,
        movers=tuple(movers(question, plan, total_s / day_s, spent.fraction)[:MOST_MOVERS]) if explain else (),
        goodput=spent.fraction,
        energy_mwh=None if joules is None else joules / 3.6e9,
        cost_usd=rent_usd(float(question.n_chips), usd_per_h, total_s),
        price_basis=basis,
        job=job_of(question, spent, total_s, joules),
        search=looked,
    )
