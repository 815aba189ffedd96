"""The report of errors: shares that read well, names broken rather than cut."""

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

import clustercast
from clustercast.report import layout
from clustercast.report.layout import Line, Table
from clustercast.report.validate import cell, parts_of, table, terms_of, validation
from clustercast.studies.validate import Group, Judged, Validation, summary

LONG = "somebody/something docs/source/performance/perf-overview.md (a fork of somebody else's at 39756de0)"


ROW = Judged(
    id="T-1", metric="iteration_s", published=1.0, estimated=1.05, error=0.05, low=0.9, high=1.2,
    evidence="measured chip", status="ok", why="", chip="h20-96gb", source="a study", size="up to 8 chips",
    kind="dense", form="training", mode="", engine="", mtp="", terms={}, setup={}, file="f.csv", line=2,
)  # fmt: skip


def group(name: str) -> Group:
    return Group(name, 1234, 1200, 34, 0, 0.051, None, None, None, -0.02, 0.81, 1.5)


def text(result: Validation) -> str:
    lines: list[str] = []
    for block in validation(result, 2):
        lines += (
            layout.lines_of(block) if isinstance(block, Table) else [block.text if isinstance(block, Line) else block]
        )
    return "\n".join(lines)


def test_shares_fit_a_narrow_column() -> None:
    assert [cell(None), cell(0.0), cell(9.994), cell(123.4), cell(0.5, signed=True)] == [
        "-",
        "0.0%",
        "999.4%",
        "12300%",
        "+50.0%",
    ]


@given(st.text(st.characters(categories=("L", "N"), include_characters="/ -"), max_size=120), st.integers(8, 40))
def test_a_long_name_is_broken_and_nothing_of_it_is_lost(name: str, width: int) -> None:
    lines = parts_of(name, width)
    assert "".join("".join(lines).split()) == "".join(name.split())
    assert all(len(line) <= width for line in lines)


def test_a_table_with_a_long_name_fits_the_page() -> None:
    lines = layout.lines_of(table("by source", [group(f"source:{LONG}"), group("source:short")]))
    assert max(map(len, lines)) <= layout.WIDTH
    assert not any("…" in line for line in lines)
    assert "".join(line[:30] for line in lines[1:-1]).replace(" ", "").startswith("somebody/something")


def test_the_report_says_what_an_estimate_is_made_of() -> None:
    found = clustercast.validate(where=("study=Korthikanti et al. 2022",))
    shown = text(found)
    assert shown.startswith("8 complete rows, 8 answered (100.0 %). Half are within")
    assert "made of compute" in shown
    assert "taken: stack megatron-2022, precision fp16" in shown
    assert (
        terms_of(replace(found.rows[0], terms={"compute": 3.0, "host": 1.0, "bubble": 0.0})) == "compute 75%, host 25%"
    )
    assert terms_of(replace(found.rows[0], terms={})) == ""


EXTREME = st.one_of(st.floats(5e-324, 1.7e308), st.sampled_from([1e-300, 1e300, 5e-324, 1.7e308]))


@given(st.lists(st.tuples(EXTREME, EXTREME), min_size=1, max_size=3))
@settings(max_examples=200)
def test_rows_of_extreme_figures_are_shown_and_fit_the_page(figures: list[tuple[float, float]]) -> None:
    rows = []
    for published, estimated in figures:
        error = estimated / published - 1.0
        low, high = max(0.8 * estimated, 5e-324), min(1.2 * estimated, 1.7e308)
        known = {"error": error, "low": low, "high": high} if math.isfinite(error) else {"error": None}
        rows.append(replace(ROW, published=published, estimated=estimated, **known))
    lines = text(Validation(tuple(rows), tuple(summary(rows)), (("f.csv", "training", len(rows)),))).split("\n")
    assert max(map(len, lines)) <= layout.WIDTH


def test_rows_that_cannot_be_done_are_named_with_their_line() -> None:
    rows = tuple(replace(ROW, id=f"T-{i}", line=i, status="unsupported", error=None, why="no") for i in range(5))
    shown = text(Validation(rows, tuple(summary(rows)), (("f.csv", "training", 5),)))
    assert "     5  no\n        T-0 (line 0), T-1 (line 1), T-2 (line 2) and 2 more" in shown


def test_steps_and_tokens_are_never_one_figure() -> None:
    rows = (ROW, replace(ROW, form="serving", metric="tpot_ms", error=1.0))
    files = (("t.csv", "training", 1), ("s.csv", "serving", 1))
    lines = text(Validation(rows, tuple(summary(rows)), files)).split("\n")
    assert lines[0].startswith("Training: 1 complete row, 1 answered (100.0 %). Half are within 5.0 %")
    assert any(
        line.startswith("Serving: 1 complete row, 1 answered (100.0 %). Half are within 100.0 %") for line in lines
    )


def test_the_width_of_the_interval_stands_beside_its_coverage() -> None:
    found = clustercast.validate(where=("study=Korthikanti et al. 2022",))
    shown = text(found).split("\n")
    (place,) = (i for i, line in enumerate(shown) if line.startswith("by evidence"))
    assert shown[place].endswith("covers  width")
    assert shown[place + 1].startswith("measured chip")
    assert shown[place + 1].endswith("x")


def test_what_is_infinite_has_no_bound() -> None:
    found = clustercast.validate(where=("study=Korthikanti et al. 2022",))
    none = replace(found.rows[0], status="unsupported", error=None, estimated=None, why="no reason")
    rows = (*found.rows[:2], none, none)
    shown = text(Validation(rows, tuple(summary(rows)), found.files[:1]))
    assert "nine in ten within no bound" in " ".join(shown.split())
    assert "     2  no reason" in shown
