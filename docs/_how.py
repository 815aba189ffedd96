"""The numbers of docs/how-it-works.md: one estimate, taken apart."""

from functools import cache

import clustercast
from clustercast import catalog, units
from clustercast.estimates.result import Estimate, Serving, Training
from clustercast.report.layout import percent, short
from clustercast.report.text import CAUSES, in_seconds

CHIP = "h20"
MODEL = "1.8T"
COUNT = 10000
DECODED = "llama-3.1-70b"


@cache
def asked() -> Estimate:
    """The headline question."""
    return clustercast.estimate(CHIP, MODEL, n_chips=COUNT)


def training() -> Training:
    found = asked().training
    if found is None:
        raise RuntimeError("the headline question has no answer")
    return found


@cache
def decoding(chip: str) -> Serving:
    found = clustercast.estimate(chip, DECODED, n_chips=8, batch=16).serving
    if found is None:
        raise RuntimeError(f"{chip} does not serve {DECODED}")
    return found


def operation() -> str:
    """Where the corner of the roofline is on three chips."""
    said = []
    for name in ("h100", "h20", "v100"):
        chip = catalog.find_chip(name)
        ridge = chip.value("peaks.fp16") / chip.value("memory.bandwidth")
        said.append(f"{ridge:.0f} on {chip.name}")
    return f"FLOPs that a 16-bit matmul must do with each byte before compute is what it waits for: {', '.join(said)}."


def step() -> str:
    """The parts of the headline's step."""
    done = training()
    times = {name: getattr(done.time_s, name) for name in CAUSES}
    shown = sorted(((value, name) for name, value in times.items() if value > 0.0), reverse=True)[:4]
    said = ", ".join(f"{CAUSES[name]} {in_seconds(value)}" for value, name in shown)
    low, high = done.step_s_bracket
    return (
        f"{COUNT:,} H20 and the 1.8T mixture: a step of {in_seconds(done.step_s)}, of which {said}. With everything "
        f"overlapped it would be {in_seconds(low)}, with nothing overlapped {in_seconds(high)}."
    )


def job() -> str:
    """From step to days of the headline."""
    done = training()
    return (
        f"The same run: {units.count(done.tokens)} tokens at {units.count(done.tokens_per_s)} tokens/s and a goodput "
        f"of {percent(done.goodput)} take {short(done.days)} days ({short(done.days_low)}–{short(done.days_high)}); "
        f"an interruption every {units.seconds(done.job.between_interruptions_s)}."
    )


def memory() -> str:
    held = training().memory_bytes
    parts = ", ".join(
        f"{name} {units.gib(getattr(held, name))}" for name in ("weights", "gradients", "optimizer", "activations")
    )
    return f"The same run, the fullest chip: {parts}; {units.gib(held.total)} of {units.gib(held.capacity)} in all."


def decode() -> str:
    """One token on two chips."""
    said = [f"{short(decoding(chip).tpot_ms)} ms on {chip.upper()}" for chip in ("h100", "h20")]
    return f"Llama 3.1 70B on 8 cards, 16 sequences in flight: a token takes {' and '.join(said)}."


def search() -> str:
    looked = training().search
    return (
        f"The headline question has a choice of {looked.n_considered:,} plans; {looked.n_feasible:,} were costed whole "
        "to know the best of them all."
    )
