"""Ready-made questions: every expected figure follows from the few lines of `sweep_folder.by_hand`."""

from pathlib import Path
from typing import Any

import pytest
import sweep_folder

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.query import QueryAsked, query
from clustercast.studies.query.ready import QUESTIONS
from clustercast.studies.query.result import QueryResult

SMALL, LARGE = sweep_folder.MODELS
H20, H100 = sweep_folder.CHIPS
AT_4 = '"chip.hbm_bandwidth" = 4e12'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sweep_folder.write(tmp_path_factory.mktemp("sweep") / "out", sweep_folder.by_hand())


def rows(found: QueryResult, *names: str) -> list[tuple[Any, ...]]:
    places = [found.columns.index(name) for name in names]
    return [tuple(row[place] for place in places) for row in found.rows]


def ask(folder: Path, question: str, **options: Any) -> QueryResult:
    return query(QueryAsked(folder, question, **options))


def test_every_question_runs_and_its_sql_runs_alone(folder: Path) -> None:
    for name in QUESTIONS:
        found = ask(folder, name)
        again = ask(folder, found.sql)
        assert (again.rows, again.columns) == (found.rows, found.columns), name
        assert ask(folder, name, only_sql=True).sql == found.sql


def test_the_best_within_so_many_chips(folder: Path) -> None:
    found = ask(folder, "best", where=AT_4)  # both chips are even; the H20 comes first
    assert rows(found, "model", "count_at_most", "chip", "count", "tp", "days") == [
        (LARGE, 64, H20, 64, 2, 1500.0),
        (LARGE, 128, H20, 128, 2, 750.0),
        (LARGE, 256, H20, 256, 2, 125.0),
        (LARGE, 512, H20, 512, 2, 62.5),
        (SMALL, 64, H20, 64, 1, 100.0),
        (SMALL, 128, H20, 128, 1, 50.0),
        (SMALL, 256, H20, 256, 2, 12.5),
        (SMALL, 512, H20, 512, 2, 6.25),
    ]
    assert found.notes == ("days: the least over tp",)
    assert found.warnings == ()


def test_the_cheapest_within_so_many_days(folder: Path) -> None:
    found = ask(folder, "best", budget="days=10,100,1k", where=AT_4)
    # rent of the H20: days x count x 24 USD; TP 2 needs a third of the chip-days from 256 chips on
    assert rows(found, "model", "days_at_most", "chip", "count", "days", "rent_usd") == [
        (LARGE, 100, H20, 512, 62.5, 62.5 * 512 * 24),
        (LARGE, 1000, H20, 256, 125.0, 125.0 * 256 * 24),
        (SMALL, 10, H20, 512, 6.25, 6.25 * 512 * 24),
        (SMALL, 100, H20, 256, 12.5, 12.5 * 256 * 24),
        (SMALL, 1000, H20, 256, 12.5, 12.5 * 256 * 24),
    ]


def test_the_fastest_for_so_much_money(folder: Path) -> None:
    found = ask(folder, "best", budget="usd=76.8k,1M", where=AT_4, per=("model", "chip"))
    assert rows(found, "model", "chip", "rent_usd_at_most", "count", "days") == [
        (LARGE, H20, 1_000_000, 512, 62.5),
        (SMALL, H100, 1_000_000, 512, 6.25),
        (SMALL, H20, 76_800, 512, 6.25),
        (SMALL, H20, 1_000_000, 512, 6.25),
    ]


def test_what_else_the_best_is_taken_over_is_a_warning(folder: Path) -> None:
    found = ask(folder, "best", per=())
    assert found.warnings == (
        "days is the least over all values of model, chip.hbm_bandwidth, too: --per model keeps them apart, "
        "--where picks some",
    )


def test_most_may_be_the_best(folder: Path) -> None:
    assert ask(folder, "best", order="most", where=AT_4).rows[0][found_days(folder)] == 1500.0
    with pytest.raises(WrongInput, match="--order: expected least or most, got 'up'"):
        ask(folder, "best", order="up")


def found_days(folder: Path) -> int:
    return ask(folder, "best", where=AT_4).columns.index("days")


def test_chips_are_even_where_they_take_as_long(folder: Path) -> None:
    found = ask(folder, "break-even", x="chip.hbm_bandwidth", y="count", where=f"model = '{SMALL}'")
    # 2 x at 2 TB/s, 1 x at 4, 0.5 x at 8, whatever the count
    assert rows(found, "count", "chip.hbm_bandwidth", "ratio", "better", "even_x", "even_y") == [
        (count, bandwidth, ratio, better, even, None)
        for count in sweep_folder.COUNTS
        for bandwidth, ratio, better, even in (
            (2e12, 2.0, H100, None),
            (4e12, 1.0, "even", 4e12),
            (8e12, 0.5, H20, None),
        )
    ]


def test_a_crossing_between_two_steps_is_interpolated(folder: Path) -> None:
    found = ask(folder, "break-even", x="chip.hbm_bandwidth", where='"chip.hbm_bandwidth" <> 4e12', per=("model",))
    # the ratio falls as 1 / bandwidth: straight in both logarithms, and 1 at 4 TB/s
    (even,) = {each for (each,) in rows(found, "even_x") if each is not None}
    assert even == pytest.approx(4e12, rel=1e-12)
    back = ask(folder, "break-even", x="chip.hbm_bandwidth", chips=("h100", "h20"), per=("model", "count"))
    assert rows(back, "ratio", "better")[:3] == [(0.5, H100), (1.0, "even"), (2.0, H20)]


def test_a_chip_that_fits_nowhere_loses(tmp_path: Path) -> None:
    table = {
        "point": [0, 1, 2], "chip": ["a", "b", "b"], "count": [1, 1, 2], "status": ["ok"] * 3, "days": [4.0, 2.0, 1.0],
    }  # fmt: skip
    folder = sweep_folder.write(tmp_path / "out", table, n_parts=1)
    found = ask(folder, "break-even")
    assert rows(found, "count", "a_days", "b_days", "ratio", "better") == [
        (1, 4.0, 2.0, 2.0, "b"),
        (2, None, 1.0, None, "b"),
    ]


def test_more_tokens_are_better(tmp_path: Path) -> None:
    table = {
        "point": [0, 1, 2, 3], "chip": ["a", "b", "a", "b"], "batch": [1, 1, 9, 9], "status": ["ok"] * 4,
        "output_tokens_per_s_per_chip": [10.0, 5.0, 20.0, 80.0], "tpot_ms": [1.0, 2.0, 5.0, 9.0],
    }  # fmt: skip
    folder = sweep_folder.write(tmp_path / "out", table, n_parts=2)
    found = ask(folder, "break-even", by="output-tokens-per-s-per-chip")
    # ratios 2 and 1/4: a third of the way in the logarithm; batches 1 and 9 are geometric: 9 ** (1 / 3)
    assert rows(found, "better") == [("a",), ("b",)]
    assert found.rows[1][found.columns.index("even_x")] == pytest.approx(9.0 ** (1.0 / 3.0))
    assert rows(ask(folder, "top", by="output_tokens_per_s_per_chip", n=2), "point") == [(3,), (2,)]
    front = ask(folder, "pareto", x="tpot_ms", y="output_tokens_per_s_per_chip")
    assert rows(front, "point") == [(0,), (2,), (3,)]


def test_the_front_is_what_nothing_beats_in_both(tmp_path: Path) -> None:
    days = [5.0, 4.0, 4.0, 3.0, 2.0, 1.0, 9.0, 1.0, 0.5]
    usd = [1.0, 2.0, 1.5, 2.5, 2.0, 9.0, 0.5, 9.0, 1.0]
    table = {
        "point": list(range(9)), "model": ["m"] * 9, "status": ["ok"] * 8 + ["does not fit"], "days": days,
        "rent_usd": usd,
    }  # fmt: skip
    folder = sweep_folder.write(tmp_path / "out", table, n_parts=2)
    found = ask(folder, "pareto")
    # by days: 1 USD 9 (the first of two alike), 2 USD 2, 4 USD 1.5, 5 USD 1, 9 USD 0.5; 3 days at 2.5 are beaten
    assert rows(found, "days", "rent_usd", "point") == [
        (1.0, 9.0, 5), (2.0, 2.0, 4), (4.0, 1.5, 2), (5.0, 1.0, 0), (9.0, 0.5, 6),
    ]  # fmt: skip


def test_the_front_agrees_with_a_plain_search(tmp_path: Path) -> None:
    import random

    draw = random.Random(1)
    n = 3000
    days = [round(10.0 ** draw.uniform(-2.0, 2.0), 2) for _ in range(n)]
    usd = [round(10.0 ** draw.uniform(0.0, 1.0) / each, 1) for each in days]
    model = [draw.choice("ab") for _ in range(n)]
    table = {"point": list(range(n)), "model": model, "status": ["ok"] * n, "days": days, "rent_usd": usd}
    found = ask(sweep_folder.write(tmp_path / "out", table, n_parts=3), "pareto")
    expected = []
    for name in "ab":
        least = float("inf")
        for x, y, point in sorted((days[i], usd[i], i) for i in range(n) if model[i] == name):
            if y < least:
                least = y
                expected.append((name, x, y, point))
    assert rows(found, "model", "days", "rent_usd", "point") == expected


def test_a_plan_holds_for_a_stretch(folder: Path) -> None:
    found = ask(folder, "plan-changes", where=AT_4)
    assert rows(found, "model", "chip", "count from", "count to", "steps", "tp", "days at first", "days at last") == [
        (LARGE, H100, 64, 512, 4, 2, 1500.0, 62.5),
        (LARGE, H20, 64, 512, 4, 2, 1500.0, 62.5),
        (SMALL, H100, 64, 128, 2, 1, 100.0, 50.0),
        (SMALL, H100, 256, 512, 2, 2, 12.5, 6.25),
        (SMALL, H20, 64, 128, 2, 1, 100.0, 50.0),
        (SMALL, H20, 256, 512, 2, 2, 12.5, 6.25),
    ]
    chips = ask(
        folder, "plan-changes", x="chip.hbm_bandwidth", per=("model",), where=f"count = 64 AND model = '{SMALL}'"
    )
    assert rows(chips, "chip", "chip.hbm_bandwidth from", "chip.hbm_bandwidth to") == [
        (H100, 2e12, 2e12),
        (H20, 4e12, 8e12),
    ]


def test_a_summary_counts_rows_and_orders_outputs(folder: Path) -> None:
    found = ask(folder, "summary")
    assert rows(found, "what", "name", "n", "least", "median", "most")[:2] == [
        ("rows", "ok", 72, None, None, None),
        ("rows", "does not fit", 24, None, None, None),
    ]
    table = {row[1]: row[2:6] for row in found.rows}
    assert table["count"] == (4, 64.0, 192.0, 512.0)
    assert table["chip"] == (2, None, None, None)
    assert table["days"] == (72, 3.125, 62.5, 3000.0)
    part = ask(folder, "summary", where=f"model = '{SMALL}' -- the small one")
    assert {row[1]: row[2] for row in part.rows}["ok"] == 48


def test_samples_are_spread(tmp_path: Path) -> None:
    table = {
        "point": list(range(11)), "chip": ["a"] * 11, "job.pue": [1.0 + i / 10 for i in range(11)],
        "status": ["ok"] * 11, "rent_usd": [float(i * i) for i in range(11)],
    }  # fmt: skip
    folder = sweep_folder.write(tmp_path / "out", table)
    found = ask(folder, "spread", by="rent_usd")
    assert found.rows == ((11, 0.0, 1.0, 25.0, 81.0, 100.0),)
    assert found.units[1:] == ("USD",) * 5
    assert found.notes == ("rent_usd, USD, over job.pue",)


def test_the_top_is_in_order(folder: Path) -> None:
    assert rows(ask(folder, "top", n=3), "days", "point") == [(3.125, 23), (6.25, 17), (6.25, 21)]
    each = ask(folder, "top", n=1, per=("chip", "model"), by="rent_usd")
    assert rows(each, "chip", "model", "rent_usd") == [
        (H100, LARGE, 62.5 * 512 * 48), (H100, SMALL, 6.25 * 512 * 48),
        (H20, LARGE, 62.5 * 256 * 24), (H20, SMALL, 6.25 * 256 * 24),
    ]  # fmt: skip


THERE = "there are best, break-even, pareto, plan-changes, spread, summary, top; or write SQL"
LACKS = "the study has no column {} for this; there are {}"
NUMBERS = "days, rent_usd, count, chip.hbm_bandwidth, tp"
TAKES = "--by, --budget, --per, --where, --order"


@pytest.mark.parametrize(
    ("question", "options", "said", "hint"),
    [
        ("bets", {}, "query: unknown question 'bets'", "did you mean best?"),
        ("hello", {}, "query: unknown question 'hello'", THERE),
        ("best", {"by": "dais"}, f"--by: {LACKS.format(repr('dais'), 'days, rent_usd')}", "did you mean days?"),
        ("best", {"budget": "days"}, "--budget: days needs values", "write --budget days=30,90"),
        ("best", {"budget": "days=soon"}, "--budget: expected numbers like 30 or 5M, got 'soon'", None),
        ("best", {"x": "count"}, f"--x is not for 'best', which takes {TAKES}", None),
        ("break-even", {"chips": ("h20",)}, "--chips: expected two names with a comma between them, got 1: h20", None),
        ("break-even", {"chips": ("h20", "b7")}, f"--chips: the study has no chip 'b7'; there are {H20}, {H100}", None),
        ("break-even", {"chips": ("h20", H20)}, f"--chips: expected two chips, got {H20} twice", None),
        ("break-even", {"x": "count", "y": "count"}, "--y: count is --x already", None),
        ("pareto", {"x": "chip"}, f"--x: {LACKS.format(repr('chip'), NUMBERS)}", None),
        ("top", {"n": 0}, "--n: expected a whole number from 1, got 0", None),
        ("SELECT 1", {"where": "tp = 2"}, f"--where is for ready-made questions: {', '.join(QUESTIONS)}", None),
    ],
)
def test_what_is_wrong_is_said(
    folder: Path, question: str, options: dict[str, Any], said: str, hint: str | None
) -> None:
    with pytest.raises(WrongInput) as caught:
        ask(folder, question, **options)
    assert (caught.value.message, caught.value.hint) == (said, hint)


def test_a_condition_may_be_wrong_or_leave_nothing(folder: Path) -> None:
    with pytest.raises(NoAnswer, match="best: no point is ok and meets what is asked"):
        ask(folder, "best", where="count > 1e9")
    with pytest.raises(WrongInput, match=r'query: referenced column "cuont" not found'):
        ask(folder, "best", where="cuont > 1")
    with pytest.raises(WrongInput, match="query: "):
        ask(folder, "best", where="1) UNION (SELECT")
    with pytest.raises(WrongInput, match="expected one SELECT, got 3"):
        ask(folder, "best", where="true); COPY points TO 'x'; SELECT (1")


def test_what_no_bound_reaches_is_named(folder: Path) -> None:
    found = ask(folder, "best", budget="days=10,50", where=AT_4)
    assert set(rows(found, "model")) == {(SMALL,)}
    assert found.notes[-1] == f"none with days of 50 or less: {LARGE} (62.5 at least)"
    with pytest.raises(NoAnswer, match="best: no point has days of 6 or less") as caught:
        ask(folder, "best", budget="days=5,6", where=AT_4)
    assert caught.value.hint == "the least is 6.25"


def test_a_name_that_is_misspelt_is_answered_with_those_that_there_are(folder: Path) -> None:
    with pytest.raises(NoAnswer) as caught:
        ask(folder, "top", where="tp = 2 AND chip = 'h20'")
    assert caught.value.hint == f"chip is one of {H100}, {H20}"
    with pytest.raises(WrongInput) as wrong:
        ask(folder, "top", where="chip = mi300x")
    assert str(wrong.value.hint).endswith("text stands in single quotes: 'mi300x'")
    with pytest.raises(WrongInput) as unit:
        ask(folder, "top", where="\"chip.hbm_bandwidth\" = '4 TB/s'")
    assert unit.value.hint == "numbers are in base units and stand without them: 4e12, not '4 TB/s'"


def test_a_study_that_lacks_a_column_says_which_there_are(tmp_path: Path) -> None:
    table = {"point": [0, 1], "tp": [1, 2], "status": ["ok", "ok"], "step_s": [1.0, 2.0]}
    folder = sweep_folder.write(tmp_path / "out", table, n_parts=1)
    for question, said in (
        ("break-even", "break-even: the study has no column 'chip' for this; there are tp"),
        ("pareto", "pareto needs two outputs; the study has step_s alone"),
        ("plan-changes", "plan-changes needs an axis of numbers with more than one value; there are tp"),
    ):
        with pytest.raises(WrongInput) as caught:
            ask(folder, question)
        assert caught.value.message == said
    assert rows(ask(folder, "best"), "tp", "step_s") == [(1, 1.0)]


def test_multiples_are_told_from_base_units(tmp_path: Path) -> None:
    study = sweep_folder.STUDY.replace(b"axes: {", b"axes: {chip.flops: [0.5x, 1x], ")
    table = {"point": [0, 1], "chip.flops": [0.5, 1.0], "status": ["ok", "ok"], "step_s": [2.0, 1.0]}
    folder = sweep_folder.write(tmp_path / "out", table, n_parts=1, study=study)
    found = ask(folder, 'SELECT "chip.flops", step_s FROM points')
    assert found.units == ("x", "s")
