"""What is named as the answer: the best, or of those that are nearly as good the plainest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustercast.studies.serving import result, search
from clustercast.studies.serving.question import ServeAsked, fill_serve
from clustercast.studies.serving.result import dimensions, serve

ASKED = ServeAsked("h20", "deepseek-v3", 32, 2048, 512)


def tie(monkeypatch: pytest.MonkeyPatch, fraction: float) -> None:
    whole = result.constant("layout", "near_tie_fraction")
    monkeypatch.setattr(result, "constant", lambda *_: whole._replace(value=fraction))


def test_of_nearly_equal_setups_the_plainest_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = fill_serve(ASKED).setting.cluster.scale_up.n_chips
    found = {}
    for fraction in (0.0, 0.3, 0.6):
        tie(monkeypatch, fraction)
        found[fraction] = serve(ASKED)
    plainness = []
    for fraction, done in found.items():
        assert done.requests_per_s >= (1.0 - fraction) * found[0.0].requests_per_s
        plan = result.records.ServingPlan(*(int(done.plan[name]) for name in result.records.ServingPlan._fields))
        plainness.append(dimensions(plan, int(done.plan["chips"]), domain)[0])
    assert plainness == sorted(plainness, reverse=True)
    assert plainness[0] > plainness[-1]
    assert any("the plainest is named" in said for said in found[0.6].warnings)
    assert not any("the plainest is named" in said for said in found[0.0].warnings)


def test_a_load_is_never_given_more_chips_for_a_plainer_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ServeAsked("h100", "llama-3.1-70b", 32, 2048, 512, concurrency=256, tpot_s=0.04)
    tie(monkeypatch, 0.0)
    best = serve(asked)
    tie(monkeypatch, 0.5)
    plain = serve(asked)
    assert plain.count - plain.plan["idle"] <= best.count - best.plan["idle"]
    assert plain.latency_ms <= 2.0 * best.latency_ms


@given(floor=st.floats(0.0, 1.2))
@settings(max_examples=20, deadline=None)
def test_a_setup_counts_only_above_the_floor(floor: float) -> None:
    question = fill_serve(ServeAsked("h100", "llama-3.1-8b", 2, 1024, 128))
    each = search.candidates(question.setting, 2, {})
    space = search.holding(question.setting, question.job, 1152.0, each)
    best = search.best_batch(question.setting, question.job, space, 2, question.limits, compiled=False).best
    assert best is not None

    def rate(found: search.Found) -> float:
        done = result.closed_loop(question.setting, question.job._replace(batch=found.batch), found.plan)
        return done.requests_per_s * found.replicas

    above = floor * rate(best)
    again = search.best_batch(
        question.setting, question.job, space, 2, question.limits, above_requests_per_s=above, compiled=False
    ).best
    assert (again is None) == (floor >= 1.0)
    assert again is None or again == best
