"""The study of the H20: every table and every number in `why-h20.md`, called between cog marks."""

import datetime
from functools import cache
from typing import Final

import clustercast
from clustercast import catalog
from clustercast.catalog import constants
from clustercast.report.layout import percent, short
from clustercast.report.text import LIMITS
from clustercast.studies import rules
from clustercast.studies.compare import Comparison
from clustercast.studies.serving.crossover import DECODE, PREFILL, Crossover
from clustercast.studies.serving.pools import Pools
from clustercast.studies.why import Why

CHIPS: Final = ("h100", "h20", "a100", "a800", "ascend-910b", "v100")
DENSE: Final = "llama-3.1-70b"
LATENT: Final = "deepseek-v3"
LARGE: Final = "1.8T"
CARDS: Final = 10000
RULE: Final = "3A090 of October 2023"
LETTER: Final = "letter of April 2025"
LINE: Final = 2400.0
PROPERTIES: Final = {
    "compute": "compute",
    "hbm_bandwidth": "memory bandwidth",
    "hbm_capacity": "memory capacity",
    "scale_up": "scale-up links",
    "scale_out": "network",
    "rest": "kernels and formats",
}


def rows(*cells: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    head, *body = cells
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body)]) + "\n"


@cache
def against(model: str, count: int, batch: int | None = None) -> Why:
    """What separates the H20 from the H100."""
    return clustercast.why("h20", model, other="h100", n_chips=count, batch=batch)


def datasheet() -> str:
    """What the datasheets say, and what the H20 keeps of an H100."""
    lines = [("", "BF16 TFLOP/s", "memory TB/s", "memory GiB", "link GB/s", "FLOP per byte", "power W")]
    for name in ("h100", "h800", "h20", "a100", "a800", "ascend-910b", "v100-sxm2-32gb"):
        chip = catalog.find_chip(name)
        flops = chip.value("peaks.fp16")
        bandwidth = chip.value("memory.bandwidth")
        lines.append(
            (
                chip.name, f"{flops / 1e12:,.0f}", f"{bandwidth / 1e12:.2f}",
                f"{chip.value('memory.capacity') / 2**30:.0f}", f"{chip.value('scale_up.per_direction') / 1e9:.0f}",
                f"{flops / bandwidth:.0f}", f"{chip.value('power'):.0f}",
            )
        )  # fmt: skip
    return rows(*lines)


def kept() -> str:
    """The H20 over the H100, number by number."""
    h20, h100 = catalog.find_chip("h20"), catalog.find_chip("h100")
    names = (
        ("compute", "peaks.bf16"),
        ("memory bandwidth", "memory.bandwidth"),
        ("memory capacity", "memory.capacity"),
        ("links", "scale_up.per_direction"),
    )
    said = [f"{percent(h20.value(key) / h100.value(key))} of the {name}" for name, key in names]
    return f"Of an H100 the H20 keeps {', '.join(said)}.\n"


def verdicts() -> str:
    """What the rules measure of each chip, and what they say."""
    before, after, now = datetime.date(2023, 6, 1), datetime.date(2024, 6, 1), datetime.date(2025, 6, 1)
    lines = [("", "TPP", "density", "rule of 2022", "rule of 2023", "letter of 2025")]
    for name in ("a100", "a800", "h100", "h800", "l20", "h20", "v100-sxm2-32gb"):
        value = rules.measured(catalog.find_chip(name))
        answers = []
        for rule, day in (("3A090 of October 2022", before), (RULE, after), (LETTER, now)):
            found = [each for each in rules.evaluate(name, day).verdicts if each.rule == rule]
            caught = found[0].caught if found and found[0].applies else None
            answers.append({True: "caught", False: "free", None: "–"}[caught])
        lines.append((name, f"{value.tpp:,.0f}", f"{value.pd or 0.0:.2f}", *answers))
    return rows(*lines)


def margin() -> str:
    """How near the line the H20 is."""
    value = rules.measured(catalog.find_chip("h20"))
    return f"TPP {value.tpp:,.0f} is {percent(value.tpp / LINE)} of the line of {LINE:,.0f} for a die as dense as its own.\n"


def planks() -> str:
    """The shortest plank of every job on the H20, and what separates it from the H100."""
    lines = [
        (
            "model",
            "job",
            "limited by",
            "+10 % of it buys",
            "the H100 does",
            "of that compute",
            "memory bandwidth",
            "the rest",
        )
    ]
    for model, count, batch in ((LARGE, CARDS, None), (DENSE, 8, 16), (LATENT, 32, 2048)):
        for one in against(model, count, batch).jobs:
            if one.other_tokens_per_s is None:
                continue
            plank = max(one.planks, key=lambda each: each.same_plan)
            parts = {part.property: part.factor for part in one.parts}
            rest = 1.0
            for name, factor in parts.items():
                rest *= 1.0 if name in ("compute", "hbm_bandwidth") else factor
            batched = f", {batch:,} in flight" if batch and one.job == "decode" else ""
            lines.append(
                (
                    f"{model} on {count:,}{batched}", one.job, LIMITS.get(one.limiting, one.limiting),
                    f"{100.0 * plank.same_plan:+.1f} %", f"x {short(one.other_tokens_per_s / one.tokens_per_s)}",
                    f"x {short(parts.get('compute', 1.0))}", f"x {short(parts.get('hbm_bandwidth', 1.0))}",
                    f"x {short(rest)}",
                )
            )  # fmt: skip
    return rows(*lines)


@cache
def crossed(model: str, count: int) -> Crossover:
    """H20 against H100 over batch and context."""
    return clustercast.crossover(
        "h20", "h100", model, n_chips=count, batches=(1, 4, 16, 64, 256, 1024), contexts=(2048, 8192, 32768)
    )


def crossover(model: str, count: int, phase: str = DECODE) -> str:
    """Tokens per second of an H20 over those of an H100: batch across, context down."""
    found = crossed(model, count)
    lines = [("context", *(f"{batch:,}" for batch in found.batches))]
    for context in found.contexts:
        ratios = []
        for batch in found.batches:
            one = next(c for c in found.cells if (c.phase, c.batch, c.context) == (phase, batch, context))
            ratios.append(
                "–" if one.ratio is None else f"**{one.ratio:.2f}**" if one.ratio > 1.0 else f"{one.ratio:.2f}"
            )
        lines.append((f"{context:,}", *ratios))
    return rows(*lines)


def turns(model: str, count: int) -> str:
    """The batch at which decode turns from memory-bound to compute-bound."""
    found = crossed(model, count)
    said = []
    for context in found.contexts:
        at = {turn.chip: turn for turn in found.turns if turn.context == context}
        each = []
        for name in (found.chip, found.other):
            turn = at[name]
            each.append(f"{name} {'never before memory is full' if turn.batch is None else f'{turn.batch:,.0f}'}")
        said.append(f"{context:,} tokens: {', '.join(each)}")
    return f"Decode of {model} on {count} cards turns compute-bound at a batch of: {'; '.join(said)}.\n"


def prefill_range() -> str:
    """How far behind the H20 is in prefill."""
    ratios = [c.ratio for model, count in ((DENSE, 8), (LATENT, 32)) for c in crossed(model, count).cells
              if c.phase == PREFILL and c.ratio is not None]  # fmt: skip
    return f"In prefill an H20 does {min(ratios):.2f} to {max(ratios):.2f} of an H100, at any length.\n"


@cache
def compared(equal: str) -> Comparison:
    """All chips on equal cards or dollars."""
    return clustercast.compare(CHIPS, (DENSE, LATENT), n_chips=1024, equal=equal)


def equivalents() -> str:
    """Cards of each chip that equal one H100, by job."""
    found = compared("cards")
    lines = [("", *(f"{model}: {job}" for model in found.models for job in ("training", "prefill", "decode")))]
    for chip in found.chips:
        cells = []
        for model in found.models:
            row = next(row for row in found.rows if (row.model, row.chip) == (model, chip))
            for job in ("training", "prefill", "decode"):
                one = row.jobs.get(job)
                cells.append("–" if one is None or one.equals_reference is None else short(one.equals_reference, 2))
        lines.append((chip, *cells))
    return rows(*lines)


def money() -> str:
    """Dollars per million tokens, rented, by job."""
    found = compared("cards")
    lines = [
        ("", "USD an hour", *(f"{model}: {job}" for model in found.models for job in ("training", "prefill", "decode")))
    ]
    for chip in found.chips:
        cells = []
        for model in found.models:
            row = next(row for row in found.rows if (row.model, row.chip) == (model, chip))
            for job in ("training", "prefill", "decode"):
                one = row.jobs.get(job)
                cells.append("–" if one is None else short(one.usd_per_million_tokens, 2))
        first = next(row for row in found.rows if row.chip == chip and row.jobs)
        one = next(iter(first.jobs.values()))
        lines.append((chip, short(one.usd_per_million_tokens * one.tokens_per_s_per_chip * 3600.0 / 1e6), *cells))
    return rows(*lines)


@cache
def apart() -> Pools:
    """Prefill on H100, decode on H20."""
    return clustercast.pools("h100", "h20", DENSE, n_chips=64, input_len=4096, output_len=1024, ttft_s=2.0, tpot_s=0.05)


def mixed() -> str:
    """What the mixed cluster costs against either chip alone."""
    return clustercast.report_text(apart())  # type: ignore[attr-defined,no-any-return]


def price(chip: str) -> float:
    """Rent of a chip-hour where it is guessed from its price."""
    return constants.default("price", "rent_per_buy_hour").value * catalog.find_chip(chip).value("price.buy")
