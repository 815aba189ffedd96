"""`clustercast check`."""

from typing import Annotated

import typer

from clustercast.cli import options

Log = Annotated[
    str,
    typer.Argument(
        metavar="LOG",
        show_default=False,
        help="What was measured: the log of a training run (Megatron-LM and its kin, torchtitan, NeMo, DeepSpeed), the "
        "text or JSON of nccl-tests, or the result of a load test (vllm bench serve, SGLang, AIPerf).",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model", metavar="NAME", help="Model, where neither the log nor --launch says it: as `estimate` takes it."
    ),
]
Count = Annotated[str | None, typer.Option("--count", metavar="N", help="Chips, where the log does not say.")]
Plan = Annotated[
    str, typer.Option("--plan", metavar="PLAN", help="The parallel plan that ran, where the log does not say it.")
]
Precision = Annotated[
    str | None, typer.Option("--precision", metavar="P", help="Precision recipe that ran, where the log does not say.")
]
Stack = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="Training software stack. Default: by tool and date.")
]
Engine = Annotated[str | None, typer.Option("--engine", metavar="NAME", help="Serving engine. Default: the result's.")]
Launch = Annotated[
    str | None,
    typer.Option("--launch", metavar="FILE", help="Launch file of the run: model, plan, batch, precision as it says."),
]
Hosts = Annotated[str | None, typer.Option("--hosts", metavar="N", help="Hosts of nccl-tests, if its header is lost.")]
Operation = Annotated[
    str | None, typer.Option("--operation", metavar="NAME", help="Collective of nccl-tests, if the file does not say.")
]
Csv = Annotated[
    str | None,
    typer.Option("--csv", metavar="FILE", help="Write what was measured as rows that validate and calibrate take."),
]


def check(
    log: Log,
    *,
    chip: options.Chip,
    model: Model = "",
    count: Count = None,
    plan: Plan = "",
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    precision: Precision = None,
    launch: Launch = None,
    fabric: options.Fabric = None,
    stack: Stack = None,
    engine: Engine = None,
    hosts: Hosts = None,
    operation: Operation = None,
    csv: Csv = None,
    set_: options.Set = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """Is my number normal? What a log says against what is expected, and the likeliest cause of a difference."""
    import clustercast
    from clustercast import report

    if csv is not None:
        report.check_csv(csv)
    result = clustercast.check(
        log,
        chip,
        model=model,
        n_chips=options.whole("--count", count),
        plan=plan,
        global_batch=options.whole("--gbs", gbs),
        seq_len=options.whole("--seq", seq),
        precision=precision,
        launch=launch,
        fabric=fabric,
        stack=stack,
        engine=engine,
        n_hosts=options.whole("--hosts", hosts),
        operation=operation,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    if csv is not None:
        report.write_check(result, csv)
        if csv == "-":
            return
    report.show(result, as_json=json)
