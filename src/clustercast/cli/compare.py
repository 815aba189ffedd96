"""`clustercast compare`."""

from typing import Annotated

import typer

from clustercast.cli import options

Chips = Annotated[
    list[str],
    typer.Option(
        "--chip", metavar="NAME,NAME,...", help="Chips to compare; may be repeated. The first is the reference."
    ),
]
Models = Annotated[list[str], typer.Option("--model", metavar="NAME,NAME,...", help="Models, with commas or repeated.")]
Equal = Annotated[
    str,
    typer.Option(
        "--equal", metavar="WHAT", help="What is held equal: cards, dollars (an hour), megawatts (at the meter), tpp."
    ),
]
Reference = Annotated[
    str | None,
    typer.Option("--reference", metavar="NAME", help="The chip that --count is of and others are counted in."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a chip by its name, or all: h20.hbm_bandwidth=6TB/s, fabric.oversubscription=2, job.pue=1.1.",
    ),
]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write a row per model and chip; - prints it.")]
Xlsx = Annotated[str | None, typer.Option("--xlsx", metavar="FILE", help="Write the same as a spreadsheet.")]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw it: a name that ends in .svg, .png, .html.")
]


def compare(
    chip: Chips,
    model: Models,
    *,
    count: options.Count = None,
    equal: Equal = "cards",
    reference: Reference = None,
    price: options.Price = "rent",
    tokens: options.Tokens = None,
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    precision: options.Precision = None,
    isl: options.Isl = None,
    osl: options.Osl = None,
    batch: options.Batch = None,
    engine: options.Engine = "vllm",
    set_: Set = None,
    calibration: options.Calibration = None,
    csv: Csv = None,
    xlsx: Xlsx = None,
    plot: Plot = None,
    json: options.Json = False,
) -> None:
    """Which chip does which job fastest and cheapest, on equal cards, dollars, megawatts or TPP."""
    import clustercast
    from clustercast import report

    if plot is not None:
        report.check_plot(plot)
    if xlsx is not None:
        report.check_xlsx(xlsx)
    result = clustercast.compare(
        [name for text in chip for name in options.names("--chip", text)],
        [name for text in model for name in options.names("--model", text)],
        n_chips=options.whole("--count", count),
        equal=equal,
        reference=reference,
        price=price,
        tokens=options.count("--tokens", tokens),
        global_batch=options.whole("--gbs", gbs),
        seq_len=options.whole("--seq", seq),
        precision=precision,
        input_len=options.whole("--isl", isl),
        output_len=options.whole("--osl", osl),
        batch=options.whole("--batch", batch),
        engine=engine,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    report.save_comparison(result, csv=csv, xlsx=xlsx, plot=plot)
    if csv != "-":
        report.show(result, as_json=json)
