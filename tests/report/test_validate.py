"""The report of errors: shares that read well, names broken rather than cut."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

import clustercast
from clustercast.report import layout
from clustercast.report.layout import Line, Table
from clustercast.report.validate import cell, parts_of, table, terms_of, validation
from clustercast.studies.validate import Group, Validation

LONG = "somebody/something docs/source/performance/perf-overview.md (a fork of somebody else's at 39756de0)"


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
        "12340%",
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


def test_what_is_infinite_has_no_bound() -> None:
    found = clustercast.validate(where=("study=Korthikanti et al. 2022",))
    none = replace(found.rows[0], status="unsupported", error=None, estimated=None, why="no reason")
    from clustercast.studies.validate import summary

    rows = (*found.rows[:2], none, none)
    shown = text(Validation(rows, tuple(summary(rows)), found.files[:1]))
    assert "nine in ten within no bound" in " ".join(shown.split())
    assert "     2  no reason" in shown
