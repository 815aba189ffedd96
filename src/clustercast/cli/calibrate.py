"""`clustercast calibrate`."""

from typing import Annotated

import typer

from clustercast.cli import options

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE…",
        show_default=False,
        help="Measurements: training steps or serving points as CSV, results of vllm bench serve, SGLang's "
        "bench_serving or AIPerf, the text or JSON of nccl-tests, or a sweep of matmuls as CSV with m, n, k, dtype and "
        "a time. What a file holds is told by its content.",
    ),
]
Chip = Annotated[
    str | None,
    typer.Option("--chip", metavar="NAME", help="Chip that was measured, for files that do not say."),
]
Fabric = Annotated[
    str | None,
    typer.Option("--fabric", metavar="NAME", help="Fabric that nccl-tests ran in. Default: the chip's usual one."),
]
Stack = Annotated[
    str | None,
    typer.Option("--stack", metavar="NAME", help="Training stack that was measured. Default: by the row's framework."),
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Serving engine that was measured. Default: the row's."),
]
Ranks = Annotated[str | None, typer.Option("--ranks", metavar="N", help="Ranks of nccl-tests, if its header is lost.")]
Hosts = Annotated[str | None, typer.Option("--hosts", metavar="N", help="Hosts of those ranks, if its header is lost.")]
Operation = Annotated[
    str | None,
    typer.Option(
        "--operation",
        metavar="NAME",
        help="Collective that was measured, if the file does not say: all-reduce, all-gather, reduce-scatter, "
        "all-to-all or send.",
    ),
]
Output = Annotated[str, typer.Option("--output", metavar="FILE", help="Where the calibration is written.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an output file that is no calibration.")]
KeepAnyway = Annotated[
    bool,
    typer.Option("--keep-anyway", help="Write it even where the model describes the measurements worse than before."),
]


def calibrate(
    files: Files,
    *,
    chip: Chip = None,
    fabric: Fabric = None,
    stack: Stack = None,
    engine: Engine = None,
    ranks: Ranks = None,
    hosts: Hosts = None,
    operation: Operation = None,
    output: Output = "calibration.yaml",
    force: Force = False,
    keep_anyway: KeepAnyway = False,
    given: options.Given = None,
    launch: options.Launch = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """Make the model agree with your own measurements."""
    import clustercast
    from clustercast import report

    result = clustercast.calibrate(
        files,
        chip=chip,
        fabric=fabric,
        stack=stack,
        engine=engine,
        n_ranks=options.whole("--ranks", ranks),
        n_hosts=options.whole("--hosts", hosts),
        operation=operation,
        output=output,
        force=force,
        keep_anyway=keep_anyway,
        given=given or (),
        launch=launch,
        calibration=tuple(calibration or ()),
    )
    report.show(result, as_json=json)
