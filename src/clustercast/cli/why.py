"""`clustercast why`."""

from typing import Annotated

import typer

from clustercast.cli import options

Other = Annotated[
    str | None, typer.Option("--other", metavar="NAME", help="Another chip: which property separates the two.")
]


def why(
    chip: options.Chip,
    model: options.Model,
    *,
    other: Other = None,
    count: options.Count = None,
    tokens: options.Tokens = None,
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    precision: options.Precision = None,
    plan: options.Plan = "",
    isl: options.Isl = None,
    osl: options.Osl = None,
    batch: options.Batch = None,
    set_: options.Set = None,
    fabric: options.Fabric = None,
    stack: options.Stack = None,
    engine: options.Engine = "vllm",
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """Which plank is the shortest: what more of each resource buys, and what separates one chip from another."""
    import clustercast
    from clustercast import report

    result = clustercast.why(
        chip,
        model,
        other=other,
        n_chips=options.whole("--count", count),
        tokens=options.count("--tokens", tokens),
        global_batch=options.whole("--gbs", gbs),
        seq_len=options.whole("--seq", seq),
        precision=precision,
        plan=plan,
        input_len=options.whole("--isl", isl),
        output_len=options.whole("--osl", osl),
        batch=options.whole("--batch", batch),
        fabric=fabric,
        stack=stack,
        engine=engine,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    report.show(result, as_json=json)
