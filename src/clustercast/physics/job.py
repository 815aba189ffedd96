"""From steps to a job: failures and checkpoints, days, energy, money; and what the export rules measure."""

import math
from typing import NamedTuple

from clustercast.physics.formula import formula


class Goodput(NamedTuple):
    """Where the calendar of a training job goes. The five shares add up to 1."""

    fraction: float  # trains
    saving_fraction: float  # stands still while it saves
    repeating_fraction: float  # does again what was lost since the last checkpoint
    restarting_fraction: float  # finds the fault and starts again
    waiting_fraction: float  # for a chip to be replaced, more being broken than there are spares
    interval_s: float  # of training between two checkpoints
    between_s: float  # mean time between interruptions


@formula
def best_interval_s(between_s: float, save_s: float) -> float:
    """The time of training between two checkpoints that loses least.

        sqrt(2 save M)

    between_s  M, mean time between interruptions
    Source:    [young1974]; [daly2006]

    >>> best_interval_s(5000.0, 1.0)
    100.0
    """
    return math.sqrt(2.0 * save_s * between_s)


@formula
def short_of_spares_fraction(n_spares: float, n_broken: float) -> float:
    """Share of time in which more chips are broken than there are spares, the broken ones a Poisson number.

        1 - sum_{k <= s} m^k exp(-m) / k!       (normal tail where m is large)

    n_broken  m, mean number that is broken: failures per second times the time to replace
    Source:   [palm1943], the infinite-server queue is insensitive to how long a repair takes

    >>> round(short_of_spares_fraction(0.0, 0.5), 4), short_of_spares_fraction(3.0, 0.0)
    (0.3935, 0.0)
    """
    if n_broken <= 0.0:
        return 0.0
    if n_broken > 500.0:
        return 0.5 * math.erfc((n_spares + 0.5 - n_broken) / math.sqrt(2.0 * n_broken))
    term = math.exp(-n_broken)
    total = term
    k = 1.0
    while k <= n_spares:
        term *= n_broken / k
        total += term
        k += 1.0
    return max(1.0 - total, 0.0)


@formula
def goodput(
    n_chips: float, chip_mtbf_s: float, save_s: float, restart_s: float, every_s: float, waiting_fraction: float
) -> Goodput:
    """Where the calendar of a training job goes, which failures of any of its chips interrupt at any time.

        M = mtbf / n,   T = every, or sqrt(2 save M)
        a stretch of T takes M exp(restart / M) (exp((T + save) / M) - 1),   and 1 / (1 - waiting) of that
        restarting: 1 - exp(-restart / M) of it;   repeating: what is left beside T and save

    Failures interrupt restarts too, so a job whose restart takes several M stands nearly still.

    chip_mtbf_s  time between interruptions of the job caused by one chip and its share of the rest
    every_s      training between two checkpoints; 0: the best
    waiting_fraction  share of the calendar that waits for spares
    Holds for:   failures without memory; either exponent is cut at 300, where nothing trains any more
    Source:      [young1974]; [daly2006]

    >>> goodput(1.0, 1e12, 0.0, 0.0, 0.0, 0.0).fraction
    1.0
    >>> round(goodput(16384.0, 1.82e8, 30.0, 900.0, 0.0, 0.0).fraction, 3)
    0.856
    """
    between_s = chip_mtbf_s / n_chips
    interval_s = every_s
    if interval_s <= 0.0:
        interval_s = best_interval_s(between_s, save_s)
    up = 1.0 - waiting_fraction
    running = up * math.exp(-min(restart_s / between_s, 300.0))
    restarting = up - running
    if interval_s <= 0.0:
        return Goodput(running, 0.0, 0.0, restarting, waiting_fraction, 0.0, between_s)
    failures = min((interval_s + save_s) / between_s, 300.0)  # met on the way to the next checkpoint, on average
    again = 1.0  # how often a stretch is gone through
    if failures > 1e-12:
        again = math.expm1(failures) / failures
    trained = running / again * (interval_s / (interval_s + save_s))
    saved = running / again * (save_s / (interval_s + save_s))
    return Goodput(
        trained,
        saved,
        max(running - trained - saved, 0.0),
        restarting,
        waiting_fraction,
        interval_s,
        between_s,
    )


@formula
def training_s(tokens: float, tokens_per_s: float, goodput: float) -> float:
    """Calendar time of a training run.

        tokens / (tokens/s * goodput)

    Source:  arithmetic

    >>> training_s(1e12, 1e6, 0.5)
    2000000.0
    """
    return tokens / (tokens_per_s * goodput)


@formula
def energy_j(
    n_chips: float, idle_w: float, peak_w: float, busy_fraction: float, wall_over_chip: float, pue: float, time_s: float
) -> float:
    """Energy at the meter: chips between idle and peak by how busy they are, their host's share, the building's.

        n (idle + (peak - idle) busy) wall pue t

    Source:  [barroso2018] for PUE and power proportionality

    >>> energy_j(2.0, 100.0, 300.0, 0.5, 1.5, 1.2, 10.0)
    7200.0
    """
    return n_chips * (idle_w + (peak_w - idle_w) * busy_fraction) * wall_over_chip * pue * time_s


@formula
def rent_usd(n_chips: float, usd_per_chip_h: float, time_s: float) -> float:
    """Rent of all chips for a time.

        n rent t / 3600

    Source:  arithmetic

    >>> rent_usd(8.0, 2.0, 3600.0)
    16.0
    """
    return n_chips * usd_per_chip_h * time_s / 3600.0


@formula
def carbon_kg(energy_j: float, kg_per_kwh: float) -> float:
    """Carbon dioxide of an amount of energy, at the intensity of the grid that gives it.

        energy / 3.6e6 * intensity

    Source:  arithmetic

    >>> carbon_kg(7.2e6, 0.5)
    1.0
    """
    return energy_j / 3.6e6 * kg_per_kwh


@formula
def capital_recovery_fraction(discount_fraction: float, life_years: float) -> float:
    """Yearly payment that returns one unit of capital with interest over its life.

        r / (1 - (1 + r)^-L);   1 / L without interest, or with less than 1e-12

    discount_fraction  r, of a year
    Source:            [park2015], capital recovery factor

    >>> capital_recovery_fraction(0.0, 4.0), round(capital_recovery_fraction(0.08, 4.0), 4)
    (0.25, 0.3019)
    """
    if discount_fraction < 1e-12:
        return 1.0 / life_years
    return discount_fraction / -math.expm1(-life_years * math.log1p(discount_fraction))


@formula
def own_usd_per_chip_year(
    capital_usd: float,
    residual_fraction: float,
    discount_fraction: float,
    life_years: float,
    wall_w: float,
    hosting_usd_per_month_kw: float,
    upkeep_fraction: float,
) -> float:
    """What a year of one's own chip costs: capital over its life, the place and its power, people and parts.

        C (1 - s (1 + r)^-L) CRF + u C + 12 P rate

    capital_usd        C, all in: chip, its share of host, network and storage
    residual_fraction  s, what it fetches after its life, over C
    wall_w             P, of the chip and its share of the host; the rate covers the building's power
    Source:            [park2015]

    >>> round(own_usd_per_chip_year(40000.0, 0.0, 0.0, 5.0, 1275.0, 200.0, 0.0) / 8766.0, 2)
    1.26
    """
    kept = 1.0 - residual_fraction * math.exp(-life_years * math.log1p(discount_fraction))
    yearly = kept * capital_recovery_fraction(discount_fraction, life_years) + upkeep_fraction
    return capital_usd * yearly + 12.0 * wall_w / 1000.0 * hosting_usd_per_month_kw


@formula
def total_processing_performance(flop_per_s: float, bits: float) -> float:
    """TPP of one number format: dense TOPS times bit length; a chip's TPP is the largest over its formats.

        TPP = TFLOP/s * bits    (2 * MacTOPS * bits)

    Source:  [bis2023], ECCN 3A090, note 1

    >>> total_processing_performance(148e12, 16.0)
    2368.0
    """
    return flop_per_s / 1e12 * bits


@formula
def performance_density(tpp: float, die_area_mm2: float) -> float:
    """TPP per square millimetre of logic die made on a non-planar process.

        PD = TPP / area

    Source:  [bis2023], ECCN 3A090, note 2

    >>> round(performance_density(2368.0, 814.0), 2)
    2.91
    """
    return tpp / die_area_mm2
