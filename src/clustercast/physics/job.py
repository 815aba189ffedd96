"""From steps to a job: failures and checkpoints, days, energy, money; and what the export rules measure."""

import math

from clustercast.physics.formula import formula


@formula
def goodput_fraction(n_chips: float, chip_mtbf_s: float, save_s: float, restart_s: float) -> float:
    """Share of the calendar that trains: the rest saves checkpoints, restarts and repeats lost work.

        M = mtbf / n,   T = sqrt(2 save M)   (the best interval)
        goodput = T / (T + save + (T + save) / M * (restart + T / 2))

    chip_mtbf_s  time between interruptions of the job caused by one chip and its share of the rest
    Source:      [young1974], [daly2006]

    >>> goodput_fraction(1.0, 1e12, 0.0, 0.0)
    1.0
    >>> round(goodput_fraction(16384.0, 1.82e8, 30.0, 900.0), 3)
    0.863
    """
    between_s = chip_mtbf_s / n_chips
    interval_s = math.sqrt(2.0 * save_s * between_s)
    if interval_s <= 0.0:
        return between_s / (between_s + restart_s)
    lost_s = (interval_s + save_s) / between_s * (restart_s + 0.5 * interval_s)
    return interval_s / (interval_s + save_s + lost_s)


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
