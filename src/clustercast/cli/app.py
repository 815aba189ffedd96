"""The commands, put together, and what the process does with their errors."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from clustercast import __version__, errors
from clustercast.cli import (
    calibrate,
    catalog,
    check,
    compare,
    crossover,
    design,
    estimate,
    failures,
    fleet,
    measure,
    plan,
    query,
    report,
    rules,
    sensitivity,
    serve,
    size,
    sweep,
    ui,
    validate,
    why,
)

app = typer.Typer(
    help="How long any LLM trains and how fast it serves on a cluster of any chip, and what limits it.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)
app.command()(estimate.estimate)
app.command()(plan.plan)
app.command()(serve.serve)
app.command()(compare.compare)
app.command()(why.why)
app.command()(sensitivity.sensitivity)
app.command()(sweep.sweep)
app.command()(query.query)
app.command()(report.report)
app.command()(crossover.crossover)
app.command()(size.size)
app.command()(calibrate.calibrate)
app.command()(measure.measure)
app.command()(check.check)
app.add_typer(catalog.chips, name="chips")
app.add_typer(catalog.models, name="models")
app.add_typer(catalog.fabrics, name="fabrics")
app.command()(rules.rules)
app.command()(design.design)
app.command()(fleet.fleet)
app.command()(validate.validate)
app.command()(ui.ui)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """How long any LLM trains and how fast it serves on a cluster of any chip, and what limits it."""
    if version:
        typer.echo(f"clustercast {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str], prog_name: str = "clustercast") -> int:
    """Run one command line; the exit status. Nothing escapes as a traceback."""
    from clustercast.report import progress

    as_json = "--json" in arguments
    try:
        with progress.shown():
            status = typer.main.get_command(app).main(list(arguments), prog_name=prog_name, standalone_mode=False)
        sys.stdout.flush()
    except errors.ClustercastError as error:
        return failures.report(error, as_json=as_json)
    except typer.TyperException as error:
        return failures.usage(error, as_json=as_json)
    except (BrokenPipeError, SystemExit):  # typer leaves by SystemExit when a pipe is closed
        return quiet_pipe()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except OSError as error:
        if error.filename is not None:
            return failures.our_fault(error, as_json=as_json)
        leave_output()
        return failures.unwritable(error)
    except Exception as error:  # noqa: BLE001 (the last door: a traceback never reaches a user)
        return failures.our_fault(error, as_json=as_json)
    return status if isinstance(status, int) else errors.EXIT_DONE


INTERRUPTED = 130  # 128 + SIGINT, as shells count


def quiet_pipe() -> int:
    """The reader has gone (`| head`): leave without a word, at exit too."""
    leave_output()
    return errors.EXIT_DONE


def leave_output() -> None:
    """Let what is still to be written go nowhere, or the interpreter fails at it once more when it exits."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> int:
    """The `clustercast` command."""
    return _process(sys.argv[1:])


def estimate_main() -> int:
    """The `estimate` command, the same as `clustercast estimate`."""
    return _process(["estimate", *sys.argv[1:]])


def _process(arguments: Sequence[str]) -> int:
    import gc

    gc.disable()  # short-lived: collecting cycles costs more than it frees
    # numba would import scipy to look for a BLAS that no formula calls: 0.2 s; calibrate, SALib and samples need it
    hidden = not {"calibrate", "sensitivity", "sweep"} & set(arguments) and "scipy" not in sys.modules
    if hidden:
        sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        return run(arguments)
    except BrokenPipeError:
        return quiet_pipe()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if hidden:
            del sys.modules["scipy"]


def command_paths() -> list[tuple[str, ...]]:
    """Every command as the words that follow `clustercast`, groups too; the first is `clustercast` itself.

    >>> ("chips", "show") in command_paths()
    True
    """
    paths: list[tuple[str, ...]] = [()]
    for name, command in getattr(typer.main.get_command(app), "commands", {}).items():
        paths.append((name,))
        paths += [(name, each) for each in getattr(command, "commands", {})]
    return paths


def help_of(path: Sequence[str]) -> str:
    """What `clustercast <path> --help` prints."""
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run([*path, "--help"])
    return printed.getvalue()
