"""studies/sweep/conditions.py: what they mean, and that nothing but a condition is read."""

import operator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustercast.errors import WrongInput
from clustercast.studies.sweep import conditions
from clustercast.studies.sweep.space import (
    LEGAL,
    NAME,
    NUMBER,
    PLAN,
    SOBOL,
    TRAINING,
    WHOLE,
    Axis,
    Range,
    Samples,
    Space,
)

TP, PP, COUNT = (1, 2, 4, 8), (1, 2, 3, 5), (8, 16, 64)
BANDWIDTHS = (2e12, 4e12, 8e12)
AXES = (
    Axis("chip", NAME, ("h20-96gb", "h100-sxm5-80gb")),
    Axis("tp", PLAN, TP),
    Axis("pp", PLAN, PP),
    Axis("count", WHOLE, COUNT, dimension="count"),
    Axis("recompute", PLAN, (0, 2)),
    Axis("sequence_parallel", PLAN, (0, 1)),
    Axis("chip.hbm_bandwidth", NUMBER, BANDWIDTHS, dimension="bytes/s"),
)
SAMPLES = Samples(SOBOL, 8, 1, (Range("job.pue", 1.1, 1.5, dimension="count"),))


def space_of(*texts, samples=SAMPLES):
    fixed = {"tokens": 1e12, "precision": "bf16", "zero": 1}
    return Space("t", TRAINING, AXES, samples, fixed, frozenset(), texts, False, (), LEGAL, 1000, "")


def share(text):
    space = space_of(text)
    return space.passes(0, space.n_points).mean()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tp >= 4", 1 / 2),
        ("TP >= 4", 1 / 2),
        ("tp * pp <= 4", 6 / 16),
        ("tp in (1, 8) or pp = 5", 10 / 16),
        ("not (tp = 1)", 3 / 4),
        ("tp between 2 and 4", 1 / 2),
        ("count % tp = 0", 1),
        ("count / tp > 7.5 and count // tp < 9", 3 / 12),
        ("tp & (tp - 1) = 0", 1),
        ("case when tp = 1 then pp = 1 else true end", 13 / 16),
        ("chip = 'h20-96gb'", 1 / 2),
        ("chip = 'h20'", 1 / 2),
        ("chip in ('h20', 'h100')", 1),
        ("chip != 'v100'", 1),
        ("chip like 'h20%'", 1 / 2),
        ("recompute = 'full'", 1 / 2),
        ("recompute != 'selective'", 1),
        ("sequence_parallel = 'yes'", 1 / 2),
        ("sequence_parallel = true", 1 / 2),
        ("chip.hbm_bandwidth >= '4 TB/s'", 2 / 3),
        ('"chip.hbm_bandwidth" >= 4e12', 2 / 3),
        ("chip.hbm_bandwidth between '3 TB/s' and '5 TB/s'", 1 / 3),
        ("count >= '16'", 2 / 3),
        ("tokens >= '1T' and precision = 'BF16' and zero = 1", 1),
        ("job.pue > 1.3", 1 / 2),
        ("job.pue > 1.3 and tp = 1", 1 / 8),
        ("greatest(tp, pp) = 1", 1 / 16),
        ("true", 1),
        ("tp = 1 -- a remark", 1 / 4),
    ],
)
def test_a_condition_means_what_it_says(text, expected):
    assert share(text) == pytest.approx(expected)


# An expression as text and what it is for a row, built together.
NAMES = st.sampled_from(["tp", "pp", "count"]).map(lambda name: (name, lambda row: row[name]))
WHOLES = st.integers(0, 40).map(lambda n: (str(n), lambda _: n))


def joined(symbols, parts):
    def join(symbol, left, right):
        act = symbols[symbol]
        return f"({left[0]} {symbol} {right[0]})", lambda row: act(left[1](row), right[1](row))

    return st.builds(join, st.sampled_from(sorted(symbols)), parts, parts)


ARITHMETIC = st.recursive(
    NAMES | WHOLES,
    lambda parts: joined({"+": operator.add, "-": operator.sub, "*": operator.mul}, parts),
    max_leaves=5,
)
COMPARED = joined(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, "=": operator.eq, "!=": operator.ne}, ARITHMETIC
)
CONDITIONS = st.recursive(
    COMPARED,
    lambda parts: joined({"and": operator.and_, "or": operator.or_}, parts),
    max_leaves=4,
)


@settings(max_examples=60)
@given(CONDITIONS)
def test_arithmetic_and_logic_are_those_of_numbers(condition):
    text, meaning = condition
    axes = (Axis("tp", PLAN, TP), Axis("pp", PLAN, PP), Axis("count", WHOLE, COUNT))
    space = Space("t", TRAINING, axes, None, {}, frozenset(), (text,), False, (), LEGAL, 1000, "")
    expected = [meaning({"tp": tp, "pp": pp, "count": count}) for tp in TP for pp in PP for count in COUNT]
    if not any(expected):
        with pytest.raises(WrongInput, match="holds for no point"):
            space.passes(0, 48)
        return
    assert space.passes(0, 48).tolist() == expected


TEXTS = ("tp * pp <= 8", "chip = 'h20' or job.pue > 1.2", "chip.hbm_bandwidth / count > 1e11", "recompute = 'full'")


def test_conditions_without_a_table_of_truths_come_to_the_same(monkeypatch):
    space = space_of(*TEXTS)
    by_table = space.passes(0, space.n_points)
    monkeypatch.setattr(conditions, "MOST_TRUTHS", 0)
    other = space_of(*TEXTS)
    assert np.array_equal(other.passes(0, other.n_points), by_table)
    assert all(each.truths is None for each in conditions.compiled(other))
    assert np.array_equal(other.passes(1001, 1777), by_table[1001:1777])


def test_threads_come_to_the_same(monkeypatch):
    monkeypatch.setattr(conditions, "MOST_TRUTHS", 0)
    space = space_of(*TEXTS)
    expected = space.passes(0, 2000)
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda at: space.passes(at, at + 100), range(0, 2000, 100))
        assert np.array_equal(np.concatenate(list(done)), expected)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tp", "is not true or false but a number", None),
        ("'a'", "is not true or false but text", None),
        (" ", "is empty", None),
        ("cuont > 1", "'cuont' is neither an axis nor fixed", "did you mean count?"),
        ("dp > 1", "'dp' is neither an axis nor fixed", "give dp under axes or fixed"),
        ("tp > chip", "cannot compare values", None),
        ("chip = 'h2o'", "unknown chip 'h2o'", "did you mean h20-96gb (alias h20)?"),
        ("recompute = 'fulll'", "recompute: 'fulll' is not one of none, selective, full, block", None),
        ("chip.hbm_bandwidth > '4 GB'", "chip.hbm_bandwidth: '4 GB' is in bytes", None),
        ("tp > 'many'", "tp is a number, expected no text 'many'", None),
        ("tp > 100", "holds for no point of the study", None),
        ("tp * 9223372036854775807 > 1", "overflow", None),
        ("tp = ", "is not finished: something is missing at its end", None),
        ("tp = 1;", "syntax error", None),
        ("tp = 1); DROP TABLE points_of_study; SELECT (1", "is more than one expression", None),
        ("tp = 1) FROM read_csv('/etc/passwd') WHERE (true", "is more than one expression", None),
        ("(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", "holds a subquery", None),
        ("EXISTS (SELECT 1)", "holds a subquery", None),
        ("tp = ANY (SELECT 1)", "holds a subquery", None),
        ("tp = 1) UNION SELECT (true", "is more than one expression", None),
        ("sum(tp) OVER () > 1", "holds a window", None),
        ("sum(tp) > 1", "'sum' is no function of a condition", None),
        ("random() < 0.5", "'random' is no function of a condition", None),
        ("getenv('HOME') = 'x'", "'getenv' is no function of a condition", None),
        ("main.abs(tp) > 1", "'abs' is no function of a condition", None),
        ("current_date > 1", "'current_date' is neither an axis nor fixed", None),
        ("tp::bigint > 1", "holds a cast", None),
        ("? > 1", "holds a parameter", None),
        ("* > 1", "holds a star", None),
        ("points_of_study.tp > 1", "'points_of_study.tp' is neither an axis nor fixed", None),
        ("list_contains([tp], 1)", "is no function of a condition", None),
    ],
)
def test_what_is_no_condition_is_said(text, message, hint):
    with pytest.raises(WrongInput) as caught:
        conditions.check(space_of("tp > 1", text))
    assert message in caught.value.message
    assert caught.value.place == 1
    assert hint is None or caught.value.hint == hint
    assert caught.value.message.isprintable()


def test_a_condition_that_fails_on_late_points_says_which(monkeypatch):
    monkeypatch.setattr(conditions, "MOST_TRUTHS", 0)
    monkeypatch.setattr(conditions, "TRIED", 1)
    space = space_of("(6 - pp) * 2000000000000000000 > 1")  # overflows at pp = 1 alone
    with pytest.raises(WrongInput, match=r"^where: \(6 - pp\) \* 2000000000000000000 > 1: overflow"):
        space.passes(0, space.n_points)


def test_the_database_reaches_no_file():
    import duckdb

    connection = conditions._connection().cursor()
    with pytest.raises(duckdb.Error, match="disabled"):
        connection.execute("SELECT * FROM read_csv('/etc/passwd')")
    with pytest.raises(duckdb.Error, match="locked"):
        connection.execute("SET enable_external_access = true")


@settings(max_examples=150)
@given(st.text("tp c'\"()<=>+-*/%,.;select[]{}:$?1", max_size=25))
def test_any_text_is_read_or_refused_as_wrong_input(text):
    said = ""
    try:
        conditions.check(space_of(text))
    except WrongInput as error:
        said = str(error)
    assert said.isprintable()
