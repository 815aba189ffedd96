"""The shortest plank as text: where the time goes, what more of each resource buys, the way to another chip."""

from typing import Final

from clustercast import units
from clustercast.estimates import elasticity
from clustercast.report.layout import Block, Line, bar, short, wrap
from clustercast.report.plans import brief
from clustercast.report.text import CAUSES, DECODE, LIMITS, PLANKS, fallen, in_seconds
from clustercast.studies.why import JobWhy, Why

BAR: Final = 30
NAMES: Final = {elasticity.NAMES.get(name, name): title for name, title in PLANKS.items()} | {
    "rest": "kernels and formats"
}
TIMES: Final = {"training": "a step", "prefill": "a prompt alone", "decode": "a token"}
LEAST: Final = 0.0005


def why(found: Why) -> list[Block]:
    """Every job: its time by cause, its planks, and what separates the other chip from this one."""
    blocks: list[Block] = wrap(headline(found), style="bold")
    if found.plan:
        blocks += wrap(f"--plan {brief(found.plan)}", "  ", "    ")
    for one in found.jobs:
        blocks += ["", *job(one, found)]
    for half, reason in found.reasons.items():
        blocks += ["", *wrap(f"no answer for {half}: {reason}")]
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return blocks


def headline(found: Why) -> str:
    """The shortest plank of every job in a sentence."""
    planks = [f"{one.job} by {LIMITS.get(one.limiting, one.limiting)}" for one in found.jobs]
    return f"{found.count:,} {found.chip} with {found.model}: {', '.join(planks)}."


def job(one: JobWhy, found: Why) -> list[Block]:
    """One job."""
    whole = sum(one.time_s.values())
    blocks: list[Block] = [
        Line(
            f"{one.job.capitalize()}: {units.count(one.tokens_per_s)} tokens/s; {TIMES[one.job]} {in_seconds(whole)}",
            "bold",
        )
    ]
    names = CAUSES if one.job == "training" else DECODE
    blocks += fallen({names.get(name, name): value for name, value in one.time_s.items()}, in_seconds)
    blocks.append("  ten per cent more of         same plan  best plan")
    for plank in one.planks:
        if plank.best_plan >= LEAST:
            chart = bar(plank.best_plan / 0.1, BAR)
            gains = f"{100.0 * plank.same_plan:>+8.1f} % {100.0 * plank.best_plan:>+8.1f} %"
            blocks.append(f"    {NAMES[plank.resource]:<22} {gains}  {chart}")
    if found.other is None or one.other_tokens_per_s is None:
        return blocks
    if one.other_reason:
        return blocks + wrap(f"to {found.other}: {one.other_reason}", "  ", "    ")
    ratio = one.other_tokens_per_s / one.tokens_per_s
    blocks += wrap(
        f"{found.other} does {short(ratio)} times as many tokens/s ({units.count(one.other_tokens_per_s)}), its best "
        "plan each; of that",
        "  ",
        "    ",
    )
    for part in one.parts:
        if abs(part.factor - 1.0) >= LEAST:
            blocks.append(f"    {NAMES[part.property]:<22} x {short(part.factor)}")
    return blocks
