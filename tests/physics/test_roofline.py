"""Laws of single operations on one chip."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import all_kernels

from clustercast.physics.roofline import (
    attention_flop,
    attention_s,
    element_s,
    exposed_s,
    grouped_matmul_s,
    join_s,
    matmul_s,
    mean_context,
    padded_rows,
    touched_experts,
    wave_factor,
)
from clustercast.records import Kernels

SLACK = 1.0 + 1e-12

times = st.floats(1e-9, 1e3)
fractions = st.floats(0.0, 1.0)
widths = st.integers(1, 20_000).map(float)


@given(one_s=times, other_s=times, weight=st.floats(0.0, 4.0))
def test_two_activities_take_between_the_longer_and_their_sum(one_s: float, other_s: float, weight: float) -> None:
    joined_s = join_s(one_s, other_s, weight)
    assert max(one_s, other_s) <= joined_s * SLACK
    assert joined_s <= (one_s + other_s) * SLACK


@given(one_s=times, other_s=times, weight=st.floats(0.0, 4.0), saved=fractions)
def test_a_shorter_activity_never_lengthens_both(one_s: float, other_s: float, weight: float, saved: float) -> None:
    assert join_s(saved * one_s, other_s, weight) <= join_s(one_s, other_s, weight) * SLACK


@given(raw_s=times, overlap=fractions, window_s=times)
def test_what_is_exposed_is_part_of_what_is_sent(raw_s: float, overlap: float, window_s: float) -> None:
    assert 0.0 <= exposed_s(raw_s, overlap, window_s) <= raw_s
    assert raw_s <= (exposed_s(raw_s, overlap, window_s) + window_s) * SLACK


def test_without_overlap_everything_is_exposed() -> None:
    assert exposed_s(3.0, 0.0, 10.0) == 3.0


@given(rows=widths, columns=widths, kernels=all_kernels)
def test_a_last_wave_costs_at_most_a_whole_one(rows: float, columns: float, kernels: Kernels) -> None:
    assert 1.0 <= wave_factor(rows, columns, kernels) < 2.0


@given(rows=widths, columns=widths, depth=widths, kernels=all_kernels)
def test_a_matmul_is_never_faster_than_its_roofline(
    rows: float, columns: float, depth: float, kernels: Kernels
) -> None:
    traffic_bytes = 2.0 * (rows * depth + depth * columns + rows * columns)
    taken_s = matmul_s(rows, columns, depth, traffic_bytes, 1e15, 1e12, kernels)
    assert taken_s >= 2.0 * rows * columns * depth / 1e15
    assert taken_s >= traffic_bytes / 1e12


@given(rows=widths, columns=widths, depth=widths, factor=st.floats(1.0, 10.0), kernels=all_kernels)
def test_a_faster_chip_never_makes_a_matmul_slower(
    rows: float, columns: float, depth: float, factor: float, kernels: Kernels
) -> None:
    traffic_bytes = 2.0 * (rows * depth + depth * columns + rows * columns)
    taken_s = matmul_s(rows, columns, depth, traffic_bytes, 1e15, 1e12, kernels)
    assert matmul_s(rows, columns, depth, traffic_bytes, factor * 1e15, 1e12, kernels) <= taken_s * SLACK
    assert matmul_s(rows, columns, depth, traffic_bytes, 1e15, factor * 1e12, kernels) <= taken_s * SLACK


@given(rows=widths, columns=widths, depth=widths, n_groups=st.integers(1, 64), kernels=all_kernels)
def test_grouped_matmuls_take_at_least_their_flops(
    rows: float, columns: float, depth: float, n_groups: int, kernels: Kernels
) -> None:
    taken_s = grouped_matmul_s(rows, columns, depth, float(n_groups), 0.0, 1e15, 1e12, kernels)
    assert taken_s * SLACK >= 2.0 * rows * columns * depth / 1e15


@given(seq_len=st.integers(1, 10**6), window=st.integers(0, 10**6))
def test_a_window_never_widens_the_context(seq_len: int, window: int) -> None:
    context = mean_context(float(seq_len), float(window))
    assert 0.0 < context <= 0.5 * seq_len
    assert window == 0 or context <= window


@given(tokens=widths, context=widths, heads=widths)
def test_attention_flops_are_linear_in_tokens_context_and_heads(tokens: float, context: float, heads: float) -> None:
    once = attention_flop(tokens, context, heads, 64.0, 128.0)
    assert attention_flop(2.0 * tokens, context, heads, 64.0, 128.0) == 2.0 * once
    assert attention_flop(tokens, 2.0 * context, heads, 64.0, 128.0) == 2.0 * once
    assert attention_flop(tokens, context, 2.0 * heads, 64.0, 128.0) == 2.0 * once


@given(flop=st.floats(0.0, 1e15), traffic_bytes=st.floats(0.0, 1e12), factor=st.floats(1.0, 10.0), kernels=all_kernels)
def test_a_faster_chip_never_makes_attention_slower(
    flop: float, traffic_bytes: float, factor: float, kernels: Kernels
) -> None:
    taken_s = attention_s(flop, traffic_bytes, 0.5, 1e15, 1e12, kernels)
    assert attention_s(flop, traffic_bytes, 0.5, factor * 1e15, 1e12, kernels) <= taken_s * SLACK
    assert attention_s(flop, traffic_bytes, 0.5, 1e15, factor * 1e12, kernels) <= taken_s * SLACK


@given(traffic_bytes=st.floats(0.0, 1e12), n_kernels=st.integers(0, 20), kernels=all_kernels)
def test_element_wise_work_never_beats_the_bandwidth(traffic_bytes: float, n_kernels: int, kernels: Kernels) -> None:
    assert element_s(traffic_bytes, float(n_kernels), 1e12, kernels) >= traffic_bytes / 1e12


@given(n_active=st.integers(1, 16), factor=st.integers(1, 32), tokens=st.integers(1, 4096))
def test_touched_experts_lie_between_one_tokens_and_all(n_active: int, factor: int, tokens: int) -> None:
    n_experts = float(n_active * factor)
    touched = touched_experts(n_experts, float(n_active), float(tokens))
    assert n_active <= touched * SLACK
    assert touched <= n_experts
    assert touched <= touched_experts(n_experts, float(n_active), tokens + 1.0) * SLACK


@given(rows=st.floats(1e-3, 1e6), tile_rows=st.sampled_from([1.0, 8.0, 16.0, 128.0]))
def test_padding_adds_less_than_a_tile(rows: float, tile_rows: float) -> None:
    padded = padded_rows(rows, tile_rows)
    assert rows <= padded < rows + tile_rows
    assert math.fmod(padded, tile_rows) == 0.0


def test_a_matmul_at_the_ridge_costs_both_when_they_cannot_overlap() -> None:
    kernels = Kernels(*[1.0] * len(Kernels._fields))._replace(matmul_launch_s=0.0, wave_weight=0.0, matmul_join=4.0)
    assert matmul_s(1.0, 1.0, 1.0, 2.0, 1.0, 1.0, kernels) == pytest.approx(4.0)
