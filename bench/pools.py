"""Does prefill on one chip with decode on another beat either alone per dollar? Writes the tables of docs/pools.md.

python3 bootstrap.py python bench/pools.py
"""

import json
import time
from pathlib import Path
from typing import Any

import clustercast
from clustercast.errors import NoAnswer
from clustercast.estimates.job import usd_per_chip_hour
from clustercast.studies.serving import split

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench/results/pools.json"
PAGE = ROOT / "docs/pools.md"
PREFILL, DECODE = "h100", "h20"
MODELS = {"llama-3.1-70b": 64, "deepseek-v3": 128}
MIXES = ((1024, 1024), (4096, 1024), (16384, 1024), (1024, 4096), (8192, 256))
OBJECTIVES = ((2.0, 0.03), (2.0, 0.05), (5.0, 0.1))


def run(model: str, count: int, mix: tuple[int, int], objective: tuple[float, float]) -> dict[str, Any]:
    """One comparison: the mixed pools and what either chip does alone, on as many chips."""
    row: dict[str, Any] = {
        "model": model,
        "count": count,
        "input_len": mix[0],
        "output_len": mix[1],
        "ttft_s": objective[0],
        "tpot_s": objective[1],
    }
    asked = {"n_chips": count, "input_len": mix[0], "output_len": mix[1]} | {
        "ttft_s": objective[0],
        "tpot_s": objective[1],
    }
    try:
        found = clustercast.pools(PREFILL, DECODE, model, **asked)
    except NoAnswer as error:
        return row | {"why": error.message}
    row["mixed"] = {
        "usd": found.cost_usd_per_million_output_tokens_all_in,
        "split": [found.prefill.count, found.decode.count],
        "requests_per_s": found.requests_per_s,
        "bottleneck": found.bottleneck,
        "idle": [found.prefill.idle_fraction, found.decode.idle_fraction],
        "plans": [found.prefill.plan_text, found.decode.plan_text],
        "decode_batch": found.decode.batch_per_replica,
        "limiting": [found.prefill.limiting, found.decode.limiting],
        "tpot_ms": found.tpot_ms,
    }
    row["break_even_usd_per_h"] = found.decode_usd_per_chip_hour_break_even
    row["usd_per_h"] = [found.prefill.usd_per_chip_hour, found.decode.usd_per_chip_hour]
    row["alone"] = {each.name: each.cost_usd_per_million_output_tokens_all_in for each in found.alternatives}
    return row


def table(rows: list[dict[str, Any]], model: str) -> list[str]:
    """One model's comparisons as a table of USD per million output tokens."""
    names = [name for row in rows if row["model"] == model and "alone" in row for name in row["alone"]]
    names = list(dict.fromkeys(names))
    short = {name: name.partition("-")[0].upper() + name.partition(",")[2] for name in names}
    head = ["in / out", "TPOT", "H100 + H20", *(short[name] for name in names), "split", "H20 even at"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        if row["model"] != model:
            continue
        first = [f"{row['input_len']:,} / {row['output_len']:,}", f"{1e3 * row['tpot_s']:.0f} ms"]
        if "mixed" not in row:
            lines.append("| " + " | ".join([*first, "none", *("" for _ in head[3:])]) + " |")
            continue
        costs = {"mixed": row["mixed"]["usd"]} | {name: row["alone"].get(name) for name in names}
        least = min(cost for cost in costs.values() if cost is not None)
        cells = [
            "none" if cost is None else f"**{cost:.2f}**" if cost == least else f"{cost:.2f}" for cost in costs.values()
        ]
        even = row["break_even_usd_per_h"]
        tail = ["{}+{}".format(*row["mixed"]["split"]), "" if even is None else f"{even:.2f}"]
        lines.append("| " + " | ".join([*first, *cells, *tail]) + " |")
    return lines


def alone(chip: str, model: str, count: int, mix: tuple[int, int], objective: tuple[float, float]) -> dict[str, Any]:
    """Tokens per second that a chip prefills and decodes in a pool of its own, and per dollar."""
    side = split.Side(chip)
    aim = {"ttft_s": objective[0], "tpot_s": objective[1]}
    asked = split.PoolsAsked(model, side, side, count, input_len=mix[0], output_len=mix[1], **aim)
    question = split.question_of(asked, side, count)
    goal = split.goal_of(asked, question)
    usd = usd_per_chip_hour(question.base)[0]
    found = {"usd_per_h": usd}
    for name, kind, length in (("prefill", split.PREFILL, mix[0]), ("decode", split.DECODE, mix[1])):
        setting = split.undisturbing(question.setting) if kind == split.PREFILL else question.setting
        best = split.filled(split.best_by_size(setting, count, goal, kind, {}), count)
        rate = best.rate * length / count if best else 0.0
        found |= {name: rate, f"{name}_per_usd": rate * 3600.0 / usd}
        found[f"{name}_plan"] = split.shown_plan(best.option.plan) if best else ""
    return found


def why(model: str, rows: list[dict[str, Any]]) -> list[str]:
    """What each chip prefills and decodes for a dollar: the ratio says which pool it belongs in."""
    head = ["in / out", "TPOT", *(f"{chip} {phase}" for phase in ("prefill", "decode") for chip in ("H100", "H20"))]
    head += ["H20 over H100 per dollar: prefill", "decode"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        if row["model"] != model:
            continue
        one, two = row["chips"][PREFILL], row["chips"][DECODE]
        cells = [f"{row['input_len']:,} / {row['output_len']:,}", f"{1e3 * row['tpot_s']:.0f} ms"]
        cells += [f"{chip[phase]:,.0f}" for phase in ("prefill", "decode") for chip in (one, two)]
        for phase in ("prefill_per_usd", "decode_per_usd"):
            cells.append(f"{two[phase] / one[phase]:.2f}" if one[phase] else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def count_of_wins(rows: list[dict[str, Any]], model: str) -> str:
    """How often the mixed pools cost least."""
    judged = [row for row in rows if row["model"] == model and "mixed" in row]
    wins = []
    for row in judged:
        others = [cost for cost in row["alone"].values() if cost is not None]
        wins.append(not others or row["mixed"]["usd"] < min(others))
    usd = judged[0]["usd_per_h"]
    return (
        f"H100 prefill with H20 decode costs least in {sum(wins)} of {len(judged)} cases, at {usd[0]:.2f} USD an hour "
        f"for an H100 and {usd[1]:.2f} for an H20; {judged[0]['count']} chips."
    )


def main() -> None:
    """Every model, mix and objective."""
    started = time.perf_counter()
    rows = [run(model, count, mix, aim) for model, count in MODELS.items() for mix in MIXES for aim in OBJECTIVES]
    for row in rows:
        mix, aim = (row["input_len"], row["output_len"]), (row["ttft_s"], row["tpot_s"])
        row["chips"] = {chip: alone(chip, row["model"], row["count"], mix, aim) for chip in (PREFILL, DECODE)}
    RESULTS.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for model in MODELS:
        begin, end = f"<!-- bench/pools.py: {model} -->", f"<!-- end: {model} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = (
            before
            + "\n".join(
                [begin, "", count_of_wins(rows, model), "", *table(rows, model), "", *why(model, rows), "", end]
            )
            + after
        )
    PAGE.write_text(page, encoding="utf-8")
    print(f"{len(rows)} comparisons in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
