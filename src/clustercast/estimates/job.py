"""From a step to a job: interruptions and spares, power and carbon, rent or one's own chips."""

import math
from typing import Final

from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.question import Question
from clustercast.estimates.result import Job, Money
from clustercast.physics.job import (
    Goodput,
    carbon_kg,
    goodput,
    own_usd_per_chip_year,
    rent_usd,
    short_of_spares_fraction,
)

BASES: Final = ("rent", "buy")
HOURS_A_YEAR: Final = 8766.0
LEAST_GOODPUT: Final = 1e-6  # below it a job stands still


def goodput_of(question: Question, n_chips: int | None = None) -> Goodput:
    """Where the calendar of a training run goes on so many chips, with spares enough not to wait for repairs.

    Raises NoAnswer where interruptions come so fast that next to nothing is trained.
    """
    n = n_chips or question.n_chips
    mtbf_s, save_s, restart_s, every_s = (
        constants.default("reliability", name).value
        for name in ("chip_mtbf_s", "checkpoint_save_s", "restart_s", "checkpoint_every_s")
    )
    found = goodput(float(n), mtbf_s, save_s, restart_s, every_s, 0.0)
    if found.fraction < LEAST_GOODPUT:
        raise NoAnswer(
            f"training on {n:,} x {question.chip.name} never ends: an interruption every {found.between_s:.3g} s, "
            f"{restart_s:g} s to start again, {found.interval_s:.3g} s from one checkpoint to the next",
            hint="--set job.chip_mtbf=..., job.restart=..., job.checkpoint_every=...",
            numbers={"between_s": found.between_s, "restart_s": restart_s, "interval_s": found.interval_s},
        )
    return found


def spare_chips(n_chips: int) -> int:
    """Spare chips, in whole nodes, with which a job of `n_chips` waits for repairs no more than the default share.

    As many as the job has at most: more cannot be broken.
    """
    found = {name: constants.default("reliability", name).value for name in (
        "chip_mtbf_s", "replaced_fraction", "repair_s", "node_chips", "waiting_fraction"
    )}  # fmt: skip
    node = min(int(found["node_chips"]), n_chips)
    n_broken = n_chips * found["replaced_fraction"] / found["chip_mtbf_s"] * found["repair_s"]
    most = math.ceil(n_chips / node)
    low, high = -1, min(max(int(n_broken), 1), most)
    while high < most and short_of_spares_fraction(float(high), n_broken) > found["waiting_fraction"]:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        if short_of_spares_fraction(float(middle), n_broken) > found["waiting_fraction"]:
            low = middle
        else:
            high = middle
    return high * node


def rent(question: Question) -> tuple[float, str]:
    """USD per chip-hour, and where the price comes from: known rent, a share of the known price, or a guess."""
    own = question.chip.get("price.rent")
    if own is not None:
        source = question.chip.sources.get(own.source, own.source)
        return own.value, f"rent, {own.value:.2f} USD per chip-hour, {source}"
    buy = question.chip.get("price.buy")
    if buy is not None:
        usd = constants.default("price", "rent_per_buy_hour").value * buy.value
        return usd, f"rent, {usd:.2f} USD per chip-hour guessed from a price of {buy.value:,.0f} USD"
    guess = constants.default("price", "usd_per_chip_hour_per_tflops").value
    usd = guess * question.silicon.chip.attention_flop_per_s / 1e12
    return usd, f"rent, {usd:.2f} USD per chip-hour guessed from its compute: no price of this chip is known"


def bought(question: Question) -> tuple[float, str]:
    """USD to buy one chip, and where the price comes from: known, or guessed from its rent."""
    buy = question.chip.get("price.buy")
    if buy is not None:
        source = question.chip.sources.get(buy.source, buy.source)
        return buy.value, f"bought for {buy.value:,.0f} USD, {source}"
    usd_per_h, _ = rent(question)
    usd = usd_per_h / constants.default("price", "rent_per_buy_hour").value
    return usd, f"bought for {usd:,.0f} USD, guessed from its rent of {usd_per_h:.2f} USD an hour"


def wall_w(question: Question) -> float:
    """Power of one chip at full load with its share of the host, before the building; 0 where it is not known."""
    return question.silicon.chip.peak_w * constants.default("power", "wall_over_chip").value


def meter_w(question: Question) -> float:
    """Power of one chip at full load at the meter: its share of the host and of the building; 0: not known."""
    return wall_w(question) * constants.default("power", "pue").value


def money(question: Question) -> Money:
    """What a chip-hour costs, rented and owned."""
    usd_per_h, rent_basis = rent(question)
    chip_usd, bought_basis = bought(question)
    found = {name: constants.default("price", name).value for name in (
        "all_in_over_chip", "life_years", "residual_fraction", "discount_fraction", "hosting_usd_per_month_kw",
        "upkeep_fraction",
    )}  # fmt: skip
    capital_usd = chip_usd * found["all_in_over_chip"]
    yearly = own_usd_per_chip_year(
        capital_usd,
        found["residual_fraction"],
        found["discount_fraction"],
        found["life_years"],
        wall_w(question),
        found["hosting_usd_per_month_kw"],
        found["upkeep_fraction"],
    )
    basis = (
        f"own, {yearly / HOURS_A_YEAR:.2f} USD per chip-hour over {found['life_years']:g} years: {bought_basis}, "
        f"{capital_usd:,.0f} USD all in"
    )
    return Money(usd_per_h, rent_basis, yearly / HOURS_A_YEAR, basis, capital_usd)


def usd_per_chip_hour(question: Question) -> tuple[float, str]:
    """What a chip-hour costs on the basis that was asked for, and where the price comes from."""
    if question.asked.price not in BASES:
        raise WrongInput(f"--price: expected rent or buy, got {question.asked.price!r}")
    if question.asked.price == "rent":
        return rent(question)
    found = money(question)
    return found.own_usd_per_chip_hour, found.own_basis


def job_of(question: Question, spent: Goodput, total_s: float, energy_j: float | None) -> Job:
    """A run that takes `total_s` of the calendar and `energy_j` at the meter."""
    found = money(question)
    chips = float(question.n_chips)
    carbon = None
    if energy_j is not None:
        carbon = carbon_kg(energy_j, constants.default("power", "grid_kg_per_kwh").value) / 1000.0
    trained_s = total_s * spent.fraction
    return Job(
        interruptions=total_s / spent.between_s,
        between_interruptions_s=spent.between_s,
        checkpoint_interval_s=spent.interval_s,
        checkpoints=trained_s / spent.interval_s if spent.interval_s > 0.0 else 0.0,
        calendar={
            "training": spent.fraction,
            "saving": spent.saving_fraction,
            "repeating": spent.repeating_fraction,
            "restarting": spent.restarting_fraction,
            "waiting": spent.waiting_fraction,
        },
        spare_chips=spare_chips(question.n_chips),
        power_mw=None if energy_j is None else energy_j / total_s / 1e6,
        carbon_t=carbon,
        rent_usd=rent_usd(chips, found.rent_usd_per_chip_hour, total_s),
        own_usd=rent_usd(chips, found.own_usd_per_chip_hour, total_s),
        money=found,
    )
