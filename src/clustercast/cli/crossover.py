"""`clustercast crossover`."""

from typing import Annotated

import typer

from clustercast.cli import options

Other = Annotated[str, typer.Option("--other", metavar="NAME", help="The chip to compare with.")]
Batches = Annotated[
    str | None,
    typer.Option("--batch", metavar="N,N,...", help="Sequences on all chips. Default: powers of two up to 1,024."),
]
Contexts = Annotated[
    str | None,
    typer.Option("--isl", metavar="N,N,...", help="Context lengths in tokens. Default: powers of two, 1k to 128k."),
]
OtherPrecision = Annotated[
    str | None,
    typer.Option("--other-precision", metavar="P", help="Precision recipe of the other chip, if not the same."),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a chip: chip.hbm_bandwidth=6TB/s, other.price_rent=1.9USD/h. May be repeated.",
    ),
]
Layout = Annotated[
    str, typer.Option("--plan", metavar="PLAN", help="Layout of a replica: tp=8,dp=2. Default: the best at each point.")
]
Csv = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write the map as CSV, one row per point; - prints it.")
]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw the map: a name that ends in .svg, .png, .html.")
]


def crossover(
    chip: options.Chip,
    other: Other,
    model: options.Model,
    *,
    count: options.Count = None,
    batch: Batches = None,
    isl: Contexts = None,
    precision: options.Precision = None,
    other_precision: OtherPrecision = None,
    plan: Layout = "",
    set_: Set = None,
    engine: options.Engine = "vllm",
    calibration: options.Calibration = None,
    csv: Csv = None,
    plot: Plot = None,
    json: options.Json = False,
) -> None:
    """Where one chip serves faster than another, by batch, context and phase, and where decode turns compute-bound."""
    import clustercast
    from clustercast import report

    if plot is not None:
        report.check_plot(plot)
    result = clustercast.crossover(
        chip,
        other,
        model,
        n_chips=options.whole("--count", count),
        batches=options.wholes("--batch", batch),
        contexts=options.wholes("--isl", isl),
        precision=precision,
        other_precision=other_precision,
        plan=plan,
        engine=engine,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    if plot is not None:
        report.save_crossover(result, plot)
    if csv is not None:
        report.write_crossover(result, csv)
    if csv != "-":
        report.show(result, as_json=json)
