"""The frontier holds what no other setup beats in both throughput and speed."""

import itertools

from hypothesis import given, settings
from serving_problems import CHUNKS, Problem, loads, problems

from clustercast.physics.loop import closed_loop
from clustercast.studies.serving import search


@given(problem=problems)
@settings(max_examples=40)
def test_no_setup_of_the_grid_beats_a_point_in_both(problem: Problem) -> None:
    limit_s = problem.limits.ttft_s
    front, n_setups = search.frontier(
        problem.setting, problem.job, problem.space, problem.n_chips,
        chunks=CHUNKS, ttft_limit_s=limit_s, compiled=True,
    )  # fmt: skip
    tried = []
    for chunk in CHUNKS:
        pairs = [(at, batch) for at, row in enumerate(problem.space.rows) for batch in search.batches_up_to(row[6])]
        for (at, _), (ttft_s, tpot_s, _, rate) in zip(pairs, loads(problem, chunk, pairs), strict=True):
            tried.append((ttft_s, tpot_s, problem.n_chips // problem.space.rows[at][5] * rate))
    assert len(tried) == n_setups
    for one, other in itertools.pairwise(front):
        assert one.tpot_s < other.tpot_s
        assert one.requests_per_s < other.requests_per_s
    for ttft_s, tpot_s, rate in tried:
        if ttft_s <= limit_s:
            assert any(point.tpot_s <= tpot_s and point.requests_per_s >= rate for point in front)


@given(problem=problems)
@settings(max_examples=40)
def test_the_best_under_an_objective_is_no_worse_than_the_frontier(problem: Problem) -> None:
    front, _ = search.frontier(
        problem.setting, problem.job, problem.space, problem.n_chips, ttft_limit_s=problem.limits.ttft_s, compiled=True
    )
    found = search.best_batch(
        problem.setting, problem.job, problem.space, problem.n_chips, problem.limits, compiled=True
    ).best
    within = [point.requests_per_s for point in front if point.tpot_s <= problem.limits.tpot_s]
    if found is None:
        assert not within
        return
    done = closed_loop(problem.setting, problem.job._replace(batch=found.batch), found.plan)
    assert found.replicas * done.requests_per_s >= max(within, default=0.0) * (1.0 - 1e-9)


def test_batches_double_in_eight_steps() -> None:
    found = search.batches_up_to(1000)
    assert found[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert found[-1] == 1000
    assert all(later / earlier <= 1.125 for earlier, later in itertools.pairwise(found) if earlier >= 16)
    assert search.batches_up_to(1) == [1]
