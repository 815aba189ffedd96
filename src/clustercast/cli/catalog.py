"""`clustercast chips`, `models` and `fabrics`: what there is, every number of one with its source, and new ones."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from clustercast.cli import options

if TYPE_CHECKING:
    from clustercast.studies.new import Datasheet

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name, an alias or the path of a file.")]

chips = typer.Typer(help="The chips that are known.", rich_markup_mode=None)
models = typer.Typer(help="The models that are known.", rich_markup_mode=None)
fabrics = typer.Typer(help="The fabrics that are known.", rich_markup_mode=None)


@chips.command("list")
def list_chips(*, json: options.Json = False) -> None:
    """All chips with their main figures."""
    from clustercast import catalog, report

    report.show_chips([catalog.find_chip(name) for name in catalog.chip_names()], as_json=json)


@chips.command("show")
def show_chip(name: Name, *, json: options.Json = False) -> None:
    """Every number of a chip with its source, kind and range."""
    import clustercast
    from clustercast import report

    report.show(clustercast.chip(name), as_json=json)


@models.command("list")
def list_models(*, json: options.Json = False) -> None:
    """All models with their main figures."""
    from clustercast import catalog, report

    report.show_models([catalog.find_model(name) for name in catalog.model_names()], as_json=json)


@models.command("show")
def show_model(name: Name, *, json: options.Json = False) -> None:
    """The architecture of a model, its parameters counted and published, its defaults."""
    import clustercast
    from clustercast import report

    report.show(clustercast.model(name), as_json=json)


@fabrics.command("list")
def list_fabrics(*, json: options.Json = False) -> None:
    """All fabrics with their tiers."""
    from clustercast import catalog, report

    report.show_fabrics([catalog.find_fabric(name) for name in catalog.fabric_names()], as_json=json)


@fabrics.command("show")
def show_fabric(name: Name, *, json: options.Json = False) -> None:
    """The tiers of a fabric, every number with its source."""
    import clustercast
    from clustercast import report

    report.show(clustercast.fabric(name), as_json=json)


Out = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Where to write it; - prints it. Default: NAME.yaml.")
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]


@models.command("import")
def import_model(
    config: Annotated[str, typer.Argument(metavar="FILE", help="A Hugging Face config.json, or its folder.")],
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: the folder's name.")] = None,
    full_name: Annotated[str | None, typer.Option("--full-name", metavar="TEXT", help="Default: the name.")] = None,
    out: Out = None,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Make a model file from a Hugging Face config.json."""
    from clustercast import report
    from clustercast.studies import new

    made = new.model_of(config, name, full_name)
    path = out or f"{made.name}.yaml"
    if path != "-":
        new.check_place("--out", path, force=force)
    report.show_made(made, path, as_json=json)


def _number(name: str, text: str) -> typer.models.OptionInfo:
    """An option that takes a number of a datasheet with its unit."""
    option: typer.models.OptionInfo = typer.Option(f"--{name}", metavar="NUMBER", help=text)
    return option


@chips.command("new")
def new_chip(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The chip's name: letters, digits, dots, dashes.")],
    *,
    vendor: Annotated[str | None, typer.Option("--vendor", metavar="TEXT", help="Who makes it.")] = None,
    peak: Annotated[
        list[str] | None,
        typer.Option("--peak", metavar="FORMAT=RATE", help="Dense peak, like bf16=148TFLOP/s. May be repeated."),
    ] = None,
    memory: Annotated[str | None, _number("memory", "Memory, like 96GB.")] = None,
    bandwidth: Annotated[str | None, _number("bandwidth", "Memory bandwidth, like 4.0TB/s.")] = None,
    memory_type: Annotated[str | None, typer.Option("--memory-type", metavar="TEXT", help="Like HBM3.")] = None,
    cache: Annotated[str | None, _number("cache", "Last-level cache, like 60MB.")] = None,
    scale_up: Annotated[str | None, _number("scale-up", "Own links, one direction, like 450GB/s.")] = None,
    scale_up_quoted: Annotated[
        str | None, _number("scale-up-quoted", "Own links as quoted for both directions, like 900GB/s.")
    ] = None,
    scale_up_name: Annotated[
        str | None, typer.Option("--scale-up-name", metavar="TEXT", help="What its links are called.")
    ] = None,
    nic: Annotated[str | None, _number("nic", "Network per chip, one direction, like 400Gbit/s.")] = None,
    power: Annotated[str | None, _number("power", "Power, like 400W.")] = None,
    clock: Annotated[str | None, _number("clock", "Boost clock, like 1830MHz.")] = None,
    cores: Annotated[str | None, typer.Option("--cores", metavar="N", help="Cores that run matmul tiles.")] = None,
    die_area: Annotated[str | None, _number("die-area", "Die area, like 814mm2.")] = None,
    pcie: Annotated[str | None, typer.Option("--pcie", metavar="N", help="PCIe generation.")] = None,
    buy: Annotated[str | None, _number("buy", "Price, like 13500USD.")] = None,
    rent: Annotated[str | None, _number("rent", "Price of an hour, like 2USD/h.")] = None,
    full_name: Annotated[str | None, typer.Option("--full-name", metavar="TEXT", help="Default: the name.")] = None,
    family: Annotated[
        str | None, typer.Option("--family", metavar="NAME", help="Whose kernels it runs like. Default: other.")
    ] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", metavar="TEXT", help="Like GH100.")] = None,
    released: Annotated[str | None, typer.Option("--released", metavar="DATE", help="Like 2026-01.")] = None,
    status: Annotated[
        str, typer.Option("--status", metavar="WORD", help="shipping, announced or rumoured.")
    ] = "shipping",
    fabric: Annotated[
        str | None, typer.Option("--fabric", metavar="NAME", help="The fabric it comes in, of `fabrics list`.")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="CHIP", help="Take family, fabric, links and memory type of this chip."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="[NUMBER=]TEXT",
            help="Where the numbers stand; with nic=... that of one. May be repeated.",
        ),
    ] = None,
    out: Out = None,
    force: Force = False,
    json: options.Json = False,
) -> None:
    """Make a chip file from a datasheet's numbers; on a terminal, what is missing is asked for."""
    from clustercast import report
    from clustercast.studies import new

    path = out or f"{name.lower()}.yaml"
    if path != "-":
        new.check_place("--out", path, force=force)
    numbers = {
        "memory": memory, "bandwidth": bandwidth, "cache": cache, "scale_up": scale_up,
        "scale_up_quoted": scale_up_quoted, "nic": nic, "power": power, "clock": clock, "die_area": die_area,
        "buy": buy, "rent": rent,
    }  # fmt: skip
    sheet = new.Datasheet(
        name, full_name, vendor, family, architecture, released, status, None, fabric, memory_type, scale_up_name,
        options.whole("--pcie", pcie), options.whole("--cores", cores), new.peaks(peak or ()),
        {key: text for key, text in numbers.items() if text is not None}, new.sources(source or ()), like,
    )  # fmt: skip
    if sys.stdin.isatty() and not json:
        sheet = _ask(sheet)
    report.show_made(new.chip_of(sheet), path, as_json=json)


def _ask(sheet: "Datasheet") -> "Datasheet":
    """Ask for what is missing, until nothing is; an answer that does not fit is asked for again."""
    from clustercast import errors
    from clustercast.studies import new

    while lacking := new.missing(sheet):
        field, ask = next(iter(lacking.items()))
        answer = typer.prompt(ask, err=True)
        try:
            sheet = new.answered(sheet, field, answer)
        except errors.WrongInput as error:
            typer.echo(f"error: {error.message}", err=True)
    return sheet


@chips.callback(invoke_without_command=True)
@models.callback(invoke_without_command=True)
@fabrics.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
