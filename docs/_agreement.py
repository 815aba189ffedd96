"""How the steady state under arrivals agrees with the event simulation, from the committed run of bench/simulate.py."""

import json
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parents[1] / "bench" / "results" / "simulate.json"
NAMES = {
    "throughput": "throughput",
    "tpot": "mean TPOT",
    "ttft": "mean TTFT",
    "ttft_p50": "TTFT, median",
    "ttft_p90": "TTFT, 90th percentile",
    "ttft_p99": "TTFT, 99th percentile",
    "tpot_p50": "TPOT, median",
    "tpot_p90": "TPOT, 90th percentile",
    "tpot_p99": "TPOT, 99th percentile",
    "saturation_spread_lengths": "saturation, lengths that differ",
    "saturation_fixed_lengths": "saturation, fixed lengths",
}
PARTS = ("open_loop", "open_loop_fresh_seeds")


def percent(value: float) -> str:
    """A share in percent, one digit below 10 and near 100."""
    return f"{100 * value:.1f} %" if value < 0.0995 or 0.9 < value < 1.0 else f"{100 * value:.0f} %"


def found() -> dict[str, Any]:
    """The committed result."""
    result: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return result


def table() -> str:
    """Errors of the formulas under arrivals: median and 90th percentile, and how many scenarios are inside."""
    first, fresh = (found()[part] for part in PARTS)
    lines = [
        f"| errors over random scenarios | {first['scenarios']} | {fresh['scenarios']} with fresh seeds | inside |",
        "|---|---|---|---|",
    ]
    for metric, name in NAMES.items():
        cells = [f"{percent(each[metric]['median'])} / {percent(each[metric]['p90'])}" for each in (first, fresh)]
        inside = ""
        if "limit" in first[metric]:
            both = " and ".join(percent(each[metric]["inside"]) for each in (first, fresh))
            inside = f"{both} within {100 * first[metric]['limit']:.0f} %"
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {inside} |")
    both = " and ".join(percent(each["inside_all"]) for each in (first, fresh))
    lines += ["", f"Median / 90th percentile of absolute errors. All three limits are held by {both} of the scenarios."]
    return "\n".join(lines)


CLOSED = {
    "closed_loop_spread_lengths": "lengths differ",
    "closed_loop_spread_lengths_fresh_seed": "lengths differ, fresh seed",
    "closed_loop_fixed_lengths": "fixed lengths: convoys, not described",
    "closed_loop_ten_waves": "ten requests a client from one burst, lengths 80 to 100 % of the longest",
}


def closed_table() -> str:
    """Errors of the closed loop: median, and how many scenarios are inside each limit and all of them."""
    lines = [
        "| random closed loops | scenarios | throughput (3 %) | mean TPOT (5 %) | mean TTFT (15 %) | all three |",
        "|---|---|---|---|---|---|",
    ]
    for part, name in CLOSED.items():
        each = found()[part]
        cells = [
            f"{percent(each[metric]['median'])}, {percent(each[metric]['inside'])}" if metric in each else ""
            for metric in ("throughput", "tpot", "ttft")
        ]
        lines.append(f"| {name} | {each['scenarios']} | {' | '.join(cells)} | {percent(each['inside_all'])} |")
    return "\n".join([*lines, "", "Median of absolute errors, share of scenarios inside the limit."])
