"""`clustercast design`."""

from typing import Annotated

import typer

from clustercast.cli import options

Model = Annotated[
    str, typer.Option("--model", metavar="NAME", help="What the chip is to train and serve. Default: Llama 70B.")
]
Rule = Annotated[
    str,
    typer.Option("--rule", metavar="NAME", help="Rule set: none, 2022, 2023, letter, 2026, safe. Default: 2023."),
]
On = Annotated[str | None, typer.Option("--on", metavar="DATE", help="Instead: rules and letters in force on a day.")]
Cap = Annotated[
    list[str] | None,
    typer.Option(
        "--cap",
        metavar="WHAT=VALUE",
        help="A cap of your own: hbm_bandwidth=1.4TB/s, tpp=1600, pd, io, hbm_capacity, power, cost, ...",
    ),
]
For = Annotated[
    str, typer.Option("--for", metavar="JOB", help="training, prefill, decode or serving (prompts and answers).")
]
Memory = Annotated[str, typer.Option("--memory", metavar="NAME", help="hbm2e, hbm3, hbm3e or hbm4. Default: hbm3.")]
Node = Annotated[str, typer.Option("--node", metavar="NAME", help="4n or 7nm. Default: 4n.")]
Dies = Annotated[str | None, typer.Option("--dies", metavar="N", help="Large dies of a package. Default: 1.")]
Base = Annotated[
    str | None,
    typer.Option(
        "--base", metavar="NAME", help="The chip whose kernels a design has. Default: H20 to H100, by compute."
    ),
]
Chips = Annotated[str | None, typer.Option("--chips", metavar="NAME,...", help="Real chips shown beside it.")]
Count = Annotated[str | None, typer.Option("--count", metavar="N", help="Chips of the cluster. Default: 1,024.")]
Tpot = Annotated[str | None, typer.Option("--tpot", metavar="TIME", help="Objective of decode. Default: 50ms.")]
Brief = Annotated[bool, typer.Option("--brief", help="The best chip alone: no curve, no comparisons.")]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write every point as CSV; - prints them.")]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw the curves: a name that ends in .svg, .png, .html.")
]


def design(
    *,
    model: Model = "llama-3.1-70b",
    rule: Rule = "",
    on: On = None,
    cap: Cap = None,
    for_: For = "serving",
    memory: Memory = "hbm3",
    node: Node = "4n",
    dies: Dies = None,
    base: Base = None,
    chips: Chips = None,
    count: Count = None,
    precision: options.Precision = None,
    isl: options.Isl = None,
    osl: options.Osl = None,
    tpot: Tpot = None,
    engine: options.Engine = "vllm",
    brief: Brief = False,
    csv: Csv = None,
    plot: Plot = None,
    json: options.Json = False,
) -> None:
    """The best chip that a rule or a cap still allows, and what it costs in tokens per second."""
    import clustercast
    from clustercast import report

    if plot is not None:
        report.check_plot(plot)
    result = clustercast.design(
        model,
        rule=rule,
        on=options.day("--on", on),
        caps=tuple(cap or ()),
        purpose=for_,
        memory=memory,
        node=node,
        n_dies=1 if dies is None else options.whole("--dies", dies) or 0,
        base=base,
        chips=tuple(part.strip() for part in (chips or "").split(",") if part.strip()),
        n_chips=options.whole("--count", count),
        precision=precision,
        input_len=options.whole("--isl", isl),
        output_len=options.whole("--osl", osl),
        tpot_s=options.seconds("--tpot", tpot),
        engine=engine,
        brief=brief,
    )
    if plot is not None:
        report.save_design(result, plot)
    if csv is not None:
        report.write_design(result, csv)
    if csv != "-":
        report.show(result, as_json=json)
