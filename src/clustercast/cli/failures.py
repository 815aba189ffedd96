"""What went wrong as one `error:` line and a `hint:` line on standard error; under --json as a document too."""

import difflib
import os
import re
import sys
import traceback
from pathlib import Path

import typer

from clustercast import errors


def report(error: errors.ClustercastError, *, as_json: bool) -> int:
    """Say what is wrong; the exit status."""
    return _say(error.message, error.hint, error.exit_status, error.numbers, as_json=as_json)


def usage(error: typer.TyperException, *, as_json: bool) -> int:
    """Say what is wrong with the command line itself, in the words of all other messages; exit status 2."""
    message, hint = _of_usage(error)
    return _say(message, hint, errors.EXIT_WRONG_INPUT, {}, as_json=as_json)


def our_fault(error: Exception, *, as_json: bool) -> int:
    """One line that asks to report, or the traceback where CLUSTERCAST_DEBUG=1 asks for it; exit status 1."""
    if os.environ.get("CLUSTERCAST_DEBUG") == "1":
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    message = f"a fault of clustercast itself: {type(error).__name__}{where}: {error}"
    hint = "please report it with the command you ran; CLUSTERCAST_DEBUG=1 shows the traceback"
    return _say(message, hint, errors.EXIT_OUR_FAULT, {}, as_json=as_json)


def unwritable(error: OSError) -> int:
    """Say that standard output takes no more; exit status 1."""
    reason = (error.strerror or str(error)).lower()
    return _say(f"standard output cannot be written: {reason}", None, errors.EXIT_OUR_FAULT, {}, as_json=False)


def _say(message: str, hint: str | None, status: int, numbers: dict[str, errors.Number], *, as_json: bool) -> int:
    from clustercast.report import json, terminal

    lines = [f"error: {message}"] + ([f"hint: {hint}"] if hint else [])
    terminal.write([line.replace("\n", " ") for line in lines], sys.stderr)
    if as_json:
        document = {"schema": "clustercast.error/1", "exit": status, "error": message, "hint": hint, "numbers": numbers}
        terminal.write_raw(json.dumps(document), sys.stdout)
    return status


def _of_usage(error: typer.TyperException) -> tuple[str, str | None]:
    """Typer's message in the house's words: lower case, no full stop, with the nearest name as a hint."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "clustercast"
    see = f"`{path} --help` lists what there is"
    kind = type(error).__name__
    message = error.format_message()
    if kind == "NoSuchOption":
        wrong = str(getattr(error, "option_name", ""))
        known = [name for each in context.command.params for name in each.opts] if context else []
        return f"unknown option {wrong}", _near(wrong, known) or see
    if kind == "BadOptionUsage":
        wrong = str(getattr(error, "option_name", ""))
        if "requires an argument" in message:
            return f"{wrong} needs a value", f"write {wrong} VALUE"
        return f"{wrong} takes no value", None
    if kind == "MissingParameter":
        parameter = getattr(error, "param", None)
        wrong = parameter.opts[0] if parameter else "an argument"
        return f"{wrong if wrong.startswith('-') else wrong.upper()} is missing", see
    unknown = re.match(r"No such command '(.*?)'\.", message, re.DOTALL)
    if unknown is not None and context is not None:
        known = list(getattr(context.command, "commands", {}))
        return f"unknown command {unknown[1]!r}", _near(unknown[1], known) or f"there are {', '.join(known)}"
    extra = re.match(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)", message, re.DOTALL)
    if extra is not None:
        return f"unexpected argument {extra[1]!r}", see
    return message[:1].lower() + message[1:].rstrip("."), see


def _near(wrong: str, known: list[str]) -> str | None:
    found = difflib.get_close_matches(wrong.partition("=")[0], known, 1, 0.5)
    return f"did you mean {found[0]}?" if found else None
