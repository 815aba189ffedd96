"""A serving answer as an operator wants it: one sentence, the plan, the times, what limits, money; the frontier."""

from typing import Final

from clustercast import units
from clustercast.report import frontier
from clustercast.report.layout import Block, Line, Table, percent, short, wrap
from clustercast.report.text import DECODE, assumptions, counted, fallen, limits, memory_bars, milliseconds
from clustercast.studies.serving.result import ServeResult, Simulation

CAUSES: Final = DECODE | {
    "prefills_of_others": "others' prefills",
    "waiting": "waiting",
    "launches": "kernel launches",
}
LEAST_SHOWN: Final = 1e-9  # of a time, as a share


def served(done: ServeResult) -> list[Block]:
    """The whole answer in lines of at most 80 characters."""
    blocks: list[Block] = wrap(headline(done), style="bold")
    blocks.append(Line(f"--plan {done.plan_text}", "bold"))
    looked = done.search
    blocks += ["", *wrap(aimed(done), "  ", "    ")]
    if looked.n_considered > 1:
        blocks += wrap(searched(done), "  ", "    ")
    blocks += ["", *wrap(plan_in_words(done), "  ", "    ")]
    blocks += ["", *times(done), "", *rates(done)]
    for title, parts, slopes, limiting, of in (
        ("token", done.decode_bound_ms, done.elasticity, done.limiting_decode, "a decode step"),
        ("first token", done.prefill_bound_ms, done.elasticity_prefill, done.limiting_prefill, "a prefill"),
    ):
        blocks += ["", f"  {title} {milliseconds(sum(parts.values()))}"]
        blocks += fallen({CAUSES.get(name, name): value for name, value in parts.items()}, milliseconds, LEAST_SHOWN)
        blocks += limits(limiting, slopes, of)
    memory = done.memory_bytes
    kept = (("weights", memory.weights), ("KV cache", memory.kv_cache), ("workspace", memory.workspace))
    blocks += ["", *memory_bars(kept, memory.total, memory.capacity)]
    blocks.append(f"    {percent(done.kv_fraction)} of what is left for the cache is taken")
    blocks += ["", *spent(done)]
    if done.simulation is not None:
        blocks += ["", *simulated(done, done.simulation)]
    if done.frontier is not None:
        blocks += [
            "",
            *frontier.table(done.frontier, f"{len(done.frontier):,} of {done.frontier_setups or 0:,} setups"),
        ]
    blocks += ["", *assumptions(done.assumptions)]
    if done.warnings:
        blocks += ["", Line("Remarks", "bold")]
        for each in done.warnings:
            blocks += wrap(each, "  ", "    ")
    return blocks


def headline(done: ServeResult) -> str:
    """The sentence that answers the question."""
    used = done.count - done.plan["idle"]
    words = f"{used:,} of {done.count:,}" if done.plan["idle"] else f"{done.count:,}"
    load = f"{done.batch:,.0f} requests in flight"
    if done.load == "rate":
        load = f"{short(done.rate or 0.0)} requests/s"
    return (
        f"{words} {done.chip} serve {done.model} at {units.count(done.output_tokens_per_s)} output tokens/s, "
        f"{short(done.output_tokens_per_s_per_used_chip)} per chip in use, under {load}: first token after "
        f"{milliseconds(done.ttft_ms)}, then one every {milliseconds(done.tpot_ms)}; "
        f"{short(done.cost_usd_per_million_input_tokens)} USD per million tokens in, "
        f"{short(done.cost_usd_per_million_output_tokens)} out."
    )


def aimed(done: ServeResult) -> str:
    """The question as it was taken."""
    goals = []
    whom = done.objectives["percentile"]
    whose = whom if isinstance(whom, str) else f"p{whom:g}"
    for name in ("ttft", "tpot"):
        limit = done.objectives[f"{name}_ms"]
        if isinstance(limit, (int, float)):
            goals.append(f"{whose} {name.upper()} ≤ {milliseconds(float(limit))}")
    said = f"aim: {done.objectives['aim']}"
    if goals:
        said += f" ({', '.join(goals)}{'; assumed' if done.objectives['assumed'] else ''})"
    said += f"; {done.input_len:,} tokens in, {done.output_len:,} out"
    if done.prefix_hit:
        said += f", {percent(done.prefix_hit)} of a prompt cached"
    if done.n_drafts:
        said += f", {done.n_drafts:g} drafted and {done.accepted_tokens:g} tokens a step"
    return f"{said}; {done.engine_title}, {done.precision}"


def searched(done: ServeResult) -> str:
    """What the search looked at."""
    looked = done.search
    why = ", ".join(f"{n:,} {reason}" for reason, n in looked.rejected.items())
    over = "batch" if done.load == "full" else "replicas"
    return (
        f"{looked.n_feasible:,} setups costed whole, {looked.wall_s:.2f} s: the best of {looked.n_considered:,} "
        f"(layout x chunk x {over}); the others: {why or 'none'}"
    )


def plan_in_words(done: ServeResult) -> str:
    """What the plan does, for people who do not read flags."""
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
        if plan[name] > 1
    ]
    idle = f", {plan['idle']:,} idle" if plan["idle"] else ""
    return (
        f"{counted(done.replicas, 'replica')} of {counted(plan['chips'], 'chip')} ({', '.join(ways) or 'not divided'})"
        f"{idle}; {short(done.batch_per_replica)} requests on each, {done.max_batch // done.replicas:,} would fit; "
        f"prefill in steps of {done.chunk_tokens:,} tokens"
    )


def times(done: ServeResult) -> list[Block]:
    """Latencies with interval, bracket and percentiles."""
    rows = []
    for name, mean, low, high, bracket in (
        ("TTFT", done.ttft_ms, done.ttft_ms_low, done.ttft_ms_high, done.ttft_ms_bracket),
        ("TPOT", done.tpot_ms, done.tpot_ms_low, done.tpot_ms_high, done.tpot_ms_bracket),
    ):
        upper = "saturated" if bracket[1] is None else milliseconds(bracket[1])
        rows.append(
            (name, milliseconds(mean), f"{milliseconds(low)}–{milliseconds(high)}",
             f"{milliseconds(bracket[0])}–{upper}")
        )  # fmt: skip
    blocks: list[Block] = [
        Table(("  time", "mean", "80 % interval", "all – no overlap"), [(f"  {row[0]}", *row[1:]) for row in rows])
    ]
    said = []
    whom = done.objectives["percentile"]
    if done.ttft_percentile_ms is not None and done.tpot_percentile_ms is not None and whom not in (50, 90, 99):
        said.append(f"TTFT p{whom:g} {milliseconds(done.ttft_percentile_ms)}")
        said.append(f"TPOT p{whom:g} {milliseconds(done.tpot_percentile_ms)}")
    for name, value in (
        ("TTFT p50", done.ttft_p50_ms),
        ("p90", done.ttft_p90_ms),
        ("p99", done.ttft_p99_ms),
        ("TPOT p90", done.tpot_p90_ms),
    ):
        if value is not None:
            said.append(f"{name} {milliseconds(value)}")
    said.append(
        f"outputs of a request {milliseconds(done.itl_ms)} apart, {milliseconds(done.itl_full_chunk_ms)} where a full "
        f"prefill step comes between; request {milliseconds(done.latency_ms)}"
    )
    return [*blocks, *wrap(", ".join(said), "  ", "    ")]


def rates(done: ServeResult) -> list[Block]:
    """Throughput, in total and per chip."""
    per_user = done.tokens_per_s_per_user
    user = "" if per_user is None else f"; {short(per_user)} tokens/s per user"
    blocks: list[Block] = wrap(
        f"{short(done.requests_per_s)} requests/s: {units.count(done.output_tokens_per_s)} tokens/s out, "
        f"{units.count(done.input_tokens_per_s)} in; per chip {short(done.output_tokens_per_s_per_chip)} out "
        f"({short(done.output_tokens_per_s_per_chip_low)}–{short(done.output_tokens_per_s_per_chip_high)}), "
        f"{short(done.input_tokens_per_s_per_chip)} in{user}",
        "  ",
        "    ",
    )
    use = done.utilisation
    said = f"busy {percent(use['busy'] or 0.0)} of the time, {percent(use['prefill'] or 0.0)} with prefill; "
    said += f"{percent(use['flops'] or 0.0)} of peak FLOP/s"
    if done.capacity_requests_per_s is not None and done.load_fraction is not None:
        said = f"load {percent(done.load_fraction)} of {short(done.capacity_requests_per_s)} requests/s; {said}"
    return blocks + wrap(said, "  ", "    ")


def spent(done: ServeResult) -> list[Block]:
    """Money and energy, split between prompts and answers by the time they take."""
    said = (
        f"{short(done.cost_usd_per_million_input_tokens)} USD per million tokens in, "
        f"{short(done.cost_usd_per_million_output_tokens)} out, by device time (all in: "
        f"{short(done.cost_usd_per_million_output_tokens_all_in)} per million out); {done.price_basis}"
    )
    if done.energy_j_per_output_token is not None and done.energy_j_per_input_token is not None:
        said += (
            f"; energy {short(done.energy_j_per_input_token)} J per token in, "
            f"{short(done.energy_j_per_output_token)} J out, at the meter, "
            f"{percent(done.utilisation['busy'] or 0.0)} busy"
        )
    return wrap(f"{said}; evidence: {done.evidence}", "  ", "    ")


def simulated(done: ServeResult, seen: Simulation) -> list[Block]:
    """The simulation beside the formulas."""
    has_formula = done.load == "rate"
    formulas = {
        "TTFT": (done.ttft_ms, done.ttft_p50_ms, done.ttft_p90_ms, done.ttft_p99_ms),
        "TPOT": (done.tpot_ms, None, done.tpot_p90_ms, None),
        "request": (done.latency_ms, None, None, None),
    }
    rows = []
    for name, spread in (("TTFT", seen.ttft_ms), ("TPOT", seen.tpot_ms), ("request", seen.latency_ms)):
        values = (spread.mean, spread.p50, spread.p90, spread.p99)
        rows.append((f"  {name} simulated", *(_milliseconds(value) for value in values)))
        rows.append((f"  {name} by formula", *(_milliseconds(value) for value in formulas[name])))
    return [
        Line(f"Simulated, event by event: {seen.n_requests:,} requests, seed {seen.seed}", "bold"),
        Table(("  time", "mean", "p50", "p90", "p99"), rows, frozenset({1, 2, 3, 4})),
        *wrap(
            f"{short(seen.requests_per_s)} requests/s ({short(done.requests_per_s)} by formula), "
            f"{short(seen.in_flight)} decode at once ({short(done.in_flight)}), busy {percent(seen.busy_fraction)}, "
            f"cache {percent(seen.kv_fraction)} full ({percent(done.kv_fraction)}), "
            f"{short(seen.preemptions_per_request)} preemptions per request; {seen.n_steps:,} steps of "
            f"{milliseconds(seen.step_ms)}; {seen.assumed}"
            f"{'' if has_formula else '; the formulas give means only without --rate'}",
            "  ",
            "    ",
        ),
    ]


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else milliseconds(value)
