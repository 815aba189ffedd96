"""Laws of one layer and of the two ends of a model."""

import math

from hypothesis import given
from hypothesis import strategies as st
from strategies import Problem, problems

from clustercast.physics.layer import (
    add,
    attention_core_cost,
    attention_cost,
    cp_comm_s,
    dense_mlp_cost,
    element_traffic_bytes,
    ends,
    ep_comm_s,
    experts_cost,
    kernels_cost,
    layer,
    linear_attention_cost,
    linear_cost,
    projection_cost,
    routed_mlp_cost,
    saved_bytes,
    tokens_per_chip,
    tp_comm_s,
)
from clustercast.physics.parameters import attention_params, moe_layer_params, shared_expert_params
from clustercast.records import GQA

SLACK = 1.0 + 1e-12


@given(problem=problems())
def test_communication_is_exposed_at_most_in_full(problem: Problem) -> None:
    one = layer(*problem)
    compute_s = one.forward_s + one.backward_s + one.recompute_s
    rounding_s = 1e-12 * compute_s  # what is left of an empty window
    assert 0.0 <= one.tp_exposed_s <= one.tp_raw_s * SLACK + rounding_s
    assert 0.0 <= one.cp_exposed_s <= one.cp_raw_s * SLACK + rounding_s
    assert 0.0 <= one.ep_exposed_s <= one.ep_raw_s * SLACK + rounding_s
    assert 0.0 <= one.host_s <= one.host_raw_s * SLACK + 1e-15
    assert -rounding_s <= one.window_s <= compute_s


@given(problem=problems())
def test_a_degree_of_one_needs_no_communication(problem: Problem) -> None:
    setting, plan = problem
    assert tp_comm_s(1e4, setting, plan._replace(tp=1, etp=1)) == 0.0
    assert cp_comm_s(1e4, setting, plan._replace(cp=1)) == 0.0
    assert ep_comm_s(1e4, setting, plan._replace(ep=1)) == 0.0


@given(problem=problems())
def test_the_backward_pass_takes_longer_than_the_forward_pass(problem: Problem) -> None:
    one = layer(*problem)
    assert 0.0 <= one.weight_gradient_s <= one.backward_s
    assert one.forward_s < one.backward_s * 2.0
    assert 0.0 <= one.recompute_s <= 2.0 * one.forward_s


@given(problem=problems())
def test_tensor_parallelism_divides_the_parameters_of_attention(problem: Problem) -> None:
    setting, plan = problem
    model = setting.model._replace(index_heads=0)
    setting = setting._replace(model=model)
    whole = projection_cost(100.0, setting, plan._replace(tp=1)).params
    assert math.isclose(whole, attention_params(model), rel_tol=1e-12)
    if model.attention == GQA and plan.tp <= model.n_kv_heads:
        assert math.isclose(projection_cost(100.0, setting, plan).params * plan.tp, whole, rel_tol=1e-12)


@given(problem=problems("mixture", "latent", "hybrid"))
def test_expert_parallelism_divides_the_experts_and_not_the_router(problem: Problem) -> None:
    setting, plan = problem
    model = setting.model
    router = float(model.hidden * model.n_experts)
    held = routed_mlp_cost(100.0, setting, plan).params - router
    every = moe_layer_params(model) - shared_expert_params(model) - router
    assert math.isclose(held * plan.ep * plan.etp, every, rel_tol=1e-12)


@given(problem=problems(), rows=st.integers(1, 10**5), columns=st.integers(1, 10**4), depth=st.integers(1, 10**4))
def test_a_linear_layer_does_two_flops_a_weight_and_row(problem: Problem, rows: int, columns: int, depth: int) -> None:
    cost = linear_cost(float(rows), float(columns), float(depth), problem.setting)
    assert cost.params == columns * depth
    assert cost.flop == 2.0 * rows * cost.params
    assert min(cost.forward_s, cost.input_gradient_s, cost.weight_gradient_s) > 0.0
    experts = experts_cost(float(rows), float(columns), float(depth), 4.0, problem.setting)
    assert experts.flop == cost.flop
    assert experts.params == 4.0 * cost.params


@given(problem=problems())
def test_parts_never_give_back_time_or_flops(problem: Problem) -> None:
    setting, plan = problem
    tokens = tokens_per_chip(setting, plan)
    parts = [
        attention_cost(tokens, setting, plan),
        attention_core_cost(tokens, 100.0, setting, plan),
        kernels_cost(tokens, setting, plan),
        linear_attention_cost(tokens, setting, plan),
        dense_mlp_cost(tokens, 1024.0, setting, plan),
    ]
    assert all(min(part) >= 0.0 for part in parts)
    both = add(parts[0], parts[2], 1.0)
    assert both == add(parts[2], parts[0], 1.0)
    assert both.flop >= parts[0].flop


@given(problem=problems())
def test_memory_and_traffic_are_linear_in_tokens(problem: Problem) -> None:
    setting, plan = problem
    for one, two in (
        (saved_bytes(64.0, 100.0, 0, setting, plan), saved_bytes(128.0, 100.0, 0, setting, plan)),
        (element_traffic_bytes(64.0, setting, plan), element_traffic_bytes(128.0, setting, plan)),
    ):
        assert one > 0.0
        assert two == 2.0 * one


@given(problem=problems())
def test_sequence_parallelism_never_keeps_more(problem: Problem) -> None:
    setting, plan = problem
    alone, together = (saved_bytes(64.0, 100.0, 0, setting, plan._replace(sequence_parallel=on)) for on in (0, 1))
    assert together <= alone
    assert plan.tp == 1 or together < alone


@given(problem=problems())
def test_the_ends_hold_the_vocabulary_once_each(problem: Problem) -> None:
    setting, plan = problem
    end = ends(setting, plan)
    assert end.head_params * plan.tp == end.embedding_params * plan.tp == setting.model.vocab * setting.model.hidden
    assert end.head_backward_s > 0.0
    assert (end.head_comm_s > 0.0) == (plan.tp > 1)
