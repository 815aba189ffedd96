"""Prefill and decode apart, as a planner wants it: what they serve, what binds, what else the money buys."""

from typing import Final

from clustercast.report import frontier
from clustercast.report.layout import Block, Line, Table, percent, short, wrap
from clustercast.report.text import BETTER, LEAST_SHOWN, LIMITS, STEP_UP, milliseconds
from clustercast.studies.serving.pools import Pool, Pools

BINDS: Final = {
    "prefill": "the prefill pool",
    "decode": "the decode pool",
    "transfer": "the link between the pools",
    "load": "the load that was asked for",
}


def pools(found: Pools) -> list[Block]:
    """The whole answer in lines of at most 80 characters."""
    one, two = found.prefill, found.decode
    blocks: list[Block] = [
        *wrap(
            f"{one.count:,} {one.chip} prefill and {two.count:,} {two.chip} decode {found.model}: "
            f"{short(found.requests_per_s)} requests/s ({short(found.requests_per_s_low)}–"
            f"{short(found.requests_per_s_high)}, 80 % interval), {short(found.output_tokens_per_s)} output tokens/s, "
            f"{short(found.output_tokens_per_s_per_chip)} per chip; "
            f"{short(found.cost_usd_per_million_input_tokens)} USD per million tokens in, "
            f"{short(found.cost_usd_per_million_output_tokens)} out.",
            style="bold",
        ),
        *wrap(
            f"{found.input_len:,} tokens in, {found.output_len:,} out, arrivals at random; TTFT "
            f"{milliseconds(found.ttft_ms)} (p90 {milliseconds(found.ttft_p90_ms)}{at_percentile(found)}; objective "
            f"{milliseconds(found.ttft_objective_ms)}, {found.percentile}), TPOT {milliseconds(found.tpot_ms)} "
            f"(objective {milliseconds(found.tpot_objective_ms)}). What binds: {BINDS[found.bottleneck]}.",
            "  ",
        ),
    ]
    blocks += ["", Line("Pools", "bold"), sides(found)]
    for name, pool in (("prefill", one), ("decode", two)):
        blocks += wrap(f"--{name}-count {pool.count} --{name}-plan {pool.plan_text}", "  ", "    ")
    for name, pool in (("prefill", one), ("decode", two)):
        blocks += wrap(f"{name}: {gains(pool)}", "  ", "    ")
    sent = found.transfer
    blocks += wrap(
        f"cache: {sent.bytes_per_sequence / 1e6:,.0f} MB a sequence over the {LINKS[sent.link]}, "
        f"{milliseconds(sent.alone_ms)} alone, {milliseconds(sent.shared_ms)} shared, "
        f"{milliseconds(sent.exposed_ms)} of it in TTFT; {percent(sent.used_fraction)} of the link",
        "  ",
        "    ",
    )
    blocks += wrap(
        f"cost: {short(found.cost_usd_per_million_input_tokens)} USD per million tokens in is the prefill pool's rent, "
        f"{short(found.cost_usd_per_million_output_tokens)} per million out the decode pool's; all in "
        f"{short(found.cost_usd_per_million_output_tokens_all_in)} per million out; "
        f"{short(found.usd_per_hour)} USD an hour",
        "  ",
        "    ",
    )
    if found.energy_j_per_output_token is not None and found.energy_j_per_input_token is not None:
        blocks += wrap(
            f"energy: {short(found.energy_j_per_input_token)} J per token in, "
            f"{short(found.energy_j_per_output_token)} J out, at the meter, each pool between idle and peak power as "
            f"busy as it is ({percent(one.used_fraction)} and {percent(two.used_fraction)})",
            "  ",
            "    ",
        )
    if found.frontier is not None:
        blocks += ["", *frontier.table(found.frontier, f"{len(found.frontier):,} splits, over objectives on TPOT")]
    if found.alternatives:
        blocks += ["", Line(otherwise(found), "bold"), others(found), *verdict(found)]
    blocks += ["", Line("Assumed, since nothing else was said", "bold")]
    for each in found.assumptions:
        value = f"{each.value:,.4g}" if isinstance(each.value, float) else str(each.value)
        blocks += wrap(f"{each.name} = {value}, {each.kind}: {each.source}", "  ", "    ")
    for text in found.warnings:
        blocks += wrap(f"warning: {text}", "", "  ")
    return blocks


def otherwise(found: Pools) -> str:
    """What the alternatives are."""
    if found.rate is None:
        return f"The same {found.count:,} chips spent otherwise; USD: all rent over the tokens out"
    return f"The same {short(found.rate)} requests/s on one kind of chip; USD: all rent over the tokens out"


def at_percentile(found: Pools) -> str:
    """TTFT at the percentile of the objective, where it is not shown anyway."""
    if found.ttft_percentile_ms is None or found.percentile == "p90":
        return ""
    return f", {found.percentile} {milliseconds(found.ttft_percentile_ms)}"


LINKS: Final = {"nic": "NICs", "scale-up": "scale-up links"}


def sides(found: Pools) -> Table:
    """One row per pool."""
    columns = ("", "chip", "chips", "replicas", "plan", "batch", "can take", "idle", "USD/h")
    rows = []
    for name, pool in (("prefill", found.prefill), ("decode", found.decode)):
        cells = (name, pool.chip, f"{pool.count:,}", f"{pool.replicas:,}", brief_plan(pool))
        numbers = (short(pool.batch_per_replica), f"{short(pool.capacity_requests_per_s)}/s")
        rows.append((*cells, *numbers, percent(pool.idle_fraction), short(pool.usd_per_chip_hour)))
    return Table(columns, rows, frozenset({2, 3, 5, 6, 7, 8}), (4, 1))


def brief_plan(pool: Pool) -> str:
    """A replica's plan without what is 1."""
    names = (("tp", "tp"), ("pp", "pp"), ("attention_dp", "dp"), ("ep", "ep"), ("etp", "etp"))
    return ",".join(f"{short_name}={pool.plan[name]}" for name, short_name in names if pool.plan[name] > 1) or "tp=1"


def gains(pool: Pool) -> str:
    """What limits a pool and what more of each resource buys."""
    found = []
    for name, text in BETTER.items():
        gain = STEP_UP ** getattr(pool.elasticity, name) - 1.0
        if gain > LEAST_SHOWN:
            found.append((gain, f"{text} {100.0 * gain:+.1f} %"))
    shown = ", ".join(text for _, text in sorted(found, reverse=True)[:3])
    return f"limited by {LIMITS.get(pool.limiting, pool.limiting)}; {shown}; {pool.precision}, {pool.evidence}"


def others(found: Pools) -> Table:
    """The answer beside its alternatives, the cheapest token first."""
    columns = ("", "split", "requests/s", "tokens/s/chip", "USD/M out", "TPOT")
    mixed = found.prefill.chip != found.decode.chip
    name = (
        f"{brief(found.prefill.chip)} + {brief(found.decode.chip)}" if mixed else f"{brief(found.prefill.chip)} apart"
    )
    rows = [
        (
            found.cost_usd_per_million_output_tokens_all_in,
            (
                f"{name} (this)",
                f"{found.prefill.count}+{found.decode.count}",
                short(found.requests_per_s),
                short(found.output_tokens_per_s_per_chip),
                short(found.cost_usd_per_million_output_tokens_all_in),
                milliseconds(found.tpot_ms),
            ),
        )
    ]
    none = []
    for each in found.alternatives:
        kind = "apart" if each.kind == "pools" else "one pool"
        label = f"{brief(each.chip)} {kind}"
        if each.cost_usd_per_million_output_tokens_all_in is None or each.tpot_ms is None:
            none.append((label, "no answer", "-", "-", "-", "-"))
            continue
        split = f"{each.prefill_count}+{each.decode_count}" if each.kind == "pools" else str(each.count)
        rate, per_chip = each.requests_per_s or 0.0, each.output_tokens_per_s_per_chip or 0.0
        cost = each.cost_usd_per_million_output_tokens_all_in
        cells = (label, split, short(rate), short(per_chip), short(cost), milliseconds(each.tpot_ms))
        rows.append((cost, cells))
    return Table(columns, [cells for _, cells in sorted(rows)] + none, frozenset({2, 3, 4, 5}))


def brief(chip: str) -> str:
    """The first word of a chip's name.

    >>> brief("h100-sxm5-80gb")
    'h100'
    """
    return chip.partition("-")[0]


def verdict(found: Pools) -> list[Block]:
    """Whether the split beats every alternative per dollar, and by how much."""
    costs = [
        (each.cost_usd_per_million_output_tokens_all_in, each.name)
        for each in found.alternatives
        if each.cost_usd_per_million_output_tokens_all_in is not None
    ]
    if not costs:
        return []
    best, name = min(costs)
    even = found.decode_usd_per_chip_hour_break_even
    price = (
        f" At this split the two are even with {found.prefill.chip} alone where a {found.decode.chip} rents for "
        f"{even:.2f} USD an hour."
        if even is not None
        else ""
    )
    own = found.cost_usd_per_million_output_tokens_all_in
    if own <= best:
        return wrap(f"Per dollar it beats the best of them, {name}, by {percent(best / own - 1.0)}.{price}", "  ")
    return wrap(f"Per dollar it is behind {name} by {percent(1.0 - best / own)}.{price}", "  ")
