"""`clustercast validate`."""

from typing import Annotated

import typer

from clustercast import errors
from clustercast.cli import options

MOST_DIGITS = 9
Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        show_default=False,
        help="Measurements in the training or the serving form of bench/record/README.md, or results of vllm bench "
        "serve, SGLang's bench_serving or AIPerf. Default: the published record of the package.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COLUMN=VALUE", help="Only rows whose cell says so. May be repeated."),
]
Worst = Annotated[str, typer.Option("--worst", metavar="N", help="How many of the worst rows to show.")]
Plot = Annotated[
    str | None,
    typer.Option("--plot", metavar="FILE", help="Draw estimated against published: .svg, .png, .html or .json."),
]


def validate(
    files: Files = None,
    *,
    where: Where = None,
    given: options.Given = None,
    launch: options.Launch = None,
    worst: Worst = "10",
    plot: Plot = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """How far the model is from published runs, or from your own."""
    import clustercast
    from clustercast import report

    if not (worst.isascii() and worst.isdigit()):
        raise errors.WrongInput(f"--worst: expected a whole number, 0 or more, got {worst!r}")
    most = int(worst[:MOST_DIGITS])
    if plot is not None:
        report.check_plot(plot)
    result = clustercast.validate(
        files or (), where=tuple(where or ()), given=given or (), launch=launch, calibration=tuple(calibration or ())
    )
    if plot is not None:
        report.save_plot(result, plot)
    report.show_validation(result, most, as_json=json)
