"""`clustercast rules`."""

from typing import Annotated

import typer

from clustercast.cli import options

On = Annotated[str | None, typer.Option("--on", metavar="DATE", help="Rules in force on a day. Default: today.")]


def rules(chip: options.Chip, *, on: On = None, json: options.Json = False) -> None:
    """Which export rules catch a chip: an aid, not legal advice."""
    import clustercast
    from clustercast import report

    report.show(clustercast.rules(chip, options.day("--on", on)), as_json=json)
