"""`clustercast plan`."""

from typing import Annotated

import typer

from clustercast.cli import options

Top = Annotated[str, typer.Option("--top", metavar="N", help="How many plans to show.")]


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
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """The fastest training plans, and what speed costs in memory."""
    import clustercast
    from clustercast import report

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
    )
    report.show(result, as_json=json)
