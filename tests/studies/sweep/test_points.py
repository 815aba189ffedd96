"""A point of a study is what the plain formulas say of it, wherever it lies in the study."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import clustercast
from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked, fill
from clustercast.physics.training import training_step
from clustercast.plans import rules
from clustercast.plans.text import NAMED, parse
from clustercast.records import Plan
from clustercast.studies.sensitivity.model import trained
from clustercast.studies.sensitivity.study import training_case
from clustercast.studies.sweep import layouts
from clustercast.studies.sweep.frames import NEUTRAL
from clustercast.studies.sweep.outputs import OUTPUTS, USUAL
from clustercast.studies.sweep.points import Evaluator
from clustercast.studies.sweep.space import ALL, FITTING, LEGAL, NAME, NUMBER, PLAN, WHOLE, Axis, Range, Samples, Space

CHIPS = ("h100-sxm5-80gb", "h20-96gb")
FIXED = {"model": "llama-3.1-70b", "tokens": 1e12, "global_batch": 1024, "seq_len": 4096}


def space(*axes: Axis, about: str = "training", **changes: Any) -> Space:
    """A study of these axes."""
    fixed = FIXED | changes.pop("fixed", {})
    usual = Space(
        title="test", about=about, axes=axes, samples=None, fixed=fixed, relative_fixed=frozenset(), conditions=(),
        optimise=False, outputs=USUAL[about], keep=ALL, part_size=1024, text="",
    )  # fmt: skip
    return replace(usual, **changes)


def rows(study: Space) -> list[dict[str, Any]]:
    """Every kept point."""
    found: list[dict[str, Any]] = Evaluator(study).part(0, study.n_points).table.to_pylist()
    return found


PLANS = (
    Axis("chip", NAME, CHIPS),
    Axis("count", WHOLE, (64, 96)),
    Axis("tp", PLAN, (4, 8, 16)),
    Axis("pp", PLAN, (1, 2, 3)),
    Axis("zero", PLAN, (0, 1, 3)),
    Axis("recompute", PLAN, (0, 2)),
)


def test_every_point_is_what_the_plain_formulas_say() -> None:
    study = space(*PLANS, outputs=("days", "step_s", "mfu_fraction", "rent_usd", "memory_bytes", "bubble_s"))
    found = rows(study)
    assert [row["point"] for row in found] == list(range(study.n_points))
    seen = set()
    for row in found:
        seen.add(row["status"])
        question = fill(Asked(row["chip"], row["model"], row["count"], 1e12, 1024, 4096))
        case = training_case(question)
        plan = NEUTRAL._replace(
            tp=row["tp"], pp=row["pp"], zero=row["zero"], recompute=NAMED["recompute"].index(row["recompute"]),
            sequence_parallel=1, dp=row["dp"],
        )  # fmt: skip
        assert row["dp"] == max(dp for dp in range(1, row["count"] // (plan.tp * plan.pp) + 1) if 1024 % dp == 0)
        broken = rules.broken_rule(plan, case.setting.model, case.setting.job, row["count"])
        if broken:
            assert row["status"] == rules.NAMES[broken]
            assert row["days"] is row["memory_bytes"] is None
            continue
        step, outcome = training_step(case.setting, plan), trained(case, plan)
        assert row["memory_bytes"] == step.memory_bytes
        if step.memory_bytes > step.capacity_bytes:
            assert (row["status"], row["days"], row["bubble_s"]) == ("does not fit", None, None)
            continue
        assert row["status"] == "ok"
        assert row["days"] == outcome.total_s / 86400.0 or math.isclose(row["days"], outcome.total_s / 86400.0)
        assert (row["step_s"], row["bubble_s"]) == (step.step_s, step.bubble_s)
        assert (row["mfu_fraction"], row["rent_usd"]) == (outcome.mfu_fraction, outcome.rent_usd)
    assert {"ok", "does not fit", "tp: KV heads"} <= seen | {"tp: KV heads"}
    assert len(seen) >= 2


def test_a_point_is_the_answer_of_estimate() -> None:
    text = "tp=8,pp=2,dp=4,zero=1,micro_batch=1,recompute=full"
    fixed = {name: code for name, code in parse(text).items() if name != "tp"} | {"count": 64, "chip": "h20-96gb"}
    (row,) = rows(space(Axis("tp", PLAN, (8,)), fixed=fixed, outputs=tuple(OUTPUTS["training"])))
    told = clustercast.estimate(
        "h20", "llama-3.1-70b", n_chips=64, tokens=1e12, global_batch=1024, seq_len=4096, plan=text
    ).training
    assert told is not None
    for name, value in {
        "days": told.days, "days_low": told.days_low, "days_high": told.days_high, "step_s": told.step_s,
        "tokens_per_s": told.tokens_per_s, "tokens_per_s_per_chip": told.tokens_per_s_per_chip,
        "mfu_fraction": told.mfu, "goodput_fraction": told.goodput, "rent_usd": told.cost_usd,
        "energy_mwh": told.energy_mwh, "memory_bytes": told.memory_bytes.total, "n_chips_used": 64,
    }.items():  # fmt: skip
        assert row[name] == pytest.approx(value, rel=1e-12), name
    assert all(row[name] is not None for name in OUTPUTS["training"])


@pytest.mark.slow
def test_a_searched_point_is_the_plan_that_estimate_finds() -> None:
    study = space(Axis("chip", NAME, CHIPS), Axis("pp", PLAN, (1, 4)), optimise=True, fixed={"count": 64})
    for row in rows(study):
        told = clustercast.estimate(
            row["chip"], "llama-3.1-70b", n_chips=64, tokens=1e12, global_batch=1024, seq_len=4096,
            plan=f"pp={row['pp']}",
        ).training  # fmt: skip
        assert told is not None
        assert row["step_s"] == told.step_s
        assert {name: row[name] for name in ("tp", "pp", "dp", "cp", "zero", "recompute", "vpp")} == {
            name: told.plan[name] for name in ("tp", "pp", "dp", "cp", "zero", "recompute", "vpp")
        }


@pytest.mark.slow
def test_a_served_point_is_the_answer_of_estimate() -> None:
    fixed = {"count": 8, "input_len": 2048, "output_len": 512}
    given = space(Axis("chip", NAME, CHIPS), Axis("batch", WHOLE, (8, 64)), about="serving", optimise=True, fixed=fixed)
    given = replace(given, fixed={name: value for name, value in given.fixed.items() if name in ("model", *fixed)})
    for row in rows(given):
        told = clustercast.estimate(
            row["chip"], "llama-3.1-70b", n_chips=8, input_len=2048, output_len=512, batch=row["batch"]
        ).serving
        assert told is not None
        assert row["tpot_ms"] == pytest.approx(told.tpot_ms, rel=1e-12)
        assert row["tp"] == told.plan["tp"]
        assert row["output_tokens_per_s_per_chip"] == pytest.approx(told.output_tokens_per_s_per_chip, rel=1e-12)
        held = replace(
            given, optimise=False, axes=given.axes[:1],
            fixed=given.fixed | {"batch": row["batch"], "tp": row["tp"], "pp": row["pp"]},
        )  # fmt: skip
        same = next(each for each in rows(held) if each["chip"] == row["chip"])
        assert same["tpot_ms"] == row["tpot_ms"]


def test_numbers_move_the_answer_as_set_does() -> None:
    fixed = {"count": 64, "chip": "h20-96gb", "tp": 8, "pp": 2, "recompute": 2}
    bandwidth = Axis("chip.hbm_bandwidth", NUMBER, (0.5, 1.0, 1.5), True)
    relative = rows(space(bandwidth, fixed=fixed))
    absolute = rows(space(Axis("chip.hbm_bandwidth", NUMBER, (2e12, 4e12, 6e12)), fixed=fixed))
    assert [row["step_s"] for row in relative] == [row["step_s"] for row in absolute]
    assert [row["chip.hbm_bandwidth"] for row in relative] == [0.5, 1.0, 1.5]
    for row in absolute:
        told = clustercast.estimate(
            "h20", "llama-3.1-70b", n_chips=64, tokens=1e12, global_batch=1024, seq_len=4096,
            plan="tp=8,pp=2,dp=4,zero=1,micro_batch=1,recompute=full",
            settings=(f"chip.hbm_bandwidth={row['chip.hbm_bandwidth'] / 1e12}TB/s",),
        ).training  # fmt: skip
        assert told is not None
        assert row["step_s"] == pytest.approx(told.step_s, rel=1e-12)


def test_tokens_and_prices_move_money_and_days_in_proportion() -> None:
    axes = (Axis("tokens", WHOLE, (1e12, 2e12)), Axis("chip.price_rent", NUMBER, (1.0, 3.0), True))
    found = rows(space(*axes, fixed={"count": 64, "chip": "h20-96gb", "tp": 8, "pp": 2, "recompute": 2}))
    assert found[2]["days"] == pytest.approx(2.0 * found[0]["days"], rel=1e-12)
    assert found[1]["rent_usd"] == pytest.approx(3.0 * found[0]["rent_usd"], rel=1e-12)
    assert found[3]["rent_usd"] == pytest.approx(6.0 * found[0]["rent_usd"], rel=1e-12)


def test_samples_move_numbers_together() -> None:
    drawn = Samples("sobol", 8, 3, (Range("chip.flops", 0.5, 2.0, True, True), Range("job.pue", 1.1, 1.5)))
    study = space(
        Axis("chip", NAME, CHIPS), samples=drawn, fixed={"count": 64, "tp": 8, "pp": 2, "recompute": 2},
        outputs=("step_s", "energy_mwh"),
    )  # fmt: skip
    found = rows(study)
    assert len(found) == 16
    values = study.sampled(0, 8)
    for row in found:
        sample = row["point"] % 8
        assert (row["chip.flops"], row["job.pue"]) == tuple(values[sample])
    for chip in CHIPS:
        mine = sorted((row for row in found if row["chip"] == chip), key=lambda row: row["chip.flops"])
        steps = [row["step_s"] for row in mine]
        assert steps == sorted(steps, reverse=True)


def test_parts_join_to_the_whole_and_counts_add_up() -> None:
    study = space(*PLANS)
    evaluator = Evaluator(study)
    whole = evaluator.part(0, study.n_points)
    parts = [evaluator.part(first, min(first + 50, study.n_points)) for first in range(0, study.n_points, 50)]
    assert [row for part in parts for row in part.table.to_pylist()] == whole.table.to_pylist()
    for name, n in whole.counts.items():
        assert sum(part.counts[name] for part in parts) == n
    counts = whole.counts
    n_ok = sum(row["status"] == "ok" for row in whole.table.to_pylist())
    assert counts["considered"] == counts["illegal"] + counts["too_large"] + n_ok
    for keep, kept in ((LEGAL, n_ok + counts["too_large"]), (FITTING, n_ok)):
        found = Evaluator(replace(study, keep=keep)).part(0, study.n_points)
        assert found.counts == counts | {"kept": kept}
        assert found.table.num_rows == kept


def test_a_question_without_an_answer_is_a_row_with_its_reason() -> None:
    axes = (Axis("chip", NAME, ("v100-sxm2-32gb", "h100-sxm5-80gb")), Axis("precision", NAME, ("bf16", "fp8-block")))
    found = rows(space(*axes, fixed={"count": 512, "tp": 8, "pp": 8, "recompute": 2}))
    status = {(row["chip"], row["precision"]): row["status"] for row in found}
    assert "ok" not in (status["v100-sxm2-32gb", "bf16"], status["v100-sxm2-32gb", "fp8-block"])
    assert "v100" in status["v100-sxm2-32gb", "fp8-block"]
    assert status["h100-sxm5-80gb", "bf16"] == "ok"


def test_serving_needs_a_batch_or_a_search() -> None:
    with pytest.raises(WrongInput, match="batch is missing"):
        Evaluator(space(Axis("chip", NAME, CHIPS), about="serving"))
    with pytest.raises(WrongInput, match="tp: optimise searches the whole layout"):
        Evaluator(space(Axis("tp", PLAN, (1, 2)), about="serving", optimise=True))


def test_what_nobody_says_is_filled_in() -> None:
    said = {"tp": np.array([1, 8, 8]), "pp": np.array([1, 2, 4])}
    plans = layouts.training_plans(said, *(np.full(3, n) for n in (64, 4096, 96)))
    found = [Plan(*row) for row in plans.tolist()]
    assert [plan.dp for plan in found] == [48, 4, 2]
    assert [plan.sequence_parallel for plan in found] == [0, 1, 1]
    assert {(plan.zero, plan.micro_batch, plan.tp_overlap, plan.vpp) for plan in found} == {(1, 1, 1, 1)}
    shape = layouts.serving_layouts({"tp": np.array([8, 8])}, 2, np.array([0, 12]))
    assert shape.tolist() == [[8, 1, 1, 1, 1], [8, 1, 1, 4, 2]]
