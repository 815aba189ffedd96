"""The study as a whole: rankings that must hold for the H20, seeds, ranges, plans that do not fit."""

import dataclasses
import math

import numpy as np
import pytest

import clustercast
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.question import Asked, fill
from clustercast.studies.sensitivity import Sensitivity
from clustercast.studies.sensitivity.parameters import all_parameters, chosen, median, values
from clustercast.studies.sensitivity.result import Screened, Share, Swing
from clustercast.studies.sensitivity.study import training_problem

PLAN = "tp=2,pp=2,cp=1,dp=16,zero=1,micro_batch=1,recompute=none"


def study(**more: object) -> Sensitivity:
    asked: dict[str, object] = {"n_chips": 64, "tokens": 1e12, "plan": PLAN}
    return clustercast.sensitivity("h20", "llama-3.1-8b", **(asked | more))  # type: ignore[arg-type]


def served(**more: object) -> Sensitivity:
    asked: dict[str, object] = {"n_chips": 8, "input_len": 2048, "output_len": 512, "batch": 16, "of": "tpot"}
    return clustercast.sensitivity("h20", "llama-3.1-70b", **(asked | more))  # type: ignore[arg-type]


def hardware(found: Sensitivity) -> list[str]:
    names = [each.parameter for each in found.outputs[0].effects]
    return [name for name in names if found.parameter(name).group == "hardware"]


def swings(found: Sensitivity) -> dict[str, Swing]:
    return {each.parameter: each for each in found.outputs[0].effects if isinstance(each, Swing)}


def totals(found: Sensitivity) -> dict[str, Share]:
    return {each.parameter: each for each in found.outputs[0].effects if isinstance(each, Share)}


def test_compute_is_the_first_hardware_number_of_training_on_an_h20() -> None:
    for model, plan in (("1.8T", "tp=8,pp=15,vpp=8,dp=80,cp=1,ep=16,zero=1,micro_batch=1,recompute=selective"),
                        ("llama-3.1-8b", PLAN)):  # fmt: skip
        n_chips = 10_000 if model == "1.8T" else 64
        assert hardware(clustercast.sensitivity("h20", model, n_chips=n_chips, plan=plan))[0] == "chip.flops"


def test_hbm_bandwidth_is_the_first_of_dense_decode_at_a_modest_batch_and_compute_of_prefill() -> None:
    assert hardware(served())[0] == "chip.hbm_bandwidth"
    assert hardware(served(of="tokens"))[0] == "chip.hbm_bandwidth"
    assert hardware(served(of="ttft"))[0] == "chip.flops"


def test_a_tornado_has_each_number_alone_at_its_ends() -> None:
    found = study(of=("days", "cost"))
    rows = swings(found)
    days, cost = found.output("days"), found.output("cost")
    assert [each.swing for each in days.effects] == sorted((each.swing for each in rows.values()), reverse=True)  # type: ignore[union-attr]
    faster = clustercast.estimate(
        "h20", "llama-3.1-8b", n_chips=64, tokens=1e12, plan=PLAN, settings=("chip.flops=162.8TFLOP/s",)
    )
    assert faster.training is not None
    assert rows["chip.flops"].at_high == pytest.approx(faster.training.days, rel=1e-9)
    assert rows["job.pue"].swing == rows["chip.price_rent"].swing == 0.0
    of_cost = {each.parameter: each for each in cost.effects}
    rent = of_cost["chip.price_rent"]
    assert isinstance(rent, Swing)
    assert rent.at_high / cost.value == pytest.approx(1.4e-4 / 8.2e-5)
    assert "workload.tokens" not in rows  # given, so it is known
    assert "workload.tokens" in swings(clustercast.sensitivity("h20", "llama-3.1-8b", n_chips=64, plan=PLAN))


def test_first_order_shares_leave_no_more_than_one_and_totals_no_less() -> None:
    found = study(method="sobol", n=20_000, most=6)
    shares = totals(found)
    assert len(shares) == 6
    assert sum(each.first for each in shares.values()) <= 1.0 + sum(each.first_conf for each in shares.values())
    for each in shares.values():
        assert each.total >= each.first - each.first_conf - each.total_conf
    assert found.held
    assert not set(found.held) & set(shares)
    sampled = found.outputs[0].sampled
    assert sampled is not None
    assert sampled.p10 < sampled.median < sampled.p90


def test_a_number_without_an_effect_has_no_share() -> None:
    found = study(method="sobol", n=2_000, parameters=["chip.flops", "job.pue", "chip.price_rent"])
    shares = totals(found)
    assert shares["job.pue"].total == shares["job.pue"].first == 0.0
    assert shares["chip.price_rent"].total == 0.0
    assert shares["chip.flops"].total == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("method", ["sobol", "morris"])
def test_the_same_seed_gives_the_same_answer(method: str) -> None:
    asked = {"method": method, "n": 1_200, "parameters": ["hardware"]}
    one, again, other = study(**asked), study(**asked), study(**asked, seed=1)
    assert dataclasses.replace(one, wall_s=0.0) == dataclasses.replace(again, wall_s=0.0)
    assert one.outputs[0].effects != other.outputs[0].effects


def test_screening_ranks_as_the_tornado_does_where_nothing_interacts() -> None:
    names = ["chip.flops", "stack.matmul_factor", "chip.rate_factor"]
    effects = study(method="morris", n=400, parameters=names).outputs[0].effects
    assert isinstance(effects[0], Screened)
    order = list(swings(study(parameters=names)))
    assert [each.parameter for each in effects] == order


def test_a_plan_that_does_not_fit_is_counted_and_not_lost() -> None:
    tight = "chip.hbm_capacity=20GiB..96GiB"
    found = study(parameters=[tight, "chip.flops"])
    capacity = swings(found)["chip.hbm_capacity"]
    assert (capacity.fits_low, capacity.fits_high) == (False, True)
    assert found.infeasible == 0.25
    assert capacity.at_low == found.outputs[0].value
    shared = study(parameters=[tight, "chip.flops"], method="sobol", n=1_000)
    assert 0.0 < shared.infeasible < 1.0
    assert all(math.isfinite(each.total) for each in totals(shared).values())


def test_memory_itself_can_be_asked_for() -> None:
    found = study(parameters=["chip.hbm_capacity=40GiB..96GiB", "chip.flops"], of="training-memory")
    assert next(iter(swings(found))) == "chip.hbm_capacity"


def test_searching_again_is_never_slower_and_finds_another_plan_where_one_is_better() -> None:
    names = ["chip.hbm_capacity=30GiB..96GiB", "chip.flops=20TFLOP/s..500TFLOP/s", "job.restart"]
    found = clustercast.sensitivity("h20", "llama-3.1-8b", n_chips=16, replan=True, parameters=names)
    rows = swings(found)
    for each in rows.values():
        for held, fits, new, plan in (
            (each.at_low, each.fits_low, each.replanned_low, each.plan_low),
            (each.at_high, each.fits_high, each.replanned_high, each.plan_high),
        ):
            if each.parameter == "job.restart":
                assert (new, plan) == (None, None)
            elif new is not None and fits:
                assert new <= held * (1 + 1e-12)
    assert not rows["chip.hbm_capacity"].fits_low
    assert rows["chip.hbm_capacity"].plan_low not in (None, found.plan)


def test_samples_keep_to_their_ranges_with_the_usual_value_in_the_middle() -> None:
    question = fill(Asked("h20", "llama-3.1-8b", 64, plan=PLAN))
    problem = training_problem(question)
    found = [each for each in all_parameters(question, problem) if each.ranges]
    cube = np.vstack([np.zeros(len(found)), np.full(len(found), 0.5), np.ones(len(found))])
    low, middle, high = values(found, cube)
    for column, each in enumerate(found):
        assert low[column] == pytest.approx(each.number.low), each.name
        assert high[column] == pytest.approx(each.number.high), each.name
        assert middle[column] == pytest.approx(each.number.value), each.name
    (own,) = chosen(question, all_parameters(question, problem), ["chip.scale_out=100Gbit/s..400Gbit/s"])
    assert median(own) == pytest.approx(25e9)


def test_lengths_and_batches_stay_legal() -> None:
    question = fill(Asked("h20", "llama-3.1-8b", 64, plan=PLAN))
    problem = training_problem(question)
    found = [each for each in all_parameters(question, problem) if each.group == "workload" and each.multiple]
    samples = values(found, np.random.default_rng(0).random((200, len(found))))
    for column, each in enumerate(found):
        assert (samples[:, column] % each.multiple == 0).all()
        assert len(set(samples[:, column])) > 5
    batch = next(each for each in found if each.name == "workload.global_batch")
    assert batch.multiple == 16


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "guess"}, "--method: expected tornado, morris, sobol"),
        ({"of": ("days", "tpot")}, "do not go together"),
        ({"of": ("day",)}, "unknown output 'day'"),
        ({"n": 100}, "--n: a tornado tries both ends"),
        ({"n": 0, "method": "sobol"}, "--n: expected a whole number from 1"),
        ({"most": 0}, "--most"),
        ({"seed": -1}, "--seed"),
        ({"replan": True, "method": "sobol"}, "--replan"),
        ({"parameters": ["chip.flop"]}, "unknown parameter 'chip.flop'"),
        ({"parameters": ["chip.flops=2..1"]}, "unit"),
        ({"parameters": ["chip.flops=200TFLOP/s..100TFLOP/s"]}, "the low end is not below"),
        ({"parameters": ["chip.flops=0TFLOP/s..100TFLOP/s"]}, "expected more than 0"),
        ({"parameters": ["hardware=10%"]}, "a group has no range"),
        ({"parameters": ["job.checkpoint_every"]}, "gives no range"),
        ({"parameters": ["kernels.matmul_fraction=0.5..1.2"]}, "a share up to 1"),
        ({"parameters": ["workload.global_batch=1000..1001"]}, "multiples of 16"),
    ],
)
def test_wrong_questions_are_said(asked: dict[str, object], message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        study(**asked)


def test_a_question_without_an_answer_has_none_here() -> None:
    with pytest.raises(NoAnswer, match="does not fit"):
        clustercast.sensitivity("h20", "1.8T", n_chips=8)
