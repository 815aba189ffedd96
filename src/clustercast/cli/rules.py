"""`clustercast rules`."""

from typing import Annotated

import typer

from clustercast import errors
from clustercast.cli import options

Chip = Annotated[
    str | None,
    typer.Option("--chip", metavar="NAME", help="Chip: a name or alias of `chips list`, or the path of a YAML file."),
]
All = Annotated[bool, typer.Option("--all", help="Every chip of the catalogue.")]
On = Annotated[str | None, typer.Option("--on", metavar="DATE", help="Rules in force on a day. Default: today.")]
History = Annotated[bool, typer.Option("--history", help="Every rule and event there ever was, by date.")]
Reading = Annotated[
    str, typer.Option("--reading", metavar="NAME", help="Read the rules another way: sparse, per-die, own-links, ...")
]
Proposed = Annotated[bool, typer.Option("--proposed", help="Judge by bills too.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the chip: chip.flops=160TFLOP/s, chip.die_area=700mm2. Repeatable."
    ),
]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="With --all: write a CSV; - prints it.")]


def rules(
    *,
    chip: Chip = None,
    all_: All = False,
    on: On = None,
    history: History = False,
    set_: Set = None,
    reading: Reading = "",
    proposed: Proposed = False,
    csv: Csv = None,
    json: options.Json = False,
) -> None:
    """Which export rules catch a chip, and by how much: an aid, not legal advice."""
    import clustercast
    from clustercast import report

    if all_ == (chip is not None):
        raise errors.WrongInput("rules: say --chip or --all, one of the two", hint="rules --chip h20")
    if csv is not None and not all_:
        raise errors.WrongInput("--csv is for --all")
    day = options.day("--on", on)
    if chip is None:
        if history or set_:
            raise errors.WrongInput(f"{'--history' if history else '--set'} is for --chip")
        table = clustercast.rules_table(day, reading, proposed=proposed)
        if csv is not None:
            report.write_rules(table, csv)
        if csv != "-":
            report.show(table, as_json=json)
    elif history:
        report.show(clustercast.rules_history(chip, tuple(set_ or ()), reading), as_json=json)
    elif proposed:
        report.show(clustercast.rules(chip, day, tuple(set_ or ()), reading, proposed=True), as_json=json)
    else:
        report.show(clustercast.rules(chip, day, tuple(set_ or ()), reading), as_json=json)
