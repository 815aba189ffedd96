"""The study of the H20: every table and every number in `why-h20.md`, called between cog marks."""

import datetime
from functools import cache
from typing import Final, NamedTuple

import clustercast
from clustercast import catalog
from clustercast.report.layout import percent, short
from clustercast.report.text import LIMITS
from clustercast.studies import rules
from clustercast.studies.compare import Comparison
from clustercast.studies.design import Design
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
    lines: list[tuple[str, ...]] = [
        ("", "BF16 TFLOP/s", "memory TB/s", "memory GiB", "link GB/s", "FLOP per byte", "power W")
    ]
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
    lines: list[tuple[str, ...]] = [("", "TPP", "density", "rule of 2022", "rule of 2023", "letter of 2025")]
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
    share = percent(value.tpp / LINE)
    return f"TPP {value.tpp:,.0f} is {share} of the line of {LINE:,.0f} for a die as dense as its own.\n"


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
    lines: list[tuple[str, ...]] = [("context", *(f"{batch:,}" for batch in found.batches))]
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
    lines: list[tuple[str, ...]] = [
        ("", *(f"{model}: {job}" for model in found.models for job in ("training", "prefill", "decode")))
    ]
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
        guessed = "~" if "guessed" in first.price_basis else ""
        lines.append((chip, f"{guessed}{short(first.usd_per_chip_hour)}", *cells))
    return rows(*lines)


@cache
def apart() -> Pools:
    """Prefill on H100, decode on H20."""
    return clustercast.pools("h100", "h20", DENSE, n_chips=64, input_len=4096, output_len=1024, ttft_s=2.0, tpot_s=0.05)


def mixed() -> str:
    """What the mixed cluster costs against either chip alone."""
    found = apart()
    lines: list[tuple[str, ...]] = [("64 cards", "USD per million output tokens", "output tokens/s per card")]
    lines += [
        (each.name, "–" if each.usd is None else f"{each.usd:.2f}", "–" if each.speed is None else short(each.speed))
        for each in choices(found)
    ]
    return rows(*lines)


class Choice(NamedTuple):
    """One way to spend the same cards."""

    name: str
    usd: float | None
    speed: float | None


def choices(found: Pools) -> list[Choice]:
    """The mixed split and what the same number of cards does otherwise."""
    both = Choice(
        f"{found.prefill.count} H100 prefill, {found.decode.count} H20 decode",
        found.cost_usd_per_million_output_tokens_all_in,
        found.output_tokens_per_s_per_chip,
    )
    return [both] + [
        Choice(each.name, each.cost_usd_per_million_output_tokens_all_in, each.output_tokens_per_s_per_chip)
        for each in found.alternatives
    ]


@cache
def designed() -> Design:
    """The best chip under the rule of 2023 for a dense model."""
    return clustercast.design(DENSE)


def frontier() -> str:
    """Real chips in per cent of the best that the rule allows."""
    found = designed()
    lines: list[tuple[str, ...]] = [("", "TPP", "memory TB/s", "within the rule", "training", "prefill", "decode")]
    best = found.best["decode"].point
    lines.append(
        (
            "**the best that the rule allows**",
            f"{best.tpp:,.0f}",
            f"{best.hbm_bytes_per_s / 1e12:.2f}",
            "yes",
            "100 %",
            "100 %",
            "100 %",
        )
    )
    for each in found.standings:
        shares = [each.share.get(job) for job in ("training", "prefill", "decode")]
        lines.append(
            (
                each.point.name, f"{each.point.tpp:,.0f}", f"{each.point.hbm_bytes_per_s / 1e12:.2f}",
                "yes" if each.point.holds else "no",
                *("–" if share is None else f"{100.0 * share:.0f} %" for share in shares),
            )
        )  # fmt: skip
    return rows(*lines)


def almost() -> str:
    """How near the frontier the H20 stands."""
    h20 = next(each for each in designed().standings if each.point.name == "h20-96gb")
    shares = [f"{percent(h20.share[job] or 0.0)} in {job}" for job in ("training", "prefill", "decode")]
    return f"Of the best chip that the rule allows, the H20 reaches {', '.join(shares)}.\n"


def lost() -> str:
    """What each rule leaves of what silicon could do."""
    sets = designed().rule_sets
    names = {"2022": "October 2022", "2023": "October 2023", "letter": "with the letter of April 2025"}
    lines: list[tuple[str, ...]] = [("best chip under", "training", "prefill", "decode")]
    for key, name in names.items():
        cells = []
        for job in ("training", "prefill", "decode"):
            now, free = sets[key][job].tokens_per_s, sets["none"][job].tokens_per_s
            cells.append("–" if now is None or free is None else f"{100.0 * now / free:.0f} %")
        lines.append((name, *cells))
    return rows(*lines)


def letter() -> str:
    """What the letter takes from what the rule left."""
    sets = designed().rule_sets
    said = []
    for job in ("training", "prefill", "decode"):
        before, after = sets["2023"][job].tokens_per_s, sets["letter"][job].tokens_per_s
        if before and after:
            said.append(f"{100.0 * (after / before - 1.0):+.0f} % in {job}")
    return f"The letter of April 2025 takes from what the rule of 2023 left: {', '.join(said)}.\n"


def caps() -> str:
    """What one more bound would cost the best chip."""
    lines: list[tuple[str, ...]] = [("bound on", "at", "training", "prefill", "decode")]
    for step in designed().cap_costs:
        value = (
            f"{step.value / 1e12:.2f} TB/s"
            if step.cap in ("hbm_bandwidth", "io")
            else (f"{step.value / 2**30:.0f} GiB" if step.cap == "hbm_capacity" else short(step.value))
        )
        cells = [
            "–" if change is None else f"{100.0 * change:+.0f} %"
            for change in (step.change.get(job) for job in ("training", "prefill", "decode"))
        ]
        lines.append((step.cap.replace("_", " "), value, *cells))
    return rows(*lines)
