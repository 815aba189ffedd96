"""The serving search finds the best of the space that it states: the same as trying everything."""

import random
from typing import Any

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_problems import CHUNKS, Problem, load_of, loads, problems

from clustercast.errors import WrongInput
from clustercast.physics.loop import closed_loop
from clustercast.physics.queueing import open_loop
from clustercast.records import ServingPlan, ServingSetting
from clustercast.studies.serving import search
from clustercast.studies.serving.question import demand_of
from clustercast.studies.serving.search import Limits, Load

NEARLY = 1.0 + 1e-9
HIDDEN = 1.02  # prefills hide behind slower memory


def tried_all(problem: Problem) -> set[tuple[ServingPlan, int, int]]:
    """The layouts, batches and chunks with the highest rate of all."""
    best = 0.0
    where: set[tuple[ServingPlan, int, int]] = set()
    for chunk in CHUNKS:
        pairs = [(at, batch) for at, row in enumerate(problem.space.rows) for batch in range(1, row[6] + 1)]
        for (at, batch), (ttft_s, tpot_s, _, per_s) in zip(pairs, loads(problem, chunk, pairs), strict=True):
            if ttft_s > problem.limits.ttft_s or tpot_s > problem.limits.tpot_s:
                continue
            rate = problem.n_chips // problem.space.rows[at][5] * per_s
            if rate > best * NEARLY:
                best, where = rate, {(problem.space.plan(at), batch, chunk)}
            elif rate > best / NEARLY:
                where.add((problem.space.plan(at), batch, chunk))
    return where


@given(problem=problems)
@settings(max_examples=20)
def test_the_search_finds_what_trying_everything_finds(problem: Problem) -> None:
    found = search.best_batch(
        problem.setting, problem.job, problem.space, problem.n_chips, problem.limits, chunks=CHUNKS, compiled=True
    )
    where = tried_all(problem)
    if not where:
        assert found.best is None
        return
    assert found.best is not None
    assert (found.best.plan, int(found.best.batch), found.best.chunk_tokens) in where


@given(problem=problems)
@settings(max_examples=40)
def test_every_setup_of_the_space_is_accounted_for(problem: Problem) -> None:
    looked = search.best_batch(
        problem.setting, problem.job, problem.space, problem.n_chips, problem.limits, chunks=CHUNKS, compiled=True
    ).search
    in_space = len(CHUNKS) * (sum(row[6] for row in problem.space.rows) + problem.space.n_too_large)
    assert looked.n_considered == looked.n_feasible + sum(looked.rejected.values()) == in_space


@given(problem=problems)
@settings(max_examples=20)
def test_more_requests_hardly_make_one_faster(problem: Problem) -> None:
    """What the search leaves out unseen rests on this."""
    for at, row in enumerate(problem.space.rows):
        longest = [0.0, 0.0, 0.0]
        chunk = int(problem.setting.engine.chunk_tokens)
        for ttft_s, tpot_s, latency_s, _ in loads(problem, chunk, ((at, batch) for batch in range(1, row[6] + 1))):
            now = [ttft_s, tpot_s, latency_s]
            kept = (search.KEPT_TTFT, search.KEPT_TPOT_IN_TURNS, search.KEPT_IN_TURNS)
            if problem.setting.engine.mixed_share > 0.5:
                kept = (search.KEPT_TTFT, search.KEPT_TPOT, search.KEPT)
            assert all(each >= share * least for each, share, least in zip(now, kept, longest, strict=True))
            longest = [max(pair) for pair in zip(now, longest, strict=True)]


@given(problem=problems, looser=st.floats(1.0, 4.0))
@settings(max_examples=40)
def test_a_looser_objective_never_costs_throughput(problem: Problem, looser: float) -> None:
    def rate(limits: Limits) -> float:
        found = search.best_batch(
            problem.setting, problem.job, problem.space, problem.n_chips, limits, compiled=True
        ).best
        if found is None:
            return 0.0
        job = problem.job._replace(batch=found.batch)
        return found.replicas * closed_loop(problem.setting, job, found.plan).requests_per_s

    ttft_s, tpot_s = problem.limits
    assert rate(problem.limits) <= rate(Limits(looser * ttft_s, looser * tpot_s)) * NEARLY


@given(problem=problems, faster=st.floats(1.0, 3.0))
@settings(max_examples=40)
def test_more_bandwidth_never_costs_throughput(problem: Problem, faster: float) -> None:
    chip = problem.setting.chip
    better = problem.setting._replace(chip=chip._replace(hbm_bytes_per_s=faster * chip.hbm_bytes_per_s))

    def rate(setting: ServingSetting) -> float:
        found = search.best_batch(
            setting, problem.job, problem.space, problem.n_chips, problem.limits, compiled=True
        ).best
        if found is None:
            return 0.0
        job = problem.job._replace(batch=found.batch)
        return found.replicas * closed_loop(setting, job, found.plan).requests_per_s

    assert rate(problem.setting) <= rate(better) * HIDDEN


def costed(problem: Problem, load: Load) -> list[tuple[int, float, float, float]]:
    """Chips, TTFT, TPOT and latency of every layout, chunk and number of replicas."""
    found = []
    for chunk in CHUNKS:
        setting = search.with_chunk(problem.setting, chunk)
        for at, row in enumerate(problem.space.rows):
            plan = problem.space.plan(at)
            for replicas in range(1, problem.n_chips // row[5] + 1):
                done: Any
                if load.requests_per_s:
                    done = open_loop(load.requests_per_s / replicas, load.demand, setting, plan)
                elif replicas > max(load.concurrency, 1):
                    continue
                else:
                    done = closed_loop(setting, load.job._replace(batch=load.concurrency / replicas), plan)
                found.append((replicas * row[5], done.ttft_s, done.tpot_s, done.latency_s))
    return found


@given(problem=problems, concurrency=st.integers(1, 300))
@settings(max_examples=40)
def test_a_load_is_served_by_the_fewest_chips_that_hold_the_objectives(problem: Problem, concurrency: int) -> None:
    limits = Limits(min(problem.limits.ttft_s, 1e9), problem.limits.tpot_s)
    load = load_of(problem, concurrency=float(concurrency))
    found = search.best_under_load(
        problem.setting, load, problem.space, problem.n_chips, limits, chunks=CHUNKS, compiled=True
    )
    meeting = [each for each in costed(problem, load) if each[1] <= limits.ttft_s and each[2] <= limits.tpot_s]
    if not meeting:
        assert found.best is None
        return
    assert found.best is not None
    fewest = min(each[0] for each in meeting)
    assert found.best.size * found.best.replicas == fewest
    fastest = min(each[3] for each in meeting if each[0] == fewest)
    job = problem.job._replace(batch=found.best.batch)
    done = closed_loop(search.with_chunk(problem.setting, found.best.chunk_tokens), job, found.best.plan)
    assert done.latency_s <= fastest * NEARLY


@given(problem=problems, concurrency=st.integers(1, 300), scanned=st.sampled_from((0, 64)))
@settings(max_examples=40)
def test_every_number_of_replicas_is_accounted_for(problem: Problem, concurrency: int, scanned: int) -> None:
    load = load_of(problem, concurrency=float(concurrency))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "SCANNED", scanned)
        looked = search.best_under_load(
            problem.setting, load, problem.space, problem.n_chips, problem.limits, chunks=CHUNKS, compiled=True
        ).search
    in_space = sum(max(min(problem.n_chips // row[5], concurrency), 1) for row in problem.space.rows)
    assert looked.n_considered == looked.n_feasible + sum(looked.rejected.values())
    assert looked.n_considered == len(CHUNKS) * (in_space + problem.space.n_too_large)


@pytest.mark.slow
@pytest.mark.parametrize("percentile", [0, 90])
def test_arrivals_are_served_by_the_fewest_chips_that_hold_the_objectives(percentile: int) -> None:
    for seed in range(40):
        problem = Problem(random.Random(seed))
        if problem.n_chips > 8 or not problem.space.rows or len(problem.space.rows) > 12:
            continue
        top = open_loop(1e-6, demand_of(problem.job, 1.0), problem.setting, problem.space.plan(0))
        limits = Limits(3.0 * top.ttft_s, 2.0 * top.tpot_s)
        load = load_of(problem, rate=0.6 * top.saturation_requests_per_s * problem.n_chips, percentile=percentile)
        found = search.best_under_load(
            problem.setting, load, problem.space, problem.n_chips, limits, chunks=CHUNKS, compiled=True
        )
        names = ("ttft_p90_s", "tpot_p90_s") if percentile else ("ttft_s", "tpot_s")
        meeting = []
        for chunk in CHUNKS:
            setting = search.with_chunk(problem.setting, chunk)
            for at, row in enumerate(problem.space.rows):
                for replicas in range(1, problem.n_chips // row[5] + 1):
                    done = open_loop(load.requests_per_s / replicas, load.demand, setting, problem.space.plan(at))
                    if getattr(done, names[0]) <= limits.ttft_s and getattr(done, names[1]) <= limits.tpot_s:
                        meeting.append((replicas * row[5], done.latency_s))
        if not meeting:
            assert found.best is None
            continue
        assert found.best is not None
        assert found.best.size * found.best.replicas == min(meeting)[0]


@given(problem=problems, concurrency=st.integers(1, 300))
@settings(max_examples=40)
def test_a_load_without_objectives_is_served_fastest(problem: Problem, concurrency: int) -> None:
    load = load_of(problem, concurrency=float(concurrency))
    found = search.best_under_load(
        problem.setting, load, problem.space, problem.n_chips, Limits(), chunks=CHUNKS, compiled=True
    ).best
    every = costed(problem, load)
    if not every:
        assert found is None
        return
    assert found is not None
    job = problem.job._replace(batch=found.batch)
    done = closed_loop(search.with_chunk(problem.setting, found.chunk_tokens), job, found.plan)
    assert done.latency_s <= min(each[3] for each in every) * NEARLY


@pytest.mark.slow
def test_compiled_loops_find_the_same_to_the_last_bit() -> None:
    for seed in range(12):
        problem = Problem(random.Random(seed))
        arguments = (problem.setting, problem.job, problem.space, problem.n_chips, problem.limits)
        plain = search.best_batch(*arguments, chunks=CHUNKS, compiled=False)
        compiled = search.best_batch(*arguments, chunks=CHUNKS, compiled=True)
        assert plain.best == compiled.best
        assert plain.nearest == compiled.nearest
        assert plain.search.rejected == compiled.search.rejected
        front = [
            search.frontier(*arguments[:4], chunks=CHUNKS, ttft_limit_s=problem.limits.ttft_s, compiled=either)
            for either in (False, True)
        ]
        assert front[0] == front[1]


@pytest.mark.slow
def test_compiled_loops_find_the_same_under_a_load() -> None:
    for seed in range(6):
        problem = Problem(random.Random(seed))
        for load in (load_of(problem, concurrency=40.0), load_of(problem, rate=0.3, percentile=90.0)):
            arguments = (problem.setting, load, problem.space, problem.n_chips, problem.limits)
            plain = search.best_under_load(*arguments, compiled=False)
            compiled = search.best_under_load(*arguments, compiled=True)
            assert plain.best == compiled.best
            assert plain.nearest == compiled.nearest
            assert plain.search.rejected == compiled.search.rejected


def test_what_is_fixed_is_held() -> None:
    problem = next(each for each in (Problem(random.Random(seed)) for seed in range(99)) if each.n_chips == 16)
    every = search.candidates(problem.setting, 16, {})
    for name in ("tp", "pp"):
        for value in {getattr(plan, name) for _, plan in every}:
            held = search.candidates(problem.setting, 16, {name: value})
            assert held == [each for each in every if getattr(each[1], name) == value]


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"tp": 3}, "tensor parallel 3 does not divide"),
        ({"pp": 999}, "pipeline parallel 999 is more than"),
        ({"tp": 8, "attention_dp": 64}, "is more than 16 chips"),
        ({"tp": 2, "attention_dp": 2, "ep": 3}, "ep x etp 3 x 1 is not tp x attention_dp 2 x 2"),
        ({"ep": 17}, "expert parallel 17 is more than 16 experts"),
        ({"ep": 5}, "no layout of 16 chips holds ep=5"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fixed: dict[str, int], said: str) -> None:
    setting = strategies.served(random.Random(1), "mixture").setting
    cluster = setting.cluster._replace(scale_up=setting.cluster.scale_up._replace(n_chips=8))
    with pytest.raises(WrongInput, match=said):
        search.candidates(setting._replace(cluster=cluster), 16, fixed)


def test_a_dense_model_has_no_attention_ranks() -> None:
    setting = strategies.served(random.Random(1), "dense").setting
    with pytest.raises(WrongInput, match="attention_dp 2 needs a mixture of experts; use replicas"):
        search.candidates(setting, 16, {"attention_dp": 2})
