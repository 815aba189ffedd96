"""`clustercast fleet`."""

from typing import Annotated

import typer

from clustercast.cli import options

Chips = Annotated[
    str,
    typer.Option(
        "--fleet", metavar="CHIP=N,...", help="What is held: h20=50k,h800=10000; or a YAML or CSV file (chip, count)."
    ),
]
Reference = Annotated[str, typer.Option("--in", metavar="NAME", help="The chip to count in. Default: h100.")]
Model = Annotated[
    str,
    typer.Option("--model", metavar="NAME", help="What training and serving are measured with. Default: Llama 70B."),
]
Count = Annotated[
    str | None, typer.Option("--count", metavar="N", help="Chips of one cluster in training. Default: 1,024.")
]
Tpot = Annotated[str | None, typer.Option("--tpot", metavar="TIME", help="Objective of decode. Default: 50ms.")]
On = Annotated[str | None, typer.Option("--on", metavar="DATE", help="Caps in force on a day. Default: today.")]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the equivalents as CSV; - prints them.")]


def fleet(
    fleet: Chips,
    *,
    in_: Reference = "h100",
    model: Model = "llama-3.1-70b",
    count: Count = None,
    precision: options.Precision = None,
    isl: options.Isl = None,
    osl: options.Osl = None,
    tpot: Tpot = None,
    engine: options.Engine = "vllm",
    on: On = None,
    csv: Csv = None,
    json: options.Json = False,
) -> None:
    """A mixed fleet in equivalents of one chip by compute, training, prefill and decode; caps on sums."""
    import clustercast
    from clustercast import report

    result = clustercast.fleet(
        fleet,
        reference=in_,
        model=model,
        n_chips=options.whole("--count", count),
        precision=precision,
        input_len=options.whole("--isl", isl),
        output_len=options.whole("--osl", osl),
        tpot_s=options.seconds("--tpot", tpot),
        engine=engine,
        on=options.day("--on", on),
    )
    if csv is not None:
        report.write_fleet(result, csv)
    if csv != "-":
        report.show(result, as_json=json)
