"""`clustercast plan`."""

from typing import Annotated

import typer

from clustercast.cli import options

Top = Annotated[str, typer.Option("--top", metavar="N", help="How many plans to show.")]

Export = Annotated[
    str | None,
    typer.Option(
        "--export",
        metavar="TOOL",
        help="Print a launch file for the fastest plan: megatron-lm, megatron-bridge, torchtitan, deepspeed, "
        "mindspeed-llm.",
    ),
]
Out = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Where --export writes; then the ranking is printed.")
]


def plan(
    chip: options.Chip,
    model: options.Model,
    *,
    count: options.Count = None,
    tokens: options.Tokens = None,
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    precision: options.Precision = None,
    plan: options.Plan = "",
    set_: options.Set = None,
    fabric: options.Fabric = None,
    stack: options.Stack = None,
    top: Top = "10",
    export: Export = None,
    out: Out = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """The fastest training plans, and what speed costs in memory."""
    import clustercast
    from clustercast import errors, report

    if out is not None and export is None:
        raise errors.WrongInput("--out needs --export", hint="--export megatron-lm")
    result = clustercast.plan(
        chip,
        model,
        n_chips=options.whole("--count", count),
        tokens=options.count("--tokens", tokens),
        global_batch=options.whole("--gbs", gbs),
        seq_len=options.whole("--seq", seq),
        precision=precision,
        plan=plan,
        fabric=fabric,
        stack=stack,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
        top=options.whole("--top", top) or 0,
        export=export,
    )
    if result.launch is not None and out is None and not json:
        report.show_launch(result.launch)
        return
    if result.launch is not None and out is not None:
        report.write_launch(result.launch, out)
    report.show(result, as_json=json)
