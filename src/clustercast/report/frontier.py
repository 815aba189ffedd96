"""Throughput of a chip against speed for a user: the frontier as a table, as CSV, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput
from clustercast.report import files, plot
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.report.text import milliseconds
from clustercast.studies.serving.pools import Pools, PoolsPoint
from clustercast.studies.serving.result import FrontierPoint, ServeResult

if TYPE_CHECKING:
    import altair

MOST_POINTS: Final = 16
WIDTH: Final = 480  # points
HEIGHT: Final = 320
TONES: Final = ("#0b4f8a", "#c9dff2", "#5b9bd0", "#ffffff")  # light and dark by turns
SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-left")

Point = FrontierPoint | PoolsPoint
Served = ServeResult | Pools


def table(points: Sequence[Point], said: str) -> list[Block]:
    """The frontier as a table, thinned evenly where it is long."""
    blocks: list[Block] = [
        Line("Speed for a user against throughput of a chip: no plan gives more of both", "bold"),
        *wrap(said, "  "),
    ]
    if not points:
        return blocks
    n_shown = min(MOST_POINTS, len(points))
    shown = [points[round(at * (len(points) - 1) / max(n_shown - 1, 1))] for at in range(n_shown)]
    columns: tuple[str, ...] = ("tokens/s user", "per chip", "TTFT", "batch")
    rows = [
        (
            short(each.tokens_per_s_per_user),
            short(each.output_tokens_per_s_per_chip),
            milliseconds(each.ttft_ms),
            f"{each.batch:,}",
            *_layout(each),
        )
        for each in shown
    ]
    if isinstance(points[0], FrontierPoint):
        columns += ("tp", "pp", "dp", "ep", "etp", "repl.", "chunk")
        return [*blocks, Table(columns, rows, frozenset(range(len(columns))))]
    columns += ("USD/M out", "split", "prefill", "decode")
    return [*blocks, Table(columns, rows, frozenset(range(5)), (6, 7))]


def _layout(point: Point) -> tuple[str, ...]:
    if isinstance(point, FrontierPoint):
        return tuple(str(point.plan[name]) for name in ("tp", "pp", "attention_dp", "ep", "etp", "replicas", "chunk"))
    cost, split = point.cost_usd_per_million_output_tokens_all_in, f"{point.prefill_count}+{point.decode_count}"
    return short(cost), split, point.prefill_plan_text, point.decode_plan_text


def check_csv(path: str) -> None:
    """Refuse a table that could not be written. Raises WrongInput."""
    if path != "-" and not Path(path).parent.is_dir():
        raise WrongInput(f"--csv: there is no folder {str(Path(path).parent)!r}")


def csv_text(done: Served) -> str:
    """The frontier as CSV, one line per setup."""
    kind = FrontierPoint if isinstance(done, ServeResult) else PoolsPoint
    names = [name for name in kind.__dataclass_fields__ if name != "plan"]
    return files.csv_table(names, ([getattr(point, name) for name in names] for point in done.frontier or ()))


def save_csv(done: Served, path: str) -> None:
    """Write the frontier, one line per setup. Raises WrongInput."""
    files.write("--csv", csv_text(done), path)


def save_plot(done: Served, path: str) -> None:
    """Draw the frontier into a file. Raises WrongInput where there is nothing to draw."""
    plot.check(path)
    if not done.frontier:
        raise WrongInput("--plot: no setup meets the objective on TTFT: there is no frontier to draw")
    plot.write(chart(done, done.frontier), path)


def chart(done: Served, points: Sequence[Point]) -> "altair.LayerChart | altair.FacetChart":
    """Throughput of a chip against speed for a user, and the setup that was chosen."""
    import altair as alt

    from clustercast.report.charts import theme

    values = [_value(each) for each in points]
    layouts = list(dict.fromkeys(value["layout"] for value in values))
    tones = alt.Scale(domain=layouts, range=[TONES[at % len(TONES)] for at in range(len(layouts))])
    marks = alt.Scale(domain=layouts, range=[SHAPES[at % len(SHAPES)] for at in range(len(layouts))])
    chosen = {
        "user": 1e3 / done.tpot_ms if done.tpot_ms > 0.0 else None,
        "chip": done.output_tokens_per_s_per_chip,
        "TTFT ms": done.ttft_ms,
    }
    x = alt.X("user:Q", title="output tokens/s per user", scale=alt.Scale(zero=False))
    y = alt.Y("chip:Q", title="output tokens/s per chip", scale=alt.Scale(zero=False))
    tooltip = ["plan:N", "batch:Q", "TTFT ms:Q", "user:Q", "chip:Q"]
    line = alt.Chart(alt.InlineData(values=values)).mark_line(color="#888", interpolate="step-before").encode(x=x, y=y)
    dots = (
        alt.Chart(alt.InlineData(values=values))
        .mark_point(filled=True, size=46, stroke=theme.INK, strokeWidth=0.5, opacity=1)
        .encode(
            x=x,
            y=y,
            fill=alt.Fill("layout:N", title="layout", scale=tones),
            shape=alt.Shape("layout:N", title="layout", scale=marks),
            tooltip=tooltip,
        )
    )
    here = (
        alt.Chart(alt.InlineData(values=[chosen]))
        .mark_point(shape="circle", size=260, stroke="black", strokeWidth=2, filled=False, opacity=1)
        .encode(x=x, y=y)
    )
    head = alt.Title(title(done), subtitle=sources(done), anchor="start")
    return alt.layer(line, dots, here).properties(width=WIDTH, height=HEIGHT, title=head)


def sources(done: Served) -> list[str]:
    """What the picture rests on."""
    if isinstance(done, ServeResult):
        said = f"{done.engine}, {done.precision}; evidence: {done.evidence}"
    else:
        said = f"{done.prefill.chip}: {done.prefill.evidence}; {done.decode.chip}: {done.decode.evidence}"
    return [said, "circled: the answer; no setup gives more of both; every number with its source: --json"]


def _value(point: Point) -> dict[str, Any]:
    if isinstance(point, FrontierPoint):
        plan = point.plan
        names = (("tp", "tp"), ("pp", "pp"), ("dp", "attention_dp"), ("ep", "ep"))
        layout = ", ".join(f"{short_name} {plan[name]}" for short_name, name in names if plan[name] > 1) or "one chip"
        text = point.plan_text
    else:
        layout = f"{point.prefill_count} + {point.decode_count} chips"
        text = f"{point.prefill_plan_text} | {point.decode_plan_text}"
    return {
        "user": point.tokens_per_s_per_user,
        "chip": point.output_tokens_per_s_per_chip,
        "batch": point.batch,
        "TTFT ms": point.ttft_ms,
        "plan": text,
        "layout": layout,
    }


def title(done: Served) -> str:
    """What the picture shows."""
    who = f"{done.count:,} {done.chip}" if isinstance(done, ServeResult) else _pools_in_words(done)
    return f"{who}: {done.model}, {done.input_len:,} in, {done.output_len:,} out"


def _pools_in_words(done: Pools) -> str:
    count = next((each.prefill_count + each.decode_count for each in done.frontier or ()), done.count)
    return f"{count:,} chips, {done.prefill.chip} prefill and {done.decode.chip} decode"
