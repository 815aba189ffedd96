"""The options of `clustercast serve` for prefill and decode in pools of their own."""

from collections.abc import Mapping
from typing import Annotated

import typer

from clustercast import errors

PrefillChip = Annotated[
    str | None,
    typer.Option("--prefill-chip", metavar="NAME", help="Pools apart: the chip that prefills (instead of --chip)."),
]
DecodeChip = Annotated[
    str | None,
    typer.Option("--decode-chip", metavar="NAME", help="Pools apart: the chip that decodes (instead of --chip)."),
]
PrefillCount = Annotated[
    str | None,
    typer.Option("--prefill-count", metavar="N", help="Pools apart: chips that prefill. Default: the best split."),
]
DecodeCount = Annotated[str | None, typer.Option("--decode-count", metavar="N", help="Pools apart: chips that decode.")]
PrefillPlan = Annotated[
    str, typer.Option("--prefill-plan", metavar="PLAN", help="Pools apart: what is fixed of a prefill replica.")
]
DecodePlan = Annotated[
    str, typer.Option("--decode-plan", metavar="PLAN", help="Pools apart: what is fixed of a decode replica.")
]
PrefillPrecision = Annotated[
    str | None, typer.Option("--prefill-precision", metavar="P", help="Pools apart: precision recipe of prefill.")
]
DecodePrecision = Annotated[
    str | None, typer.Option("--decode-precision", metavar="P", help="Pools apart: precision recipe of decode.")
]

PrefillEngine = Annotated[
    str | None, typer.Option("--prefill-engine", metavar="NAME", help="Pools apart: serving engine of prefill.")
]
DecodeEngine = Annotated[
    str | None, typer.Option("--decode-engine", metavar="NAME", help="Pools apart: serving engine of decode.")
]
PrefillFabric = Annotated[
    str | None, typer.Option("--prefill-fabric", metavar="NAME", help="Pools apart: fabric of the prefill pool.")
]
DecodeFabric = Annotated[
    str | None, typer.Option("--decode-fabric", metavar="NAME", help="Pools apart: fabric of the decode pool.")
]


def check(prefill_chip: str | None, decode_chip: str | None, others: Mapping[str, object]) -> None:
    """Refuse half a question, and options that speak of one pool. Raises WrongInput."""
    for option, value in (("--prefill-chip", prefill_chip), ("--decode-chip", decode_chip)):
        if value is None:
            raise errors.WrongInput(f"{option} is missing: two pools need both chips, the same or two")
    for option, given in others.items():
        if given:
            raise errors.WrongInput(
                f"{option} is for one pool; --prefill-chip and --decode-chip ask for two",
                hint="--prefill-plan and --decode-plan fix plans" if option == "--plan" else None,
            )
