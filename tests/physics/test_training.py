"""Laws of one optimizer step, on any setting and any legal plan."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from strategies import Problem, problems

from clustercast.physics.examples import PLAN, SETTING
from clustercast.physics.layer import ends, layer
from clustercast.physics.training import (
    bubble_share,
    expert_group,
    gradients_s,
    in_flight,
    memory,
    model_flop,
    n_microbatches,
    n_shards,
    optimizer_s,
    sharded_layer_s,
    training_step,
    weights_s,
)
from clustercast.plans.rules import first_broken
from clustercast.records import (
    RECOMPUTE_BLOCK,
    RECOMPUTE_FULL,
    RECOMPUTE_NONE,
    RECOMPUTE_SELECTIVE,
    SCHEDULE_1F1B,
    SCHEDULE_GPIPE,
    Setting,
    Step,
)

SLACK = 1.0 + 1e-12
TIERS = ("package", "scale_up", "rail", "spine")
TERMS = (
    "compute_s",
    "tp_comm_s",
    "cp_comm_s",
    "ep_comm_s",
    "pp_comm_s",
    "dp_comm_s",
    "bubble_s",
    "optimizer_s",
    "host_s",
    "straggler_s",
)
PARTS = ("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes", "workspace_bytes")


def faster_memory(setting: Setting, factor: float) -> Setting:
    chip = setting.chip
    return setting._replace(chip=chip._replace(hbm_bytes_per_s=factor * chip.hbm_bytes_per_s))


def faster_matmuls(setting: Setting, factor: float) -> Setting:
    chip = setting.chip
    return setting._replace(
        chip=chip._replace(
            matmul_flop_per_s=factor * chip.matmul_flop_per_s,
            expert_flop_per_s=factor * chip.expert_flop_per_s,
            attention_flop_per_s=factor * chip.attention_flop_per_s,
            head_flop_per_s=factor * chip.head_flop_per_s,
        )
    )


def one_way_to_hide(problem: Problem) -> Problem:
    """The same, with what would hide behind compute that hides something else already: exposed."""
    setting, plan = problem
    stack = setting.stack._replace(pp_overlap=0.0)
    if plan.zero == 3:
        stack = stack._replace(dp_overlap=0.0)
    return Problem(setting._replace(stack=stack), plan)


def filled_by_shape(problem: Problem) -> Problem:
    """The same under a schedule whose fill and drain do not depend on what the kernels take."""
    setting, plan = problem
    schedule = plan.schedule if plan.schedule in (SCHEDULE_1F1B, SCHEDULE_GPIPE) else SCHEDULE_GPIPE
    return Problem(setting, plan._replace(schedule=schedule))


def deeper(setting: Setting) -> Setting:
    """Twice the layers of every kind."""
    model = setting.model
    return setting._replace(
        model=model._replace(
            n_layers=2 * model.n_layers,
            n_full_layers=2 * model.n_full_layers,
            n_window_layers=2 * model.n_window_layers,
            n_linear_layers=2 * model.n_linear_layers,
            n_dense_layers=2 * model.n_dense_layers,
            n_moe_layers=2 * model.n_moe_layers,
        )
    )


def utilisation(problem: Problem, step: Step, flop: float) -> float:
    plan = problem.plan
    n_chips = plan.tp * plan.pp * plan.cp * plan.dp
    return flop / (n_chips * problem.setting.chip.matmul_flop_per_s * step.step_s)


@given(problem=problems())
def test_the_plans_tried_here_are_legal(problem: Problem) -> None:
    setting, plan = problem
    assert first_broken(plan, setting.model, setting.job, setting.cluster.n_chips) == ""


@given(problem=problems())
def test_a_step_adds_up_and_lies_in_its_bracket(problem: Problem) -> None:
    step = training_step(*problem)
    terms = [getattr(step, name) for name in TERMS]
    assert math.isclose(math.fsum(terms), step.step_s, rel_tol=1e-12)
    assert min(terms) >= 0.0
    assert step.recompute_s <= step.compute_s
    assert 0.0 < step.lower_s <= step.step_s * SLACK
    assert step.step_s <= step.upper_s * SLACK
    parts = [getattr(step, name) for name in PARTS]
    assert min(parts) >= 0.0
    assert math.isclose(math.fsum(parts), step.memory_bytes, rel_tol=1e-12)
    assert step.capacity_bytes == problem.setting.chip.hbm_bytes - problem.setting.chip.reserved_bytes


@given(problem=problems())
def test_no_plan_does_more_than_the_peak(problem: Problem) -> None:
    step = training_step(*problem)
    mfu, hfu = (utilisation(problem, step, flop) for flop in (step.model_flop, step.hardware_flop))
    assert 0.0 < mfu <= hfu <= 1.0


@given(problem=problems(), tier=st.sampled_from(TIERS))
def test_a_faster_link_is_never_slower(problem: Problem, tier: str) -> None:
    setting, plan = problem
    slow = getattr(setting.cluster, tier)
    faster = setting.cluster._replace(**{tier: slow._replace(bytes_per_s=1.5 * slow.bytes_per_s)})
    now_s = training_step(setting, plan).step_s
    assert training_step(setting._replace(cluster=faster), plan).step_s <= now_s * SLACK


@given(problem=problems().map(filled_by_shape), factor=st.sampled_from([1.01, 1.5, 4.0]))
def test_more_bandwidth_and_more_flops_are_never_slower(problem: Problem, factor: float) -> None:
    setting, plan = one_way_to_hide(problem)
    now = training_step(setting, plan)
    for faster in (faster_memory(setting, factor), faster_matmuls(setting, factor)):
        then = training_step(faster, plan)
        assert then.step_s <= now.step_s * SLACK
        assert then.lower_s <= now.lower_s * SLACK
        assert then.upper_s <= now.upper_s * SLACK


@given(problem=problems())
def test_doubling_layers_doubles_their_compute(problem: Problem) -> None:
    setting = problem.setting._replace(model=problem.setting.model._replace(n_mtp_layers=0))
    recompute = RECOMPUTE_FULL if problem.plan.recompute == RECOMPUTE_BLOCK else problem.plan.recompute
    plan = problem.plan._replace(pp=1, vpp=1, schedule=SCHEDULE_1F1B, recompute=recompute, recompute_layers=0)
    once, twice = training_step(setting, plan), training_step(deeper(setting), plan)
    end = ends(setting, plan)
    ends_s = once.n_microbatches * (end.embedding_s + end.head_forward_s + end.head_backward_s)
    assert math.isclose(twice.compute_s - ends_s, 2.0 * (once.compute_s - ends_s), rel_tol=1e-9)
    assert math.isclose(twice.recompute_s, 2.0 * once.recompute_s, rel_tol=1e-9)
    assert math.isclose(twice.cp_comm_s, 2.0 * once.cp_comm_s, rel_tol=1e-9)
    assert math.isclose(twice.ep_comm_s, 2.0 * once.ep_comm_s, rel_tol=1e-9)


@given(problem=problems())
def test_one_chip_talks_to_nobody(problem: Problem) -> None:
    alone = problem.plan._replace(
        tp=1, pp=1, vpp=1, dp=1, cp=1, ep=1, etp=1, shard=0, schedule=SCHEDULE_1F1B, sequence_parallel=0
    )
    step = training_step(problem.setting, alone)
    talk = (step.tp_comm_s, step.cp_comm_s, step.ep_comm_s, step.pp_comm_s, step.dp_comm_s, step.bubble_s)
    assert talk == (0.0,) * 6
    assert step.straggler_s == 0.0


@given(problem=problems())
def test_more_recompute_never_keeps_more_where_a_stage_has_two_layers(problem: Problem) -> None:
    setting, plan = problem
    kept, some, every = (
        training_step(setting, plan._replace(recompute=recompute, recompute_layers=0))
        for recompute in (RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL)
    )
    assert some.activations_bytes <= kept.activations_bytes
    if setting.model.n_layers > plan.pp:
        assert every.activations_bytes <= kept.activations_bytes * SLACK
    assert kept.hardware_flop <= some.hardware_flop <= every.hardware_flop
    assert kept.hardware_flop < every.hardware_flop


@given(problem=problems())
def test_each_zero_stage_needs_no_more_memory_than_the_one_below(problem: Problem) -> None:
    setting, plan = problem
    one, end = layer(setting, plan), ends(setting, plan)
    n_batches = n_microbatches(setting.job, plan)
    held = [memory(setting, plan._replace(zero=zero, shard=0), one, end, n_batches).total_bytes for zero in range(4)]
    assert all(above <= below * SLACK for below, above in pairwise(held))


@given(problem=problems())
def test_offloading_never_needs_more_memory(problem: Problem) -> None:
    setting, plan = problem
    here, away = (training_step(setting, plan._replace(offload=offload)) for offload in (0, 1))
    assert away.memory_bytes <= here.memory_bytes
    assert away.optimizer_bytes == 0.0


@given(problem=problems())
def test_the_bubble_left_is_a_share(problem: Problem) -> None:
    one = layer(*problem)
    share = bubble_share(problem.plan, one.forward_s, one.backward_s + one.recompute_s, one.weight_gradient_s)
    assert 0.0 <= share <= 1.0
    step = training_step(*problem)
    assert 0.0 <= step.bubble_s / step.step_s < 1.0
    assert problem.plan.pp > 1 or step.bubble_s == 0.0


def test_interleaving_divides_the_bubble() -> None:
    plan = PLAN._replace(pp=8)
    assert bubble_share(plan._replace(vpp=4), 1.0, 2.0, 1.0) * 4.0 == bubble_share(plan, 1.0, 2.0, 1.0) == 1.0


def test_a_larger_batch_needs_flops_in_proportion() -> None:
    job = SETTING.job
    larger = job._replace(global_batch=3 * job.global_batch)
    assert model_flop(SETTING.model, larger) == 3.0 * model_flop(SETTING.model, job)


@given(problem=problems())
def test_groups_hold_whole_numbers_of_chips(problem: Problem) -> None:
    plan = problem.plan
    group = plan.dp * plan.cp
    assert 1 <= n_shards(group, plan) <= group
    assert expert_group(plan) * plan.ep * plan.etp == plan.tp * plan.cp * plan.dp
    n_batches = n_microbatches(problem.setting.job, plan)
    assert n_batches == int(n_batches) >= 1
    assert 1.0 <= in_flight(plan, n_batches) <= n_batches


@given(problem=problems(), n_replicas=st.integers(1, 64), zero=st.integers(0, 3))
def test_gradients_of_one_replica_stay_where_they_are(problem: Problem, n_replicas: int, zero: int) -> None:
    setting, plan = problem
    assert gradients_s(1e9, 1, plan.tp, zero, setting) == weights_s(1e9, 1, plan.tp, zero, setting) == 0.0
    for exchange_s in (gradients_s, weights_s):
        once_s = exchange_s(1e9, n_replicas, plan.tp, zero, setting)
        assert once_s <= exchange_s(2e9, n_replicas, plan.tp, zero, setting)
    one = layer(setting, plan)
    assert sharded_layer_s(setting, plan, one) >= 0.0
    sharded_s, whole_s = (
        optimizer_s(setting, plan._replace(zero=z, shard=0), one, ends(setting, plan)) for z in (1, 0)
    )
    assert sharded_s <= whole_s * SLACK
