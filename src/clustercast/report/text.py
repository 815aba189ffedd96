"""An estimate as the answer that a planner wants: one sentence first, then why, then what it rests on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

from clustercast import units
from clustercast.estimates.elasticity import bound
from clustercast.estimates.result import Assumption, Elasticity, Estimate, Serving, Training
from clustercast.report.layout import Block, Line, bar, falls, percent, short, wrap
from clustercast.report.plans import brief

CAUSES: Final = {
    "compute": "compute",
    "tp_comm": "tensor parallel",
    "cp_comm": "context parallel",
    "ep_comm": "expert all-to-all",
    "pp_comm": "pipeline sends",
    "dp_comm": "gradients, weights",
    "bubble": "pipeline bubble",
    "optimizer": "optimizer",
    "host": "host",
    "straggler": "stragglers",
}
LIMITS: Final = {
    "compute": "compute",
    "hbm_bandwidth": "HBM bandwidth",
    "hbm_capacity": "HBM capacity",
    "scale_up": "scale-up links",
    "scale_out": "scale-out network",
    "latency": "latency",
    "host": "the host",
    "bubble": "pipeline bubble",
}
BETTER: Final = {
    "flops": "+10 % compute",
    "hbm_bandwidth": "+10 % HBM bandwidth",
    "hbm_capacity": "+10 % HBM capacity",
    "scale_up": "+10 % scale-up links",
    "scale_out": "+10 % scale-out network",
    "latency": "10 % lower latency",
    "host": "10 % faster host",
}
PLANKS: Final = {
    "flops": "compute",
    "hbm_bandwidth": "HBM bandwidth",
    "hbm_capacity": "HBM capacity",
    "scale_up": "scale-up links",
    "scale_out": "scale-out network",
    "latency": "lower latency",
    "host": "faster host",
}
DECODE: Final = {
    "compute": "compute",
    "weights": "reading weights",
    "kv_cache": "reading KV cache",
    "comm": "communication",
    "host": "host",
}
BAR: Final = 36
MOST_ASSUMPTIONS: Final = 16
MOST_MOVERS: Final = 6
STEP_UP: Final = 1.1  # resources are shown for 10 % more of each
LEAST_SHOWN: Final = 0.0005  # of an effect, as a share


def estimate(est: Estimate) -> list[Block]:
    """The whole answer in lines of at most 80 characters."""
    blocks: list[Block] = headline(est)
    params = units.count(est.total_params)
    if est.active_params < 0.999 * est.total_params:
        params += f" parameters, {units.count(est.active_params)} active"
    else:
        params += " parameters"
    blocks += wrap(f"{est.model_name}: {params} ({est.model_resolved_as})", "  ", "    ")
    blocks += wrap(f"{est.chip_name} in {est.fabric_name}", "  ", "    ")
    for each in est.calibration:
        blocks += wrap(f"calibrated with {each}", "  ", "    ")
    for half, reason in (("training", est.training_reason), ("serving", est.serving_reason)):
        if reason:
            blocks += ["", *wrap(f"No answer for {half}: {reason}")]
    if est.training:
        blocks += ["", *training(est, est.training)]
    if est.serving:
        blocks += ["", *serving(est, est.serving)]
    if est.training is not None:
        blocks += ["", *movers(est.training.movers)]
    blocks += ["", *assumptions(est.assumptions)]
    if est.warnings:
        blocks += ["", Line("Warnings", "bold")]
        for each in est.warnings:
            blocks += wrap(each, "  ", "    ")
    return blocks


def headline(est: Estimate) -> list[Block]:
    """The sentence that answers the question."""
    said = []
    if est.training:
        done = est.training
        said.append(f"{est.count:,} {est.chip} train {est.model} on {units.count(done.tokens)} tokens in {days(done)}.")
    elif est.training_reason:
        said.append(f"{est.count:,} {est.chip} do not train {est.model}: see below.")
    if est.serving:
        done_serving = est.serving
        whole = units.count(done_serving.output_tokens_per_s)
        said.append(
            f"They serve it at {whole} output tokens/s, "
            f"{short(done_serving.output_tokens_per_s_per_chip)} per chip, with {done_serving.batch:,} sequences in "
            f"flight and {short(done_serving.tpot_ms)} ms per token; first token after "
            f"{milliseconds(done_serving.ttft_ms)}."
        )
    return wrap(" ".join(said), style="bold")


def days(done: Training) -> str:
    """The length of the run with its interval, in days or, where it is short, in hours."""
    unit, times = ("days", 1.0) if done.days >= 1.0 else ("hours", 24.0)
    low, high = short(times * done.days_low), short(times * done.days_high)
    return f"{short(times * done.days)} {unit} ({low}–{high}, 80 % interval)"


def in_seconds(value_s: float) -> str:
    """A part of a step, never in minutes.

    >>> in_seconds(188.4), in_seconds(0.0123)
    ('188 s', '12.3 ms')
    """
    return f"{short(value_s)} s" if value_s >= 1.0 else units.seconds(value_s)


def milliseconds(value_ms: float) -> str:
    """A duration given in milliseconds, in the unit a person would pick.

    >>> milliseconds(12.34), milliseconds(2345.6)
    ('12.3 ms', '2.35 s')
    """
    return units.seconds(value_ms / 1e3)


def training(est: Estimate, done: Training) -> list[Block]:
    """The plan, where the time goes, what limits, memory, energy and money."""
    lower, upper = done.step_s_bracket
    blocks: list[Block] = [Line("Training", "bold")]
    blocks += wrap(f"plan: {plan_in_words(est, done)}", "  ", "        ")
    blocks.append(f"  --plan {brief(done.plan_text)}")
    looked = done.search
    if looked.n_considered > 1:
        blocks += wrap(
            f"fastest of {looked.n_considered:,} plans, {looked.n_feasible:,} costed whole, {looked.wall_s:.2f} s", "  "
        )
    blocks += [
        "",
        f"  step {short(done.step_s)} s ({short(done.step_s_low)}–{short(done.step_s_high)} s)"
        f", {units.count(done.tokens_per_s)} tokens/s, {short(done.tokens_per_s_per_chip)} per chip",
    ]
    times = asdict(done.time_s)
    blocks += fallen({text: times[name] for name, text in CAUSES.items()}, in_seconds)
    blocks += wrap(
        f"everything overlapped {short(lower)} s ≤ estimate {short(done.step_s)} s ≤ nothing overlapped "
        f"{short(upper)} s",
        "    ",
    )
    blocks += ["", *limits(done.limiting, done.elasticity, "throughput")]
    memory = done.memory_bytes
    parts = (
        ("weights", memory.weights),
        ("gradients", memory.gradients),
        ("optimizer", memory.optimizer),
        ("activations", memory.activations),
        ("workspace", memory.workspace),
    )
    blocks += ["", *memory_bars(parts, memory.total, memory.capacity)]
    blocks += ["", f"  MFU {percent(done.mfu)} of dense {est.precision} peak, HFU {percent(done.hfu)}"]
    blocks += job(done)
    blocks += wrap(f"evidence: {done.evidence}; software: {done.stack}", "  ", "    ")
    return blocks


def job(done: Training) -> list[Block]:
    """Interruptions, spares, power, energy, carbon and money of the whole run."""
    run = done.job
    lost = [f"{percent(run.calendar[name])} {name}" for name in ("saving", "repeating", "restarting", "waiting")]
    said = [
        f"goodput {percent(done.goodput)}: an interruption every {units.seconds(run.between_interruptions_s)}, "
        f"{short(run.interruptions)} in all; a checkpoint every {units.seconds(run.checkpoint_interval_s)}; "
        f"{', '.join(each for each in lost if not each.startswith('0.0 %'))} of the calendar; "
        f"{counted(run.spare_chips, 'spare chip')}"
    ]
    if done.energy_mwh is not None and run.power_mw is not None and run.carbon_t is not None:
        said.append(
            f"power {short(run.power_mw)} MW at the meter, energy {short(done.energy_mwh)} MWh, "
            f"{short(run.carbon_t)} t of CO2"
        )
    if done.cost_usd is not None:
        said.append(f"cost {units.count(done.cost_usd)} USD ({done.price_basis})")
    rented = done.price_basis.startswith("rent")
    other_usd, other = (run.own_usd, run.money.own_basis) if rented else (run.rent_usd, run.money.rent_basis)
    said.append(f"or {units.count(other_usd)} USD ({other})")
    return [line for text in said for line in wrap(text, "  ", "    ")]


def plan_in_words(est: Estimate, done: Training) -> str:
    """What the plan does, for people who do not read flags."""
    plan = done.plan
    ways = [
        (f"tensor parallel {plan['tp']}", plan["tp"] > 1),
        (f"context parallel {plan['cp']}", plan["cp"] > 1),
        (f"pipeline of {plan['pp']} stages" + (f" x {plan['vpp']} turns" if plan["vpp"] > 1 else ""), plan["pp"] > 1),
        (f"data parallel {plan['dp']}" + (f" with ZeRO-{plan['zero']}" if plan["zero"] else ""), plan["dp"] > 1),
        (f"expert parallel {plan['ep']}", plan["ep"] > 1),
        (f"expert tensor parallel {plan['etp']}", plan["etp"] > 1),
    ]
    said = [text for text, holds in ways if holds] or ["one chip"]
    said.append(f"micro-batch {plan['micro_batch']} of {plan['global_batch']:,} x {est.seq_len:,} tokens")
    said.append(f"{plan['recompute']} recompute" if plan["recompute"] != "none" else "nothing recomputed")
    idle = f", {plan['idle']:,} idle" if plan["idle"] else ""
    return f"{', '.join(said)}, {plan['precision']} on {plan['chips']:,} chips{idle}"


def fallen(times: Mapping[str, float], said: Callable[[float], str], least: float = 0.0) -> list[Block]:
    """Where a time goes: a line per cause, each bar beginning where the one before it ends.

    least  causes of no more than this share of the whole are left out
    """
    whole = sum(times.values())
    shown = {name: value for name, value in times.items() if value > least * whole}
    return [
        f"    {name:<18} {said(value):>9} {percent(value / whole):>7} {chart}".rstrip()
        for (name, value), chart in zip(shown.items(), falls(list(shown.values()), BAR), strict=True)
    ]


def limits(limiting: str, slopes: Elasticity, of: str) -> list[Block]:
    """The barrel: the shortest plank, and what ten per cent more of each resource buys."""
    gains = {name: STEP_UP ** getattr(slopes, name) - 1.0 for name in BETTER}
    shown = sorted(((gain, name) for name, gain in gains.items() if abs(gain) >= LEAST_SHOWN), reverse=True)
    of = f"; {of} with ten per cent more of" if shown else ""
    blocks = wrap(f"limited by {LIMITS.get(limiting, limiting)}{of}", "  ", "    ")
    largest = max((gain for gain, _ in shown), default=0.0)
    for gain, name in shown:
        chart = bar(gain / largest, BAR) if largest > 0.0 else ""
        blocks.append(f"    {PLANKS[name]:<28} {100.0 * gain:>+5.1f} % {chart}".rstrip())
    return blocks


def memory_bars(parts: tuple[tuple[str, float], ...], total: float, capacity: float) -> list[Block]:
    """What lies in a chip's memory."""
    blocks: list[Block] = [
        f"  memory {units.gib(total)} of {units.gib(capacity)} per chip ({percent(total / capacity)})"
    ]
    for name, held in parts:
        if held > 0.0:
            share = held / capacity
            chart = bar(share, BAR)
            blocks.append(f"    {name:<18} {units.gib(held):>9} {percent(share):>7} {chart}".rstrip())
    return blocks


def serving(est: Estimate, done: Serving) -> list[Block]:
    """Latency, throughput, replica, what limits either phase, and the KV cache."""
    plan = done.plan
    ways = [
        f"{text} {plan[name]}"
        for name, text in (
            ("tp", "tensor parallel"),
            ("pp", "pipeline"),
            ("attention_dp", "attention data parallel"),
            ("ep", "expert parallel"),
            ("etp", "expert tensor parallel"),
        )
        if plan.get(name, 1) > 1
    ]
    blocks: list[Block] = [
        Line(f"Serving, {done.input_len:,} tokens in, {done.output_len:,} out", "bold"),
        *wrap(
            f"{counted(done.replicas, 'replica')} of {counted(plan['chips'], 'chip')} "
            f"({', '.join(ways) or 'not divided'}), "
            f"{done.batch:,} sequences in flight, {done.batch_per_replica:,} per replica; {done.max_batch:,} would fit",
            "  ",
            "    ",
        ),
        f"  TTFT {milliseconds(done.ttft_ms)} ({milliseconds(done.ttft_ms_low)}–{milliseconds(done.ttft_ms_high)}), "
        f"TPOT {milliseconds(done.tpot_ms)} ({milliseconds(done.tpot_ms_low)}–{milliseconds(done.tpot_ms_high)})",
        f"  tokens/s per chip: {short(done.output_tokens_per_s_per_chip)} decoding, "
        f"{short(done.prefill_tokens_per_s_per_chip)} prefilling",
    ]
    for title, times in (
        ("decode step", bound(done.decode_time_ms, done.elasticity)),
        ("prefill", bound(done.prefill_time_ms, done.elasticity_prefill)),
    ):
        blocks += ["", f"  {title} {milliseconds(sum(times.values()))}"]
        blocks += fallen({DECODE.get(name, name): value for name, value in times.items()}, milliseconds)
        slopes, limiting = (
            (done.elasticity, done.limiting_decode)
            if title != "prefill"
            else (done.elasticity_prefill, done.limiting_prefill)
        )
        blocks += limits(limiting, slopes, "decoding" if title != "prefill" else "prefilling")
    memory = done.memory_bytes
    parts = (("weights", memory.weights), ("KV cache", memory.kv_cache), ("workspace", memory.workspace))
    blocks += ["", *memory_bars(parts, memory.total, memory.capacity)]
    tail = f"evidence: {done.evidence}; engine: {done.engine}; precision: {est.serving_precision}"
    if done.cost_usd_per_million_output_tokens is not None:
        tail += f"; {short(done.cost_usd_per_million_output_tokens)} USD per million output tokens"
    blocks += wrap(tail, "  ", "    ")
    return blocks


def movers(said: tuple[Assumption, ...]) -> list[Block]:
    """The assumptions that move the training days most, each alone at either end of its range."""
    if not said:
        return []
    blocks: list[Block] = [Line("What would move the days most, each alone within its range", "bold")]
    for each in said[:MOST_MOVERS]:
        days = f"{short(each.days_low or 0.0)}–{short(each.days_high or 0.0)} days"
        between = f"{scalar(each.value)} ({scalar(each.low)}–{scalar(each.high)})"
        blocks += wrap(f"{days}  {each.name} = {between}, {each.kind}: {each.source}", "  ", "    ")
    return blocks


def assumptions(said: tuple[Assumption, ...]) -> list[Block]:
    """What the answer rests on and nobody was asked for."""
    blocks: list[Block] = [Line("Assumed, since nothing else was said", "bold")]
    for each in said[:MOST_ASSUMPTIONS]:
        between = ""
        if each.low is not None and each.high is not None and each.low != each.high:
            between = f" ({scalar(each.low)}–{scalar(each.high)})"
        blocks += wrap(f"{each.name} = {scalar(each.value)}{between}, {each.kind}: {each.source}", "  ", "    ")
    if len(said) > MOST_ASSUMPTIONS:
        blocks.append(f"  and {len(said) - MOST_ASSUMPTIONS} more: see --json")
    return blocks


def counted(number: int, thing: str) -> str:
    """A number of things.

    >>> counted(1, "chip"), counted(1200, "chip")
    ('1 chip', '1,200 chips')
    """
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def scalar(value: float | int | str | bool | None) -> str:
    """A value of any kind in few characters.

    >>> scalar(1.3e13), scalar(0.15), scalar("bf16"), scalar(7200)
    ('13T', '0.15', 'bf16', '7,200')
    """
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return str(value)
    if abs(value) >= 1e6:
        return units.count(value)
    return short(float(value))
