"""`clustercast sweep`."""

from typing import Annotated

import typer

from clustercast.cli import options

Study = Annotated[
    str, typer.Argument(metavar="STUDY", show_default=False, help="The study: a YAML file that names the axes.")
]
Out = Annotated[
    str | None,
    typer.Option("--out", metavar="DIR", help="Folder of the results: new, or one that this study was begun in."),
]
Engine = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="threads: of this process; dask: processes, here or elsewhere.")
]
Threads = Annotated[str | None, typer.Option("--threads", metavar="N", help="Threads. Default: one per core.")]
Workers = Annotated[
    str | None, typer.Option("--workers", metavar="N", help="Processes that dask starts here. Default: one per core.")
]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler that runs already, like tcp://10.0.0.5:8786."),
]
Verify = Annotated[bool, typer.Option("--verify", help="Evaluate nothing: read every byte that is there and check it.")]
Repair = Annotated[bool, typer.Option("--repair", help="Compute parts again that are not as they were written.")]
Plot = Annotated[
    str | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw what there is: .svg, .png, .html or .json. `query` draws other questions.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Write nothing: check the study, count its points, try some, say how long.")
]


def sweep(
    study: Study,
    *,
    out: Out = None,
    engine: Engine = "threads",
    threads: Threads = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    verify: Verify = False,
    repair: Repair = False,
    dry_run: DryRun = False,
    plot: Plot = None,
    json: options.Json = False,
) -> None:
    """Evaluate every point of a study into a folder; the same command goes on where it was broken off."""
    import gc

    import clustercast
    from clustercast import errors, report

    if plot is not None:
        report.check_plot(plot)
        if dry_run:
            raise errors.WrongInput("--plot: --dry-run keeps no point that could be drawn")
    gc.enable()  # unlike the other commands, this one lives long
    with report.sweep_progress(as_json=json) as progress:
        result = clustercast.sweep(
            study,
            out,
            engine=engine,
            n_threads=options.whole("--threads", threads),
            n_workers=options.whole("--workers", workers),
            scheduler=scheduler,
            verify=verify,
            repair=repair,
            dry_run=dry_run,
            progress=progress,
        )
    if plot is not None:
        report.save_sweep(result, plot)
    report.show(result, as_json=json)
