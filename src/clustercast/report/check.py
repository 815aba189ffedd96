"""A check as text: the verdict first, then the interval, where the time should go, and what would explain the rest."""

import csv
import io
from typing import Final

from clustercast import units
from clustercast.report.layout import Block, Line, bar, percent, short, wrap
from clustercast.report.text import CAUSES, DECODE, in_seconds
from clustercast.studies.check import rank
from clustercast.studies.check.result import NORMAL, Cause, Check, Figure, Printed
from clustercast.studies.logs.steady import Pause, Steady

BAR: Final = 30
LEAST_SHOWN: Final = 1e-9  # of a time, as a share
SERVED: Final = {"prefills_of_others": "others' prefills"}
MOST_CAUSES: Final = 5
MOST_FIGURES: Final = 12
TITLES: Final = {
    "step_s": "step",
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "request_latency_ms": "latency of a request",
    "output_tokens_per_s": "output tokens/s",
    "total_tokens_per_s": "tokens/s, in and out",
    "bus_bytes_per_s": "bus bandwidth",
    "collective_s": "time of a collective",
}
PLACES: Final = {
    "plan": "the parallel plan",
    "network": "the network between nodes",
    "links": "the links inside a node",
    "chip": "the chips",
    "software": "the software",
    "data": "the data",
    "measurement": "what was measured",
}
WAYS: Final = {"slow": "slower", "fast": "faster", "normal": "as expected"}
COLLECTIVE: Final = {"link": "the link", "start": "start and hops"}


def check(found: Check) -> list[Block]:
    """The whole answer in lines of at most 80 characters."""
    blocks: list[Block] = wrap(headline(found), style="bold")
    blocks += wrap(
        f"{found.file}: {found.tool} on {found.count:,} {found.chip}" + (f", {found.model}" if found.model else ""),
        "  ",
        "    ",
    )
    if found.plan:
        blocks += wrap(f"--plan {found.plan}", "  ", "    ")
    for each in found.calibration:
        blocks += wrap(f"calibrated with {each}", "  ", "    ")
    if isinstance(found.steps, Steady):
        blocks += ["", *steps(found.steps)]
    for figure in found.figures[:MOST_FIGURES]:
        blocks += ["", *one(figure)]
    if len(found.figures) > MOST_FIGURES:
        blocks += ["", f"and {len(found.figures) - MOST_FIGURES} more: see --json"]
    if found.printed:
        blocks += ["", Line("What the tool prints of itself", "bold")]
        for rate in found.printed:
            blocks += wrap(printed(rate), "  ", "    ")
    for title, said in (("Assumed, since nothing else was said", found.assumptions), ("Noted", found.notes)):
        if said:
            blocks += ["", Line(title, "bold")]
            for each in said:
                blocks += wrap(each, "  ", "    ")
    for each in found.warnings:
        blocks += ["", *wrap(f"warning: {each}", "", "  ")]
    return blocks


def headline(found: Check) -> str:
    """The verdict in a sentence, with the likeliest cause."""
    if not found.figures:
        return "Nothing was measured that the model can judge."
    outside = [each for each in found.figures if each.verdict != NORMAL]
    if not outside:
        where = "within the 80 % interval" if len(found.figures) == 1 else "all within their 80 % intervals"
        return f"Normal: {where}."
    furthest = max(outside, key=lambda each: max(each.ratio, 1.0 / each.ratio))
    times = max(furthest.ratio, 1.0 / furthest.ratio)
    of = "" if len(found.figures) == 1 else f" ({len(outside)} of {len(found.figures)} figures are outside)"
    said = f"{WAYS[furthest.verdict].capitalize()} than expected: {TITLES.get(furthest.metric, furthest.metric)} "
    said += f"{short(times)} times off{of}."
    return f"{said} {sentence(furthest)}"


def sentence(figure: Figure) -> str:
    """The likeliest cause, and how sure that is."""
    if figure.beyond_bound:
        return "No chip of that datasheet can be so fast: the question or the log is another one."
    if not figure.causes:
        return "No cause that was tried explains it better than the model's own error."
    best = figure.causes[0]
    if figure.unknown_share >= max(best.share, figure.nothing_share):
        return f"No cause that was tried explains it well; the nearest: {best.title}."
    if figure.nothing_share >= best.share:
        return f"That is not far out: the model may be off. If something is wrong, then: {best.title}."
    peers = alike(figure)
    if best.share >= rank.setting("likely"):
        return f"Likely: {best.title}."
    if len(peers) > 1:
        place, share = next(iter(figure.places.items()))
        where = f" Most of them lie in {PLACES[place]} ({share:.0%})." if len(peers) > 2 else ""
        return f"Several causes explain it about as well: {'; '.join(each.title for each in peers[:3])}.{where}"
    return f"Most likely, though not surely: {best.title}."


def alike(figure: Figure) -> list[Cause]:
    """The causes that explain a figure about as well as the best one."""
    least = rank.setting("as_likely") * figure.causes[0].share
    return [each for each in figure.causes if each.share >= least]


def amount(value: float, unit: str) -> str:
    """A measured number with its unit."""
    if unit == "s":
        return in_seconds(value)
    if unit == "ms":
        return units.seconds(value / 1e3)
    if unit == "B/s":
        return units.si(value, "B/s")
    return short(value)


def one(figure: Figure) -> list[Block]:
    """One figure: measured, expected, where the time should go, and the causes."""
    title = TITLES.get(figure.metric, figure.metric)
    blocks: list[Block] = [Line(f"{title}, {figure.where}" if figure.where else title, "bold")]
    between = f"{amount(figure.low, figure.unit)} to {amount(figure.high, figure.unit)}"
    blocks += wrap(
        f"measured {amount(figure.measured, figure.unit)}, expected {amount(figure.expected, figure.unit)} "
        f"(80 % interval {between}): {figure.verdict}, {short(figure.ratio)} of what is expected",
        "  ",
        "    ",
    )
    whole = sum(figure.time_s.values())
    longest = max(figure.time_s.values(), default=0.0)
    if whole > 0.0:
        blocks.append("  where the time should go")
    names = CAUSES | DECODE | COLLECTIVE | SERVED
    for name, value in figure.time_s.items():
        if value > LEAST_SHOWN * whole:
            chart = bar(value / longest, BAR)
            blocks.append(f"    {names.get(name, name):<20} {in_seconds(value):>9} {percent(value / whole):>7} {chart}")
    if figure.verdict != NORMAL:
        blocks += causes(figure)
    return blocks


def causes(figure: Figure) -> list[Block]:
    """What would explain the figure, the likeliest first."""
    if not figure.n_tried:
        return []
    blocks: list[Block] = [f"  what would explain it ({figure.n_tried} causes tried)"]
    for place, each in enumerate(figure.causes[:MOST_CAUSES], 1):
        said = f"{place}. {each.share:.0%} {each.title}: {amount(each.expected, figure.unit)}"
        if each.size is not None:
            said += f" at {short(each.size)}"
        if each.shown:
            said += f"; the {'launch' if 'no-graphs' in each.shown else 'steps'} show it ({', '.join(each.shown)})"
        if each.denied:
            said += "; the log or the launch says otherwise"
        blocks += wrap(said, "    ", "       ")
        blocks += wrap(f"look at: {each.look}", "       ", "       ", "dim")
    blocks += wrap(
        f"{figure.nothing_share:.0%} nothing is wrong and the model is off; {figure.unknown_share:.0%} something that "
        "was not tried",
        "    ",
        "    ",
    )
    return blocks


def steps(found: Steady) -> list[Block]:
    """What the steps themselves show."""
    blocks: list[Block] = [Line("Steps", "bold")]
    left = [f"{found.n_warm_up} of warm-up"] if found.n_warm_up else []
    left += [f"{found.n_other_batch} of another batch"] if found.n_other_batch else []
    out = f"; left out: {', '.join(left)}" if left else ""
    blocks += wrap(
        f"{found.n:,} lines count, median {in_seconds(found.median_s)}, eight in ten from {in_seconds(found.low_s)} to "
        f"{in_seconds(found.high_s)}{out}",
        "  ",
        "    ",
    )
    for each in found.pauses:
        blocks += wrap(pause(each), "  ", "    ")
    if found.lost_fraction > 0.0:
        blocks.append(f"  pauses take {percent(found.lost_fraction)} of the time")
    if found.shift_step is not None and found.shift_factor is not None:
        blocks += wrap(
            f"from step {found.shift_step:,} on each takes {short(found.shift_factor)} times as long as before: look "
            "at what changed there",
            "  ",
            "    ",
        )
    if found.drift_fraction:
        blocks += wrap(f"they drift: {found.drift_fraction:+.1%} from the first to the last", "  ", "    ")
    if found.levels is not None and found.high_share is not None:
        low, high = found.levels
        blocks += wrap(
            f"they jump between {in_seconds(low)} and {in_seconds(high)}, {percent(found.high_share)} at the upper one",
            "  ",
            "    ",
        )
    if "spread" in found.patterns:
        blocks += wrap(f"they spread: nine in ten over one in ten is {short(found.spread)}", "  ", "    ")
    return blocks


def pause(found: Pause) -> str:
    """Steps that took longer than their neighbours, in words.

    >>> pause(Pause("checkpoint", 3, 12.0, 100, 100))
    'after checkpoint: 3 steps took 12 s more, every 100 steps'
    """
    what = f"after {found.cause}" if found.cause else "without a word in the log"
    n = "1 step" if found.n == 1 else f"{found.n} steps"
    every = f", every {found.every_steps} steps" if found.every_steps else f", first step {found.first_step}"
    return f"{what}: {n} took {in_seconds(found.extra_s)} more{every}"


def printed(rate: Printed) -> str:
    """One rate that the tool printed, and how it counts."""
    if rate.what == "mfu":
        said = f"MFU {percent(rate.printed)}; by our count {percent(rate.ours)} of the dense peak"
        if rate.peak_flop_per_s is not None:
            said += f"; it divides by {units.si(rate.peak_flop_per_s, 'FLOP/s')}"
        return said
    said = f"{short(rate.printed)} TFLOP/s per chip; by our count {short(rate.ours)}"
    if rate.convention in ("", "ours"):
        return said if rate.convention else f"{said}; no way of counting that is known gives its number"
    return f"{said}; it counts {rate.title}"


def csv_text(found: Check) -> str:
    """The measured rows in the form that `validate` and `calibrate` take."""
    from clustercast.report.query import csv_cell

    names = list(dict.fromkeys(name for row in found.rows for name in row))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([csv_cell(row.get(name, "")) for name in names] for row in found.rows)
    return file.getvalue()
