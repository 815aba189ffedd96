"""A ranking of plans as tables."""

from clustercast import units
from clustercast.report.layout import Block, Line, Table, percent, short, wrap
from clustercast.studies.plan import PlanRanking, RankedPlan


def ranking(found: PlanRanking) -> list[Block]:
    """The fastest plans, the Pareto set, and what the search looked at."""
    first = found.plans[0]
    blocks: list[Block] = [
        *wrap(
            f"{found.count:,} {found.chip} train {found.model} on {units.count(found.tokens)} tokens in "
            f"{short(first.days)} days at best, with",
            style="bold",
        ),
        Line(f"--plan {brief(first.plan_text)}", "bold"),
    ]
    blocks += ["", Line("Fastest plans that fit", "bold"), table(found.plans)]
    blocks += ["", Line("Less memory at the least cost in speed", "bold"), table(found.pareto)]
    rejected = ", ".join(f"{n:,} {reason}" for reason, n in found.rejected.items() if n)
    blocks += [
        "",
        *wrap(
            f"{found.n_considered:,} plans considered in {found.wall_s:.2f} s, {found.n_feasible:,} costed whole and "
            f"fitting; the others: {rejected or 'none'}"
        ),
        *wrap(
            f"global batch {found.global_batch:,} x {found.seq_len:,} tokens, {found.precision}; "
            "ZeRO, recompute and all other fields as --plan takes them: see --json"
        ),
    ]
    for each in found.calibration:
        blocks += wrap(f"calibrated with {each}", "", "  ")
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return blocks


def brief(plan_text: str) -> str:
    """A plan as --plan takes it, with the short names that it also takes, to fit one line.

    >>> brief("tp=8,micro_batch=1,sequence_parallel=yes")
    'tp=8,mb=1,sp=yes'
    """
    return plan_text.replace("micro_batch=", "mb=").replace("sequence_parallel=", "sp=")


def table(plans: tuple[RankedPlan, ...]) -> Table:
    """One row per plan."""
    columns = ("tp", "pp", "vpp", "dp", "cp", "ep", "etp", "zero", "mb", "recompute", "step", "days", "MFU", "memory")
    rows = []
    for each in plans:
        fields = ("tp", "pp", "vpp", "dp", "cp", "ep", "etp", "zero", "micro_batch", "recompute")
        cells = [str(each.plan[name]) for name in fields]
        cells += [units.seconds(each.step_s), short(each.days), percent(each.mfu).replace(" ", "")]
        rows.append((*cells, percent(each.memory_fraction).replace(" ", "")))
    return Table(columns, rows, frozenset(range(len(columns))) - {9}, (9,))
