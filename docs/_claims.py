"""Claims of the public debate about export controls, each computed by the tool: called between cog marks.

A claim says what was said and by whom, computes it, and decides from the numbers. S0 to S4 are five public articles of
2023 to 2026 in Chinese: S0 October 2023 on the rule of that month, S1 and S4 January 2025 on the diffusion rule, S2
late 2023 on H20 against H100, S3 January 2026 on H200 exports.
"""

import csv
import datetime
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import clustercast
from clustercast import catalog
from clustercast.catalog import constants
from clustercast.estimates.job import money
from clustercast.estimates.question import Asked, fill
from clustercast.studies import rules

AGREE: Final = "agrees"
DISAGREE: Final = "does not agree"
PARTLY: Final = "partly"
RULE_2022: Final = "3A090 of October 2022"
RULE_2023: Final = "3A090 of October 2023"
POLICY_2026: Final = "review policy of January 2026"
AFTER_2023: Final = datetime.date(2024, 1, 1)
IN_2023: Final = datetime.date(2023, 6, 1)
IN_2026: Final = datetime.date(2026, 2, 1)
FLEETS: Final = Path(__file__).parent / "fleets"


class Found(NamedTuple):
    """What the tool computes of a claim."""

    computed: str
    verdict: str
    why: str = ""


class Claim(NamedTuple):
    """Something that was said, and how it is computed."""

    who: str
    said: str
    compute: Callable[[], Found]


CLAIMS: Final[list[Claim]] = []


def claim(who: str, said: str) -> Callable[[Callable[[], Found]], Callable[[], Found]]:
    """Keep a claim in the order of the file."""

    def keep(compute: Callable[[], Found]) -> Callable[[], Found]:
        CLAIMS.append(Claim(who, said, compute))
        return compute

    return keep


def table() -> str:
    """All claims with what was computed."""
    lines = ["| | who | claim | computed here | verdict | |", "|---|---|---|---|---|---|"]
    for number, each in enumerate(CLAIMS, start=1):
        found = each.compute()
        lines.append(f"| {number} | {each.who} | {each.said} | {found.computed} | **{found.verdict}** | {found.why} |")
    return "\n".join(lines) + "\n"


def verdict(*holds: bool) -> str:
    """Agrees where all of it holds, partly where some does."""
    if all(holds):
        return AGREE
    return PARTLY if any(holds) else DISAGREE


@cache
def paper(chip: str) -> rules.Measured:
    """TPP, density and I/O of a chip."""
    return rules.measured(catalog.find_chip(chip))


@cache
def caught(chip: str, rule: str, on: datetime.date) -> bool:
    """Whether a rule in force on that day catches a chip."""
    found = [each for each in rules.evaluate(chip, on).verdicts if each.rule == rule]
    return bool(found) and bool(found[0].caught)


def clause(chip: str, rule: str, on: datetime.date) -> str:
    """The clause that catches it."""
    return next(each.clause or "none" for each in rules.evaluate(chip, on).verdicts if each.rule == rule)


def close(value: float, said: float, within: float) -> bool:
    """Whether two numbers agree to a share."""
    return abs(value / said - 1.0) <= within


@cache
def days(chip: str, model: str, count: int) -> tuple[float, float, float]:
    """Days of training with their interval."""
    done = clustercast.estimate(chip, model, n_chips=count).training
    assert done is not None
    return done.days, done.days_low, done.days_high


@cache
def decode(chip: str, model: str, count: int, batch: int) -> tuple[float, str]:
    """Milliseconds of a token with so many sequences on all chips, and what limits it."""
    done = clustercast.estimate(chip, model, n_chips=count, batch=batch).serving
    assert done is not None
    return done.tpot_ms, done.limiting_decode


def quantities(rule: str) -> set[str]:
    """What a rule looks at."""
    return {name for clause in rules.rule_of(rule)["clauses"] for name in clause["bounds"]}


def effective(rule: str) -> datetime.date:
    """The day from which a rule holds."""
    return datetime.date.fromisoformat(str(rules.rule_of(rule)["effective"]))


def cap_of(name: str) -> float:
    """TPP that a cap on sums allows."""
    return next(float(entry["limit"]) for entry in constants.table("rules")["caps"] if entry["cap"] == name)


def fleet_tpp(name: str) -> tuple[float, float, dict[str, float]]:
    """TPP of all chips of a fleet, their bytes per second, and TPP by chip."""
    with (FLEETS / f"{name}.csv").open(encoding="utf-8") as file:
        rows = [(row["chip"], float(row["count"])) for row in csv.DictReader(file)]
    by_chip = {chip: count * paper(chip).tpp for chip, count in rows}
    bandwidth = math.fsum(count * (paper(chip).dram or 0.0) for chip, count in rows)
    return math.fsum(by_chip.values()), bandwidth, by_chip


# the rule of October 2023


@claim("S0", "the RTX 4090 has a TPP of just under 2,700 and falls under 3A090.b")
def _() -> Found:
    value = paper("rtx-4090")
    said = f"TPP {value.tpp:,.0f}, {clause('rtx-4090', RULE_2023, AFTER_2023)}"
    return Found(
        said, verdict(2600 <= value.tpp < 2700),
        "2,643 leaves out FP16 with 16-bit sums and FP8, which count; above 4,800 it is under .a, as a consumer card "
        "with the NAC exception",
    )  # fmt: skip


@claim("S0", "nearly every high-end chip is caught by the rule of 2023, which looks at compute and not at bandwidth")
def _() -> Found:
    # high-end, not by the TPP that the rule itself looks at: with stacked memory, on sale when the rule was written
    profiles = [catalog.find_chip(name) for name in catalog.chip_names()]
    stacked = [
        chip
        for chip in profiles
        if chip.data_centre and chip.memory_type.startswith("HBM") and chip.vendor in ("NVIDIA", "AMD", "Intel")
    ]
    on_sale = [chip.name for chip in stacked if "2020" <= chip.released < "2023-11" and chip.status == "shipping"]
    held = [name for name in on_sale if caught(name, RULE_2023, AFTER_2023)]
    since = [chip.name for chip in stacked if chip.released >= "2023-11"]
    free = [name for name in since if not caught(name, RULE_2023, AFTER_2023)]
    return Found(
        f"{len(held)} of {len(on_sale)} data-centre chips with stacked memory of 2020 to October 2023; outside of "
        f"those since: {', '.join(free)}",
        verdict(len(held) >= 0.9 * len(on_sale), not quantities(RULE_2023) & {"io", "dram", "dram_io"}),
        "those made for China since then are what is outside",
    )


@claim("S0", "A800, H800, L40S, MI250 and Gaudi2 are now caught")
def _() -> Found:
    names = ("a800", "h800", "l40s", "mi250", "gaudi2")
    now = [chip for chip in names if caught(chip, RULE_2023, AFTER_2023)]
    before = [chip for chip in names if caught(chip, RULE_2022, IN_2023)]
    return Found(
        f"{len(now)} of {len(names)}; already by the rule of 2022: {', '.join(before) or 'none'}",
        verdict(len(now) == len(names)),
    )


@claim("S0", "slightly slower chips need a notification")
def _() -> Found:
    names = ("a30-pcie-24gb", "mi210", "l20", "a10")
    clauses = {name: clause(name, RULE_2023, AFTER_2023) for name in names}
    return Found(
        ", ".join(f"{name}: {each}" for name, each in clauses.items()),
        verdict(all(clauses[name].startswith("3A090.b") for name in names[:2])),
        "3A090.b: licence exception NAC after notice; L20 and A10 lie 0.02 to 0.06 below the density of 3.2",
    )


@claim("S0", "the rule of 17 October 2023 leaves 30 days until it holds")
def _() -> Found:
    length = (effective(RULE_2023) - datetime.date(2023, 10, 17)).days
    return Found(f"17 October to {effective(RULE_2023):%d %B %Y}: {length} days", verdict(abs(length - 30) <= 1))


@claim("S0", "Gaudi2 for China had 21 Ethernet ports instead of 24 to stay below 600 GB/s, with the same compute")
def _() -> Found:
    full, less = paper("gaudi2"), paper("gaudi2-hl225b")
    assert full.io is not None
    assert less.io is not None
    return Found(
        f"I/O {full.io / 1e9:,.0f} and {less.io / 1e9:,.0f} GB/s, TPP {full.tpp:,.0f} and {less.tpp:,.0f}",
        verdict(full.io >= 600e9 > less.io, full.tpp == less.tpp),
    )


@claim("S2", "the line of 2022 lies at 4,800 (600 TOPS of INT8) and 600 GB/s")
def _() -> Found:
    bounds = next(
        rule["clauses"][0]["bounds"] for rule in constants.table("rules")["rules"] if rule["rule"] == RULE_2022
    )
    return Found(
        f"TPP {bounds['tpp'][0]:,} = 600 x 8, I/O {bounds['io'][0] / 1e9:,.0f} GB/s",
        verdict(bounds["tpp"][0] == 600 * 8, bounds["io"][0] == 600e9),
    )


@claim("S2", "A100: TPP 4,989 over 826 mm2 gives 6.04")
def _() -> Found:
    value = paper("a100")
    assert value.pd is not None
    return Found(
        f"TPP {value.tpp:,.0f}, PD {value.pd:.2f}",
        verdict(close(value.tpp, 4989, 0.001), close(value.pd, 6.04, 0.001)),
        "4,989 is 311.8 x 16",
    )  # fmt: skip


@claim("S2", "of older training chips only V100 and TPU v3 stay outside")
def _() -> Found:
    names = ("v100-sxm2-32gb", "tpu-v3", "t4", "a10")
    free = [chip for chip in names if not caught(chip, RULE_2023, AFTER_2023)]
    return Found(
        f"outside: {', '.join(free)}", verdict(set(names[:2]) <= set(free), len(free) == 2),
        "right for chips that train: T4 and A10 are outside too, and serve",
    )  # fmt: skip


@claim("S2", "density is aimed at chiplets such as the BR100")
def _() -> Found:
    value = paper("br100")
    assert value.pd is not None
    dense = value.pd >= 5.92
    return Found(
        f"BR100: TPP {value.tpp:,.0f}, PD {value.pd:.1f}; at a quarter of its density it would still be caught by TPP",
        PARTLY if dense and value.tpp >= 4800 else DISAGREE,
        "density stops many small dense dies, but a large area of slow dies lowers it: spreading compute helps to pass",
    )


@claim("S2", "H20: TPP 2,368, density 2.9, 96 GB, NVLink 900 GB/s as the H100; not caught")
def _() -> Found:
    value, chip, h100 = paper("h20"), catalog.find_chip("h20"), catalog.find_chip("h100")
    assert value.pd is not None
    same = chip.value("scale_up.per_direction") == h100.value("scale_up.per_direction")
    free = not caught("h20", RULE_2023, AFTER_2023)
    return Found(
        f"TPP {value.tpp:,.0f}, PD {value.pd:.2f}, {value.tpp / 2400:.1%} of the line",
        verdict(value.tpp == 2368, round(value.pd, 1) == 2.9, same, free),
    )


@claim("S2", "the next rule will aim at bandwidth, within about a year")
def _() -> Found:
    letter, stacks = "letter of April 2025", "3A090.c of December 2024"
    months = (effective(letter) - effective(RULE_2023)).days / 30.44
    bounds = [name for each in rules.rule_of(letter)["clauses"] for name in each["bounds"]]
    before = (effective(stacks) - effective(RULE_2023)).days / 30.44
    return Found(
        f"{letter}, {months:.0f} months later: {', '.join(rules.NAMES[name] for name in bounds)}; {stacks}, "
        f"{before:.0f} months later: {', '.join(rules.NAMES[name] for name in sorted(quantities(stacks)))}",
        verdict("dram" in bounds, months <= 15.0),
        "the direction is right; what holds for whole chips came later than said, what holds for memory sold alone did "
        "not",
    )


# what the chips do


@claim("S2", "10,000 H100 train GPT-4 (1.8T) in 3 months, 10,000 V100 in 2 years")
def _() -> Found:
    h100, v100 = days("h100", "1.8T", 10000), days("v100-sxm2-32gb", "1.8T", 10000)
    return Found(
        f"{h100[0]:.0f} days ({h100[1]:.0f}–{h100[2]:.0f}) and {v100[0] / 365.25:.1f} years "
        f"({v100[1] / 365.25:.1f}–{v100[2] / 365.25:.1f}); {v100[0] / h100[0]:.1f} times",
        verdict(h100[1] <= 91 <= h100[2], v100[1] <= 730 <= v100[2]),
    )


@claim("S2", "the A800's slower NVLink (400 for 600 GB/s) is often immaterial")
def _() -> Found:
    ratios = {
        model: days("a800", model, 1024)[0] / days("a100", model, 1024)[0] - 1.0
        for model in ("llama-3.1-8b", "llama-3.1-70b", "1.8T")
    }
    pinned = [
        clustercast.estimate(chip, "llama-3.1-70b", n_chips=1024, plan="tp=8,pp=4,dp=32,cp=1").training
        for chip in ("a800", "a100")
    ]
    assert pinned[0] is not None
    assert pinned[1] is not None
    held = pinned[0].days / pinned[1].days - 1.0
    each = ", ".join(f"{model} {ratio:+.1%}" for model, ratio in ratios.items())
    return Found(
        f"training days, best plan of each: {each}; at TP 8 for both {held:+.1%}", verdict(max(ratios.values()) < 0.05),
        "where tensor parallelism is wide it costs; the best plan goes round it",
    )  # fmt: skip


@claim("S2", "H20 may beat the H100 in inference and lags in training")
def _() -> Found:
    small = {chip: decode(chip, "llama-3.1-70b", 8, 16) for chip in ("h20", "h100")}
    large = {chip: decode(chip, "deepseek-v3", 32, 2048) for chip in ("h20", "h100")}
    slower = days("h20", "1.8T", 10000)[0] / days("h100", "1.8T", 10000)[0]
    faster = small["h100"][0] / small["h20"][0]
    latent = large["h100"][0] / large["h20"][0]
    return Found(
        f"Llama 70B on 8 cards, 16 in flight: {faster:.2f} x the H100; DeepSeek-V3 on 32, 2,048 in flight: "
        f"{latent:.2f} x; training 1.8T {slower:.1f} times as long",
        verdict(faster > 1.0, slower > 3.0),
        "only where decoding waits for memory: not in prefill, not with large batches, not with latent attention; a "
        "lead of a tenth lies within the error of the estimate",
    )


@claim("S3", "B200 and B300 have multiples of the H100's compute and bandwidth")
def _() -> Found:
    h100 = catalog.find_chip("h100")
    ratios, multiples = [], []
    for name in ("b200", "b300"):
        chip = catalog.find_chip(name)
        both = [chip.value(key) / h100.value(key) for key in ("peaks.fp8", "memory.bandwidth")]
        ratios.append(f"{name}: FP8 x {both[0]:.2f}, bandwidth x {both[1]:.2f}")
        multiples += both
    return Found("; ".join(ratios), verdict(*(each >= 2.0 for each in multiples)))


@claim("S4", "an Ascend 910B is about an A100")
def _() -> Found:
    ratio = paper("ascend-910b3").tpp / paper("a100").tpp
    slower = days("ascend-910b", "llama-3.1-70b", 1024)[0] / days("a100", "llama-3.1-70b", 1024)[0]
    return Found(
        f"TPP {ratio:.3f} of it; Llama 70B trains in {slower:.2f} times the days", verdict(close(ratio, 1.0, 0.05)),
        "on paper; bandwidth, memory and links are less",
    )  # fmt: skip


@claim("S3", "weights in INT4 instead of FP16 are an acceptable loss: what do they buy?")
def _() -> Found:
    chips = {}
    for precision in ("bf16", "w4a16"):
        done = clustercast.estimate("h20", "llama-3.1-70b", n_chips=8, batch=16, precision=precision).serving
        assert done is not None
        chips[precision] = done.tpot_ms
    wide, narrow = chips["bf16"], chips["w4a16"]
    return Found(
        f"a token of Llama 70B on 8 H20, 16 in flight: {wide:.1f} ms and {narrow:.1f} ms, {wide / narrow:.2f} x",
        "not judged", "quality is not hardware; a quarter of the bytes buys less than 4 x",
    )  # fmt: skip


@claim("S2", "H100: 2023, 4 nm, 900 TFLOP/s; V100: 2017, 12 nm, 130 TFLOP/s")
def _() -> Found:
    h100, v100 = catalog.find_chip("h100"), catalog.find_chip("v100-sxm2-32gb")
    v100s = catalog.find_chip("v100s-pcie-32gb")
    rates = [(chip.value("peaks.fp16") or 0.0) / 1e12 for chip in (h100, v100, v100s)]
    return Found(
        f"dense FP16: H100 {rates[0]:,.0f}, V100 {rates[1]:,.0f}, V100S {rates[2]:,.0f} TFLOP/s",
        verdict(close(rates[0], 900, 0.1), close(rates[1], 130, 0.02)),
        "the H100 was announced in March 2022; 130 is the V100S of 2019",
    )


@claim("S2", "the densities 5.92, 3.2 and 1.6 are those of 7, 12 and 28 nm")
def _() -> Found:
    names = ("v100-sxm2-32gb", "t4", "a100", "h100")
    values = {name: paper(name).pd or 0.0 for name in names}
    return Found(
        ", ".join(f"{name} {value:.2f}" for name, value in values.items()),
        verdict(values["a100"] > 5.92, values["v100-sxm2-32gb"] > 3.2),
        "the best of 7 nm (A100) lies just above the first; 12 nm chips lie at 1.9 to 2.5, below the second; a planar "
        "die of 28 nm has no density in the rule",
    )


@claim("S0", "the 4090D is made to pass")
def _() -> Found:
    value = paper("rtx-4090d")
    return Found(
        f"TPP {value.tpp:,.0f} of 4,800, {value.tpp / 4800:.1%}; caught: "
        f"{'yes' if caught('rtx-4090d', RULE_2023, AFTER_2023) else 'no'}",
        verdict(not caught("rtx-4090d", RULE_2023, AFTER_2023)),
        "not for data centres, below 4,800: note 2",
    )


# the diffusion rule


@claim("S1", "1,700 GPUs pass without a licence, outside the cap")
def _() -> Found:
    limit = cap_of("low processing performance exception")
    cards = limit / paper("h100").tpp
    return Found(f"{limit / 1e6:.1f}M TPP = {cards:,.0f} H100", verdict(close(cards, 1700, 0.01)))


@claim("S1", "the country cap is 50,000 chips")
def _() -> Found:
    limit = cap_of("country cap of the diffusion rule")
    cards = limit / paper("h100").tpp
    counts = caught("h20", RULE_2023, AFTER_2023)
    return Found(
        f"{limit / 1e6:.0f}M TPP = {cards:,.0f} H100, {limit / paper('b300').tpp:,.0f} B300; H20 count: "
        f"{'yes' if counts else 'no'}",
        verdict(close(cards, 50000, 0.01)),
        "for 2025 to 2027, three years and not two; chip counts age by four in two generations. Whether it is enough "
        "is not judged",
    )


@claim("S1", "a comment period of 120 days")
def _() -> Found:
    length = (datetime.date(2025, 5, 15) - datetime.date(2025, 1, 15)).days
    return Found(f"15 January to 15 May 2025: {length} days", verdict(length == 120))


# January 2026


@claim("S3", "the line of 2026 (TPP below 21,000, bandwidth below 6,500 GB/s) lets H200 and MI325X pass")
def _() -> Found:
    parts = []
    passes = {}
    for name in ("h200", "mi325x", "b30a", "b200"):
        value = paper(name)
        passes[name] = not caught(name, POLICY_2026, IN_2026)
        review = "case by case" if passes[name] else "denial"
        parts.append(f"{name} {value.tpp:,.0f} and {(value.dram or 0.0) / 1e9:,.0f}: {review}")
    return Found(
        "; ".join(parts), verdict(passes["h200"], passes["mi325x"], not passes["b30a"], not passes["b200"]),
        f"the MI325X passes by {21000 - paper('mi325x').tpp:,.0f} TPP",
    )  # fmt: skip


@claim("S3", "2025: the United States made 3.67M B300 equivalents, Huawei 40 to 146 thousand, 1 to 4 %")
def _() -> Found:
    b300 = paper("gb300-nvl72").tpp
    american, _, _ = fleet_tpp("us-2025")
    huawei, _, _ = fleet_tpp("huawei-2025")
    least = 200_000 * paper("ascend-910c").tpp
    return Found(
        f"{american / b300 / 1e6:.2f}M and {huawei / b300 / 1e3:,.0f}k of {b300:,.0f} TPP, {huawei / american:.1%}; a "
        f"testimony's 200,000 Ascend 910C: {least / b300 / 1e3:,.0f}k, {least / american:.1%}",
        verdict(close(american / b300, 3.67e6, 0.1), close(huawei / b300, 146e3, 0.1), close(least / b300, 40e3, 0.1)),
        "units as Epoch counts them; by compute of the 4-bit format, which no Ascend has",
    )


@claim("S3", "the gap in compute is one to two orders of magnitude")
def _() -> Found:
    american, american_bytes, _ = fleet_tpp("us-2025")
    huawei, huawei_bytes, _ = fleet_tpp("huawei-2025")
    by_tpp, by_bytes = american / huawei, american_bytes / huawei_bytes
    return Found(
        f"chips made in 2025: {by_tpp:.0f} times by TPP, {by_bytes:.0f} by memory bandwidth",
        verdict(10.0 <= by_tpp <= 100.0, 10.0 <= by_bytes <= 100.0),
        "by what the two sides' vendors make in a year; by what a country's laboratories hold it turns on stocks that "
        "nobody publishes",
    )


@claim("this tool", "the same by memory bandwidth: what H20 alone weigh against Huawei's year")
def _() -> Found:
    with (FLEETS / "us-2025.csv").open(encoding="utf-8") as file:
        n_h20 = next(float(row["count"]) for row in csv.DictReader(file) if row["chip"] == "h20-96gb")
    huawei_tpp, huawei_bytes, _ = fleet_tpp("huawei-2025")
    by_tpp = n_h20 * paper("h20").tpp / huawei_tpp
    by_bytes = n_h20 * (paper("h20").dram or 0.0) / huawei_bytes
    return Found(
        f"{n_h20:,.0f} H20: {by_tpp:.2f} of Huawei's year by TPP, {by_bytes:.2f} by bandwidth",
        verdict(by_bytes > 5.0 * by_tpp), "any count of a country's compute has to say its weight",
    )  # fmt: skip


@claim("S3", "exports of B30A would turn a lead of 31 into less than 4")
def _() -> Found:
    base = 1.0 / 31.0
    additional = 0.25 - base
    displaced = (1.0 - 4.0 * base) / 5.0
    return Found(
        f"it takes {displaced:.1%} of US output if exports displace, {additional:.1%} if they add", "not judged",
        "how much would be exported is an assumption; the arithmetic holds",
    )  # fmt: skip


@claim("S3", "renting in a cloud costs at least twice what owning does")
def _() -> Found:
    question = fill(Asked("h100", "llama-3.1-8b", n_chips=8))
    rent = question.chip.get("price.rent")
    assert rent is not None
    own = money(question).own_usd_per_chip_hour
    low, usual, high = (value / own for value in (rent.low or rent.value, rent.value, rent.high or rent.value))
    return Found(
        f"H100: own {own:.2f} USD an hour, rent {rent.low:.2f} to {rent.high:.2f} ({rent.value:.2f} for a year): "
        f"{low:.1f} to {high:.1f} times, {usual:.1f} for a year",
        PARTLY if high >= 2.0 > usual else verdict(usual >= 2.0),
        "true of on-demand list prices, not of yearly contracts",
    )  # fmt: skip


@claim("S3", "a data-centre GPU lives 1 to 2 years, 3 at most")
def _() -> Found:
    between_s = constants.default("reliability", "chip_mtbf_s").value
    yearly = 365.25 * 86400.0 / between_s
    needed = math.log(2.0) / 2.0
    return Found(
        f"{yearly:.2f} interruptions per card and year on 16,384 H100, most over after a restart; a median life of 2 "
        f"years needs {needed:.2f} deaths",
        verdict(yearly >= needed),
        "even if every interruption were a death; books say 4 to 6 years. What ages faster is what a card earns",
    )


@claim("S2", "a GPU die is 100 times a phone's")
def _() -> Found:
    area = catalog.find_chip("h100").value("die_area")
    assert area is not None
    return Found(f"{area:,.0f} mm2 against about 105: {area / 105:.0f} times", verdict(area / 105 > 50))
