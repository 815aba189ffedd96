"""Time of single operations on one chip: roofline with finite efficiency."""

import math

from clustercast.physics.formula import formula
from clustercast.records import Kernels


@formula
def join_s(one_s: float, other_s: float, weight: float) -> float:
    """Time of two activities that overlap, with a smooth corner.

        t = (a + b + sqrt((a - b)^2 + w a b)) / 2

    w = 0 gives max(a, b), w = 4 gives a + b: the roofline's bracket. One square root and no power,
    so it compiles to the same bits as it runs plain.

    weight     0 to 4
    Source:    [williams2009] for the two bounds; the smooth corner is this project's

    >>> join_s(3.0, 1.0, 0.0)
    3.0
    >>> join_s(3.0, 1.0, 4.0)
    4.0
    """
    difference_s = one_s - other_s
    return 0.5 * (one_s + other_s + math.sqrt(difference_s * difference_s + weight * one_s * other_s))


@formula
def exposed_s(raw_s: float, overlap_fraction: float, window_s: float) -> float:
    """Communication that compute does not hide.

        exposed = raw - min(overlap * raw, window)

    overlap_fraction  what the software can hide, 0 to 1
    window_s          compute that runs beside it
    Source:           [narayanan2021], section 4

    >>> exposed_s(10.0, 0.5, 100.0)
    5.0
    >>> exposed_s(10.0, 1.0, 4.0)
    6.0
    """
    return raw_s - min(overlap_fraction * raw_s, max(window_s, 0.0))


@formula
def wave_factor(rows: float, columns: float, kernels: Kernels) -> float:
    """How much longer a matmul runs because its last wave of tiles is not full.

        tiles  = ceil(m / tile rows) ceil(n / tile columns)
        factor = 1 + w (ceil(tiles / cores) / (tiles / cores) - 1),   1 below one wave

    Below one wave a kernel splits the inner dimension instead, so nothing is lost.
    Source:  [nvidia2020matmul]

    >>> from clustercast.physics.examples import KERNELS
    >>> whole_waves = KERNELS._replace(tile_rows=128.0, tile_columns=128.0, n_cores=100.0, wave_weight=1.0)
    >>> wave_factor(128.0, 128.0 * 150, whole_waves)
    1.3333333333333333
    """
    tiles = math.ceil(rows / kernels.tile_rows) * math.ceil(columns / kernels.tile_columns)
    waves = tiles / kernels.n_cores
    if waves <= 1.0:
        return 1.0
    return 1.0 + kernels.wave_weight * (math.ceil(waves) / waves - 1.0)


@formula
def matmul_s(
    rows: float,
    columns: float,
    depth: float,
    traffic_bytes: float,
    flop_per_s: float,
    hbm_bytes_per_s: float,
    kernels: Kernels,
) -> float:
    """Time of one matmul [rows, depth] x [depth, columns].

        compute = 2 pad(m) n k wave / rate         pad to whole tile rows
        memory  = traffic / (e_m W)
        t       = launch + join(compute, memory)

    traffic_bytes  both operands read once and the result written once
    flop_per_s     that large shapes reach: dense peak, sustained clock, kernel efficiency
    Source:        [williams2009]; constants fitted by bench/fit_operations.py

    >>> from clustercast.physics.examples import KERNELS
    >>> matmul_s(1024.0, 1024.0, 1024.0, 6e6, 1e12, 1e12, KERNELS)
    0.002147483648
    """
    flop = 2.0 * padded_rows(rows, kernels.tile_rows) * columns * depth * wave_factor(rows, columns, kernels)
    compute_s = flop / flop_per_s
    memory_s = traffic_bytes / (kernels.matmul_memory_fraction * hbm_bytes_per_s)
    return kernels.matmul_launch_s + join_s(compute_s, memory_s, kernels.matmul_join)


@formula
def grouped_matmul_s(
    rows: float,
    columns: float,
    depth: float,
    n_groups: float,
    traffic_bytes: float,
    flop_per_s: float,
    hbm_bytes_per_s: float,
    kernels: Kernels,
) -> float:
    """Time of n_groups matmuls [rows / n_groups, depth] x [depth, columns] in one launch: the experts of one chip.

        compute = 2 n_groups pad(m / n_groups) n k / rate      pad to whole tile rows
        memory  = traffic / (e_m W)
        t       = launch + join(compute, memory)

    rows     of all groups together
    n_groups groups that have any row
    Source:  [williams2009]; constants fitted by bench/fit_operations.py

    >>> from clustercast.physics.examples import KERNELS
    >>> grouped_matmul_s(2048.0, 1024.0, 512.0, 2.0, 6e6, 1e12, 1e12, KERNELS)
    0.002147483648
    """
    flop = 2.0 * n_groups * padded_rows(rows / n_groups, kernels.tile_rows) * columns * depth
    compute_s = flop / flop_per_s
    memory_s = traffic_bytes / (kernels.expert_memory_fraction * hbm_bytes_per_s)
    return kernels.expert_launch_s + join_s(compute_s, memory_s, kernels.matmul_join)


@formula
def mean_context(seq_len: float, window: float) -> float:
    """Keys that a token attends to, averaged over a causal sequence.

        s / 2 without a window;   w - w^2 / (2 s) with one

    window  0: none
    Source: [vaswani2017]; windows [beltagy2020]

    >>> mean_context(8.0, 0.0)
    4.0
    >>> mean_context(8.0, 4.0)
    3.0
    """
    if window <= 0.0 or window >= seq_len:
        return 0.5 * seq_len
    return window - window * window / (2.0 * seq_len)


@formula
def attention_flop(tokens: float, context: float, heads: float, qk_head_dim: float, v_head_dim: float) -> float:
    """Forward FLOPs of scores and weighted values.

        2 T c H (d_qk + d_v)

    context  keys per token (half the sequence when causal)
    Source:  [korthikanti2022], appendix A

    >>> attention_flop(10.0, 5.0, 2.0, 4.0, 4.0)
    1600.0
    """
    return 2.0 * tokens * context * heads * (qk_head_dim + v_head_dim)


@formula
def attention_s(
    flop: float,
    traffic_bytes: float,
    fraction: float,
    peak_flop_per_s: float,
    hbm_bytes_per_s: float,
    kernels: Kernels,
) -> float:
    """Time of one fused attention kernel.

        t = launch + join(F / (e_a P), traffic / (e_m W))

    traffic_bytes  queries, keys, values and result, once each; scores too where they leave the chip
    Source:        [dao2022]; fractions fitted by bench/fit_operations.py

    >>> from clustercast.physics.examples import KERNELS
    >>> attention_s(1e12, 0.0, 0.5, 1e12, 1e12, KERNELS)
    2.0
    """
    compute_s = flop / (fraction * peak_flop_per_s)
    memory_s = traffic_bytes / (kernels.element_fraction * hbm_bytes_per_s)
    return kernels.attention_launch_s + join_s(compute_s, memory_s, kernels.matmul_join)


@formula
def element_s(traffic_bytes: float, n_kernels: float, hbm_bytes_per_s: float, kernels: Kernels) -> float:
    """Time of memory-bound kernels: norms, activations, rotary, casts, cross-entropy.

        t = n launch + traffic / (e W)

    Source:  [williams2009]

    >>> from clustercast.physics.examples import KERNELS
    >>> element_s(1e12, 0.0, 1e12, KERNELS._replace(element_fraction=0.5))
    2.0
    """
    return n_kernels * kernels.element_launch_s + traffic_bytes / (kernels.element_fraction * hbm_bytes_per_s)


@formula
def touched_experts(n_experts: float, n_active: float, tokens: float) -> float:
    """Experts that at least one of T tokens is routed to, when routing is uniform.

        E (1 - (1 - k/E)^T)

    Source:  occupancy of uniform random choices, [fedus2021] for the routing

    >>> touched_experts(8.0, 2.0, 1.0)
    2.0
    """
    return n_experts * (1.0 - float((1.0 - n_active / n_experts) ** tokens))


@formula
def padded_rows(rows: float, tile_rows: float) -> float:
    """Rows that a matmul of few rows computes: whole tiles.

        ceil(m / tile) tile

    Source:  [nvidia2020matmul]

    >>> padded_rows(9.0, 16.0)
    16.0
    """
    return math.ceil(rows / tile_rows) * tile_rows
