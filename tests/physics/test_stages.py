"""Stages one by one agree with what the step asks of the slowest and the fullest."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from clustercast.physics.examples import PLAN
from clustercast.physics.stages import n_stage_in_flight, n_stage_layers
from clustercast.physics.training import in_flight, pipeline

TIMES = st.floats(0.0, 4.0)


@given(pp=st.integers(1, 16), n=st.integers(1, 64), first_s=TIMES, last_s=TIMES)
def test_all_layers_are_dealt_out_and_the_slowest_stage_is_the_pipelines(
    pp: int, n: int, first_s: float, last_s: float
) -> None:
    pp = min(pp, n)
    plan = PLAN._replace(pp=pp)
    layers = [n_stage_layers(1.0, first_s, last_s, n, stage, plan) for stage in range(pp)]
    assert sum(layers) == n
    assert min(layers) >= 1
    assert max(layers) <= -(-n // pp)
    flow = pipeline(1.0, first_s, last_s, n, 1.0, 1.0, plan)
    if flow.first == 1.0:
        assert layers[0] == flow.n_layers
    elif flow.last == 1.0:
        assert layers[-1] <= flow.n_layers


@given(pp=st.integers(2, 16), vpp=st.integers(1, 4), n=st.integers(1, 200), schedule=st.integers(0, 3))
def test_the_first_stage_holds_what_the_estimate_counts_and_no_stage_more(
    pp: int, vpp: int, n: int, schedule: int
) -> None:
    plan = PLAN._replace(pp=pp, vpp=vpp if schedule == 0 else 1, schedule=schedule)
    held = [n_stage_in_flight(plan, float(n), stage) for stage in range(pp)]
    assert abs(held[0] - in_flight(plan, float(n))) < 1e-9
    assert all(one >= two for one, two in itertools.pairwise(held))
