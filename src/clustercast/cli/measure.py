"""`clustercast measure`."""

from typing import Annotated

import typer

from clustercast.cli import options

Out = Annotated[str, typer.Option("--out", metavar="FILE", help="Where the measurement is written.")]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="KIND",
        help="auto (an accelerator that PyTorch sees, else the CPU), cuda (also ROCm), npu, xpu, or cpu (by NumPy).",
    ),
]
Quick = Annotated[bool, typer.Option("--quick", help="Fewer sizes: one minute instead of five.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that is no measurement.")]


def measure(
    *,
    out: Out = "measured.json",
    device: Device = "auto",
    quick: Quick = False,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Measure this machine for five minutes: matmuls, attention, memory, under torchrun collectives too."""
    import clustercast
    from clustercast import report

    result = clustercast.measure(
        out, device=device, quick=quick, force=force, progress=lambda line: typer.echo(f"{line} …", err=True)
    )
    if result is not None:
        report.show(result, as_json=json)
