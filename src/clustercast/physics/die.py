"""What a chip's silicon takes: area of compute, memory interfaces and links; memory beside the die; yield and cost."""

import math

from clustercast.physics.formula import formula


@formula
def logic_mm2(
    flop_per_s: float,
    n_stacks: float,
    link_bytes_per_s: float,
    base_mm2: float,
    stack_mm2: float,
    flop_per_s_per_mm2: float,
    link_bytes_per_s_per_mm2: float,
) -> float:
    """Area of logic that a chip's numbers need.

        base + FLOP/s / density + stacks * interface + link / density

    flop_per_s        dense peak of the 16-bit matmul, with its share of cores, caches and on-chip network
    link_bytes_per_s  own links, one direction
    stack_mm2         interface and controller of one memory stack
    Source:           [zhang2024llmcompass]

    >>> logic_mm2(100e12, 2.0, 50e9, 50.0, 10.0, 1e12, 10e9)
    175.0
    """
    return (
        base_mm2 + flop_per_s / flop_per_s_per_mm2 + n_stacks * stack_mm2 + link_bytes_per_s / link_bytes_per_s_per_mm2
    )


@formula
def fitting_flop_per_s(
    die_mm2: float,
    n_stacks: float,
    link_bytes_per_s: float,
    base_mm2: float,
    stack_mm2: float,
    flop_per_s_per_mm2: float,
    link_bytes_per_s_per_mm2: float,
) -> float:
    """The most compute on a die: the area that the rest leaves, times the density; 0 where it leaves none.

        max(0, area - base - stacks * interface - link / density) * density

    Source:  [zhang2024llmcompass]

    >>> fitting_flop_per_s(175.0, 2.0, 50e9, 50.0, 10.0, 1e12, 10e9)
    100000000000000.0
    """
    left_mm2 = die_mm2 - base_mm2 - n_stacks * stack_mm2 - link_bytes_per_s / link_bytes_per_s_per_mm2
    return max(left_mm2, 0.0) * flop_per_s_per_mm2


@formula
def n_stacks_beside(die_mm2: float, long_factor: float, pitch_mm2: float) -> float:
    """Memory stacks that fit along both long sides of a die.

        2 floor(sqrt(area * long) / pitch)

    long_factor  long side over short side of the die
    pitch_mm2    square of the length of die edge that one stack takes
    Source:      arithmetic

    >>> n_stacks_beside(800.0, 1.25, 100.0)
    6.0
    """
    return 2.0 * math.floor(math.sqrt(die_mm2 * long_factor / pitch_mm2))


@formula
def n_dies_of_wafer(wafer_mm2: float, die_mm2: float) -> float:
    """Whole dies of a round wafer, the edge left out.

        W / A - sqrt(2 pi W / A)

    Source:  [devries2005]

    >>> round(n_dies_of_wafer(70686.0, 814.0))
    63
    """
    ratio = wafer_mm2 / die_mm2
    return ratio - math.sqrt(2.0 * math.pi * ratio)


@formula
def good_dies_fraction(die_mm2: float, defect_mm2: float, cluster_factor: float, salvage_fraction: float) -> float:
    """Dies that can be sold where defects come in clusters: those without one, and a share of the others.

        y = (1 + A / (D alpha))^-alpha
        y + (1 - y) salvage

    defect_mm2        mean area per defect
    cluster_factor    alpha: the smaller, the more clustered
    salvage_fraction  of the dies with a defect, those sold with what it hit switched off
    Source:           [cunningham1990]

    >>> good_dies_fraction(1000.0, 1000.0, 1.0, 0.0), good_dies_fraction(1000.0, 1000.0, 1.0, 0.5)
    (0.5, 0.75)
    """
    whole = math.pow(1.0 + die_mm2 / defect_mm2 / cluster_factor, -cluster_factor)
    return whole + (1.0 - whole) * salvage_fraction


@formula
def chip_usd(
    n_dies: float,
    die_mm2: float,
    wafer_usd: float,
    wafer_mm2: float,
    good_fraction: float,
    hbm_bytes: float,
    hbm_usd_per_bytes: float,
    package_usd: float,
    test_usd: float,
) -> float:
    """What it costs to make a chip: dies, memory, package per die, test. No design, no margin.

        n (wafer / dies / good + package) + memory * price + test

    die_mm2  of one die
    Source:  [zhang2024llmcompass]

    >>> round(chip_usd(1.0, 814.0, 16988.0, 70686.0, 0.5, 80e9, 15e-9, 750.0, 900.0))
    3385
    """
    one_usd = wafer_usd / n_dies_of_wafer(wafer_mm2, die_mm2) / good_fraction + package_usd
    return n_dies * one_usd + hbm_bytes * hbm_usd_per_bytes + test_usd


@formula
def chip_w(flop_per_s: float, base_w: float, flop_per_s_per_w: float) -> float:
    """Power limit of a chip: what memory, links and caches take, and what compute takes.

        base + FLOP/s / efficiency

    Source:  arithmetic

    >>> chip_w(1000e12, 300.0, 2.5e12)
    700.0
    """
    return base_w + flop_per_s / flop_per_s_per_w
