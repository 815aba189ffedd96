"""Plans as people write them: what is read, what is written, what is said about mistakes."""

import pytest
from hypothesis import given
from strategies import Problem, problems

from clustercast.errors import WrongInput
from clustercast.physics.examples import PLAN
from clustercast.plans.text import as_dict, as_text, parse
from clustercast.records import Plan


@given(drawn=problems())
def test_a_plan_written_and_read_again_is_the_same(drawn: Problem) -> None:
    assert PLAN._replace(**parse(as_text(drawn.plan))) == drawn.plan


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("", {}),
        (" , ", {}),
        ("tp=8", {"tp": 8}),
        (" TP = 8 , PP=16 ", {"tp": 8, "pp": 16}),
        ("sp=yes,mbs=2,zero-stage=3", {"sequence_parallel": 1, "micro_batch": 2, "zero": 3}),
        ("recompute=full,schedule=zero-bubble,cp_kind=all-to-all", {"recompute": 2, "schedule": 2, "cp_kind": 1}),
        ("zero=0,shard=0,offload=no", {"zero": 0, "shard": 0, "offload": 0}),
    ],
)
def test_a_plan_is_read(text: str, fixed: dict[str, int]) -> None:
    assert parse(text) == fixed


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tpp=8", "--plan: unknown field 'tpp'", "did you mean tp?"),
        ("colour=8", "--plan: unknown field 'colour'", f"fields: {', '.join(Plan._fields)}"),
        ("tp=8,tp=4", "--plan: tp is given twice", None),
        ("mb=1,micro_batch=2", "--plan: micro_batch is given twice", None),
        ("tp", "--plan: tp needs a value", "write tp=..."),
        ("tp=", "--plan: tp needs a value", "write tp=..."),
        ("tp=0", "--plan: tp: expected a whole number from 1 to 1000000, got '0'", None),
        ("tp=-8", "--plan: tp: expected a whole number from 1 to 1000000, got '-8'", None),
        ("tp=1.5", "--plan: tp: expected a whole number from 1 to 1000000, got '1.5'", None),
        ("tp=eight", "--plan: tp: expected a whole number from 1 to 1000000, got 'eight'", None),
        ("tp=99999999", "--plan: tp: expected a whole number from 1 to 1000000, got '99999999'", None),
        ("zero=4", "--plan: zero: expected a whole number from 0 to 3, got '4'", None),
        ("recompute=some", "--plan: recompute: 'some' is not one of none, selective, full, block", None),
        ("schedule=2f2b", "--plan: schedule: '2f2b' is not one of 1f1b, gpipe, zero-bubble, dualpipe", None),
        ("offload=1", "--plan: offload: '1' is not one of no, yes", None),
    ],
)
def test_a_mistake_is_named(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(WrongInput) as caught:
        parse(text)
    assert caught.value.message == message
    assert caught.value.hint == hint


def test_codes_are_spelt_out() -> None:
    shown = as_dict(PLAN._replace(sequence_parallel=1, recompute=1))
    assert shown["sequence_parallel"] is True
    assert shown["offload"] is False
    assert shown["recompute"] == "selective"
    assert shown["schedule"] == "1f1b"
    assert shown["tp"] == 1


def test_what_is_usual_is_left_out() -> None:
    assert as_text(PLAN) == "tp=1,pp=1,dp=1,micro_batch=1,recompute=none"
    assert as_text(PLAN._replace(zero=3, shard=8)) == "tp=1,pp=1,dp=1,zero=3,shard=8,micro_batch=1,recompute=none"
