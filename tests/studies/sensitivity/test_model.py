"""A question as a function of its numbers: compiled equals plain, and the usual numbers give the usual answer."""

import numpy as np
import pytest

import clustercast
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.ranges import SET, TIMES, Parameter, Place
from clustercast.studies.sensitivity.model import DRIVERS, OUTPUTS, SERVING, TRAINING, Problem
from clustercast.studies.sensitivity.parameters import all_parameters, values
from clustercast.studies.sensitivity.study import read, serving_problem, training_problem

TRAIN = Asked("h20", "llama-3.1-8b", 64, tokens=1e12, plan="tp=2,pp=2,cp=1,dp=16,zero=1,micro_batch=1,recompute=none")
SERVE = Asked("h20", "llama-3.1-70b", 8, input_len=2048, output_len=512, batch=16)


@pytest.fixture(scope="module")
def problems() -> dict[str, tuple[Question, Problem]]:
    train, served = fill(TRAIN), fill(SERVE)
    return {TRAINING: (train, training_problem(train)), SERVING: (served, serving_problem(served)[0])}


def moving(question: Question, problem: Problem) -> list[Parameter]:
    return [each for each in all_parameters(question, problem) if each.ranges]


@pytest.mark.parametrize("half", [TRAINING, SERVING])
def test_compiled_equals_plain_bit_for_bit(half: str, problems: dict[str, tuple[Question, Problem]]) -> None:
    question, problem = problems[half]
    found = moving(question, problem)
    samples = values(found, np.random.default_rng(1).random((40, len(found))))
    plain = problem.many(found, samples, compiled=False)
    assert problem.many(found, samples, compiled=True).tolist() == plain.tolist()
    assert plain.shape == (40, len(problem.fields))
    assert len({tuple(row) for row in plain.tolist()}) == 40


def test_the_usual_numbers_give_the_estimate() -> None:
    done = clustercast.estimate(
        "h20", "llama-3.1-8b", n_chips=64, tokens=1e12, plan=TRAIN.plan, input_len=2048, output_len=512, batch=16
    )
    trained, served = done.training, done.serving
    assert trained is not None
    assert served is not None
    first = training_problem(fill(TRAIN)).at((), ())
    expected = {
        "days": trained.days, "step": trained.step_s, "mfu": trained.mfu, "goodput": trained.goodput,
        "cost": trained.cost_usd, "own-cost": trained.job.own_usd, "energy": trained.energy_mwh,
        "carbon": trained.job.carbon_t,
        "training-memory": trained.memory_bytes.total / trained.memory_bytes.capacity,
    }  # fmt: skip
    for name, value in expected.items():
        assert read(OUTPUTS[name], first) == pytest.approx(value, rel=1e-12), name
    asked = Asked("h20", "llama-3.1-8b", 64, input_len=2048, output_len=512, batch=16)
    second = serving_problem(fill(asked))[0].at((), ())
    expected = {
        "tpot": served.tpot_ms, "ttft": served.ttft_ms, "tokens": served.output_tokens_per_s_per_chip,
        "prefill-tokens": served.prefill_tokens_per_s_per_chip,
        "token-cost": served.cost_usd_per_million_output_tokens,
        "serving-memory": served.memory_bytes.total / served.memory_bytes.capacity,
    }  # fmt: skip
    for name, value in expected.items():
        assert read(OUTPUTS[name], second) == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("half", [TRAINING, SERVING])
def test_every_parameter_moves_a_case_and_its_usual_value_does_not(
    half: str, problems: dict[str, tuple[Question, Problem]]
) -> None:
    question, problem = problems[half]
    for each in moving(question, problem):
        number = each.number
        assert number.low <= number.value <= number.high, each.name
        assert each.places, each.name
        # a lone cluster tier is absent, and scaling it changes nothing
        ends = [problem.case_at((each,), (end,)) for end in (number.low, number.high)]
        assert ends[0] != ends[1], each.name
        again = problem.at((each,), (number.value,))
        assert again == pytest.approx(problem.at((), ()), rel=1e-9), each.name


def test_every_output_is_a_field_of_its_half() -> None:
    for name, unit in OUTPUTS.items():
        fields = DRIVERS[unit.half].outcome.__annotations__
        assert unit.field in fields, name
        assert not unit.over or unit.over in fields


def test_what_sets_a_field_goes_before_what_multiplies_it(problems: dict[str, tuple[Question, Problem]]) -> None:
    question, problem = problems[TRAINING]
    usual = next(each for each in all_parameters(question, problem) if each.name == "kernels.matmul_launch_s")
    number = usual.number._replace(value=1.0, low=0.5, high=2.0)
    where = ("setting", "kernels", "matmul_launch_s")
    times = Parameter("t", "t", "hardware", number, "count", (Place(where, TIMES),))
    fixed = Parameter("f", "f", "hardware", number._replace(value=3e-6), "seconds", (Place(where, SET),))
    for order in ((times, fixed), (fixed, times)):
        at = [2.0 if each is times else 5e-6 for each in order]
        assert problem.case_at(order, at).setting.kernels.matmul_launch_s == 1e-5
        row = problem.many(order, np.array([at]), compiled=True)
        assert tuple(row[0]) == tuple(problem.at(order, at))
