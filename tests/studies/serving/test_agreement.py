"""The steady state under arrivals against the event simulation: 48 small scenarios here, hundreds in the bench."""

import itertools
import json
import math
from pathlib import Path

import pytest

from clustercast.physics.examples import SERVING_PLAN, SERVING_SETTING
from clustercast.physics.queueing import open_loop, saturation_requests_per_s
from clustercast.records import ServingSetting
from clustercast.studies.serving.simulate import Traffic, by_percentiles, demand_of, fixed, simulate

ROOT = Path(__file__).parents[3]
LIMITS = {"throughput": 0.03, "tpot": 0.05, "ttft": 0.15}
CHIP = SERVING_SETTING.chip._replace(
    matmul_flop_per_s=5e13, expert_flop_per_s=5e13, attention_flop_per_s=5e13, head_flop_per_s=5e13
)
ENGINE = SERVING_SETTING.engine._replace(first_token_s=0.05, max_batch=64.0, chunk_tokens=2048.0)
RIDING = SERVING_SETTING._replace(chip=CHIP, engine=ENGINE._replace(mixed_share=1.0))
IN_TURNS = SERVING_SETTING._replace(chip=CHIP, engine=ENGINE._replace(mixed_share=0.0))
TRAFFICS = {
    "level": Traffic(fixed(512), fixed(64)),
    "spread": Traffic(by_percentiles({5: 100, 50: 400, 95: 1000}), by_percentiles({5: 16, 50: 48, 95: 128})),
    "hits": Traffic(fixed(1024), by_percentiles({5: 16, 50: 48, 95: 128}), hit_fraction=0.5),
    "drafts": Traffic(by_percentiles({5: 100, 50: 400, 95: 1000}), fixed(96), n_drafts=1.0, accepted_tokens=1.7),
    "long prompts": Traffic(fixed(5000), fixed(200)),
    "long answers": Traffic(fixed(128), by_percentiles({5: 100, 50: 300, 95: 800})),
}
SCENARIOS = list(itertools.product((RIDING, IN_TURNS), TRAFFICS.values(), (0.1, 0.35, 0.6, 0.8)))


def errors(setting: ServingSetting, traffic: Traffic, load: float) -> dict[str, float]:
    """Relative errors of the formulas at a share of saturation."""
    demand = demand_of(traffic)
    rate = load * saturation_requests_per_s(demand, setting, SERVING_PLAN)
    formula = open_loop(rate, demand, setting, SERVING_PLAN)
    loaded = traffic._replace(requests_per_s=rate)
    done = simulate(setting, SERVING_PLAN, loaded, n_requests=30_000, n_warm=3000, seed=1, compiled=True)
    seen = done.summary()
    return {
        "throughput": formula.requests_per_s / seen["requests_per_s"] - 1.0,
        "tpot": formula.tpot_s / seen["tpot_s"] - 1.0,
        "ttft": formula.ttft_s / seen["ttft_s"] - 1.0,
        "ttft_p50": formula.ttft_p50_s / seen["ttft_p50_s"] - 1.0,
        "ttft_p90": formula.ttft_p90_s / seen["ttft_p90_s"] - 1.0,
        "tpot_p90": formula.tpot_p90_s / seen["tpot_p90_s"] - 1.0,
    }


@pytest.mark.slow
def test_means_and_percentiles_of_48_scenarios_agree_with_the_simulation() -> None:
    found = [errors(*scenario) for scenario in SCENARIOS]
    outside = [
        (scenario[1:], each)
        for scenario, each in zip(SCENARIOS, found, strict=True)
        if any(abs(each[metric]) > limit for metric, limit in LIMITS.items())
    ]
    assert len(outside) <= 2, outside
    for metric, limit in {"ttft_p50": 0.05, "ttft_p90": 0.08, "tpot_p90": 0.08}.items():
        assert sorted(abs(each[metric]) for each in found)[len(found) // 2] <= limit


def test_the_committed_run_holds_what_is_claimed() -> None:
    result = json.loads((ROOT / "bench" / "results" / "simulate.json").read_text(encoding="utf-8"))
    for part, n_least in {"open_loop": 200, "open_loop_fresh_seeds": 400}.items():
        table = result[part]
        assert table["scenarios"] >= n_least
        assert table["inside_all"] >= 0.94
        assert {metric: table[metric]["limit"] for metric in LIMITS} == LIMITS
        assert all(table[metric]["inside"] >= 0.95 for metric in LIMITS)
        medians = {"ttft_p50": 0.05, "ttft_p90": 0.08, "ttft_p99": 0.12, "tpot_p90": 0.08}
        assert all(table[metric]["median"] <= limit for metric, limit in medians.items())
        assert table["saturation_spread_lengths"]["p90"] <= 0.03


def test_the_docs_show_the_committed_run() -> None:
    import sys

    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import _agreement
    finally:
        sys.path.pop(0)
    assert _agreement.table() in (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def test_percentiles_of_lengths_are_their_strata() -> None:
    assert set(fixed(100).strata) == {1.0}
    strata = by_percentiles({5: 100, 50: 400, 95: 1000}).strata
    assert list(strata) == sorted(strata)
    assert math.isclose(
        sum(share * each for share, each in zip((0.3, 0.3, 0.25, 0.12, 0.03), strata, strict=True)), 1.0, rel_tol=1e-6
    )
