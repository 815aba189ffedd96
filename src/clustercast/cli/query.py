"""`clustercast query`."""

from typing import Annotated

import typer

from clustercast import errors, units
from clustercast.cli import options

ROWS = "20"  # that a person reads
JSON_ROWS = "10000"

Folder = Annotated[
    str, typer.Argument(metavar="DIR", show_default=False, help="The folder of a sweep, finished or not.")
]
Asked = Annotated[
    str,
    typer.Argument(
        metavar="QUESTION",
        show_default=False,
        help="SQL over the table `points`; or best, break-even, pareto, plan-changes, spread, summary, top.",
    ),
]
List = Annotated[bool, typer.Option("--list", help="List the columns and the ready-made questions.")]
By = Annotated[str, typer.Option("--by", metavar="OUTPUT", help="The output that decides, or is drawn.")]
Per = Annotated[
    str | None, typer.Option("--per", metavar="NAME,...", help="Columns to keep apart; none for none. Default: model.")
]
X = Annotated[str, typer.Option("--x", metavar="NAME", help="First axis; pareto: first output.")]
Y = Annotated[str, typer.Option("--y", metavar="NAME", help="Second axis; pareto: second output.")]
Chips = Annotated[
    str | None, typer.Option("--chips", metavar="NAME,NAME", help="break-even: the two chips. Default: the first two.")
]
Budget = Annotated[
    str,
    typer.Option("--budget", metavar="NAME[=N,...]", help="best: what is bounded: count, days=30,90, rent_usd=1M,10M."),
]
Where = Annotated[
    str, typer.Option("--where", metavar="SQL", help="Points that a ready-made question takes: 'count >= 1024'.")
]
Order = Annotated[
    str, typer.Option("--order", metavar="END", help="least or most of --by is best. Default: by what it is.")
]
N = Annotated[str, typer.Option("--n", metavar="N", help="top: how many.")]
ShowSql = Annotated[bool, typer.Option("--show-sql", help="Print the SQL of a ready-made question and do nothing.")]
Limit = Annotated[
    str | None,
    typer.Option(
        "--limit", metavar="N", help="Rows that are printed. Default: 20, with --json 10,000. Files take all."
    ),
]
Timeout = Annotated[str, typer.Option("--timeout", metavar="TIME", help="Longest time that a question may take.")]
Memory = Annotated[str, typer.Option("--memory", metavar="BYTES", help="Most memory that a question may take.")]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write all rows as CSV; - prints them alone.")]
Xlsx = Annotated[str | None, typer.Option("--xlsx", metavar="FILE", help="Write all rows as a spreadsheet.")]


def query(
    folder: Folder,
    question: Asked = "",
    *,
    list_: List = False,
    by: By = "",
    per: Per = None,
    x: X = "",
    y: Y = "",
    chips: Chips = None,
    budget: Budget = "",
    where: Where = "",
    order: Order = "",
    n: N = "10",
    show_sql: ShowSql = False,
    limit: Limit = None,
    timeout: Timeout = "300s",
    memory: Memory = "2GiB",
    csv: Csv = None,
    xlsx: Xlsx = None,
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """Ask the points of a sweep: SQL, or a ready-made question; as a table, CSV, a spreadsheet, a picture."""
    import clustercast
    from clustercast import report

    if list_ or not question.strip():
        report.show(clustercast.questions(folder), as_json=json)
        return
    if plot is not None:
        report.check_plot(plot)
    with report.query_sinks(csv=csv, xlsx=xlsx) as sinks:
        result = clustercast.query(
            folder,
            question,
            by=by,
            per=None if per is None else () if per.strip().lower() == "none" else options.names("--per", per),
            x=x,
            y=y,
            chips=() if chips is None else options.names("--chips", chips),
            budget=budget,
            where=where,
            order=order,
            n=options.whole("--n", n) or 0,
            n_shown=options.whole("--limit", limit or (JSON_ROWS if json else ROWS)) or 0,
            timeout_s=options.seconds("--timeout", timeout) or 0.0,
            memory_bytes=_bytes("--memory", memory),
            sinks=sinks,
            only_sql=show_sql,
        )
    if show_sql and not json:
        report.show_sql(result)
        return
    if plot is not None:
        report.save_query(result, plot)
    if csv != "-":
        report.show(result, as_json=json)


def _bytes(option: str, text: str) -> float:
    """An amount of memory.

    >>> _bytes("--memory", "2GiB")
    2147483648.0
    """
    try:
        return units.parse(text, "bytes")
    except ValueError:
        raise errors.WrongInput(f"{option}: expected an amount like 2GiB, got {text!r}") from None
