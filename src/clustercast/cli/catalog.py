"""`clustercast chips`, `models` and `fabrics`: what there is, and every number of one with its source."""

from typing import Annotated

import typer

from clustercast.cli import options

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


@chips.callback(invoke_without_command=True)
@models.callback(invoke_without_command=True)
@fabrics.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
