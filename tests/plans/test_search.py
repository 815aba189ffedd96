"""The search is exact: it finds what trying every plan finds, in every space, plain or compiled."""

import math
import random

import pytest
import strategies
from hypothesis import given, settings

from clustercast.physics.training import training_step
from clustercast.plans import rules, search, text
from clustercast.records import Job, Setting, as_declared

N_BRUTE = 1000
FREE = {
    "tp": (1, 2, 4),
    "pp": (1, 2, 3, 4),
    "dp": (1, 2, 4),
    "cp": (1, 2),
    "ep": (1, 2, 4),
    "etp": (1, 2),
    "zero": (0, 1, 2, 3),
    "micro_batch": (1, 2, 4),
    "recompute": (0, 1, 2),
    "offload": (0, 1, text.ANY),
    "schedule": (0, 2, 3, text.ANY),
    "tp_overlap": (0, 1, text.ANY),
    "dp_overlap": (0, text.ANY),
    "cp_kind": (1, text.ANY),
    "sequence_parallel": (0, text.ANY),
}

Question = tuple[Setting, int, dict[str, int]]


def question(rng: random.Random, n_fixed: int = 10) -> Question:
    """A small search: a setting, a few chips, some dimensions held so that trying every plan takes milliseconds."""
    setting = strategies.setting(rng)
    n_chips = rng.choice((1, 2, 4, 6, 8, 12, 16))
    job = Job(rng.choice((1024, 2048)), rng.choice((4, 6, 8, 12)))
    chip = setting.chip._replace(hbm_bytes=rng.choice((8.0, 16.0, 32.0, 80.0)) * 2**30)
    cluster = setting.cluster._replace(n_chips=n_chips)
    setting = setting._replace(job=job, chip=chip, cluster=cluster)
    names = [name for name in FREE if setting.model.n_moe_layers or name not in ("ep", "etp")]
    fixed = {name: rng.choice(FREE[name]) for name in rng.sample(names, n_fixed)}
    if rules.tp_broken(fixed.get("tp", 1), setting.model):
        del fixed["tp"]
    return as_declared(setting), n_chips, fixed


questions = strategies.seeded(question)


@pytest.mark.slow
@settings(max_examples=N_BRUTE)
@given(asked=questions)
def test_the_fastest_plans_are_those_that_trying_every_plan_finds(asked: Question) -> None:
    setting, n_chips, fixed = asked
    held = {name: code for name, code in fixed.items() if code != text.ANY}
    every = search.brute_force(setting, n_chips, fixed, 3, compiled=True)
    found = search.fastest(setting, n_chips, fixed, 3)
    assert found.steps_s == every.steps_s
    assert search.fastest(setting, n_chips, fixed, 1, compiled=True).steps_s == every.steps_s[:1]
    assert found.n_considered == every.n_considered
    if found.n_considered:
        assert sum(found.rejected.values()) + found.n_feasible == found.n_considered
    if not every.plans:
        assert found.least_bytes == every.least_bytes
    for plan, step_s in zip(found.plans, found.steps_s, strict=True):
        step = training_step(setting, plan)
        assert step.step_s == step_s
        assert step.memory_bytes <= step.capacity_bytes
        assert rules.first_broken(plan, setting.model, setting.job, n_chips) == ""
        assert plan.tp * plan.pp * plan.cp * plan.dp <= n_chips
        assert all(getattr(plan, name) == code for name, code in held.items())


@pytest.mark.slow
def test_compiled_and_plain_search_agree_to_the_last_count() -> None:
    rng = random.Random(7)
    for _ in range(60):
        setting, n_chips, fixed = question(rng, rng.randint(0, 4))
        plain = search.fastest(setting, n_chips, fixed, 3, compiled=False)
        assert search.fastest(setting, n_chips, fixed, 3, compiled=True) == plain


@pytest.mark.slow
def test_the_pareto_set_trades_memory_for_speed_and_begins_with_the_fastest() -> None:
    rng = random.Random(11)
    n_points = 0
    for _ in range(20):
        setting, n_chips, fixed = question(rng, 5)
        points = search.pareto(setting, n_chips, fixed, most=100)
        every = search.brute_force(setting, n_chips, fixed, top=10**6)
        assert [point[0] for point in points[:1]] == every.steps_s[:1]
        assert points == sorted(points, key=lambda point: point[0])
        assert points == sorted(points, key=lambda point: -point[1])
        n_points += len(points)
        held = [training_step(setting, plan).memory_bytes for plan in every.plans]
        for step_s, held_bytes, _ in points:
            # no plan is faster and needs less, but for a thousandth that the set steps over
            rivals = zip(every.steps_s, held, strict=True)
            assert not any(rival_s < step_s and rival < held_bytes * (1.0 - 1e-3) for rival_s, rival in rivals)
    assert n_points > 30


def test_a_lower_cap_is_kept() -> None:
    rng = random.Random(13)
    setting, n_chips, fixed = question(rng, 0)
    free = search.fastest(setting, n_chips, fixed)
    held_bytes = training_step(setting, free.plans[0]).memory_bytes
    capped = search.fastest(setting, n_chips, fixed, 1, 0.9 * held_bytes)
    assert capped.steps_s[0] >= free.steps_s[0]
    assert training_step(setting, capped.plans[0]).memory_bytes <= 0.9 * held_bytes


def test_where_nothing_fits_the_plan_that_needs_least_is_named() -> None:
    setting, _, _ = question(random.Random(17), 0)
    small = setting._replace(chip=setting.chip._replace(hbm_bytes=1.5e9))
    found = search.fastest(small, 4, {})
    assert found.plans == []
    assert found.least_plan is not None
    assert training_step(small, found.least_plan).memory_bytes == found.least_bytes < math.inf
    assert found.least_bytes > small.chip.hbm_bytes - small.chip.reserved_bytes


def test_more_chips_of_one_cluster_never_slow_the_best_plan() -> None:
    setting, _, _ = question(random.Random(19), 0)
    found_s = [search.fastest(setting, n_chips, {"recompute": 2}).steps_s for n_chips in (4, 8, 16)]
    found_s = [steps for steps in found_s if steps]
    assert found_s == sorted(found_s, reverse=True)


@pytest.mark.slow
def test_trying_everything_compiled_and_plain_agree() -> None:
    rng = random.Random(23)
    for _ in range(20):
        setting, n_chips, fixed = question(rng)
        plain = search.brute_force(setting, n_chips, fixed, 3, compiled=False)
        assert search.brute_force(setting, n_chips, fixed, 3, compiled=True) == plain
