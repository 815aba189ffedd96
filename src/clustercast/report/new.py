"""A chip or model file that was made: what it says in short, what was assumed, what deserves a second look."""

import sys

from clustercast import units
from clustercast.report import files, terminal
from clustercast.report.layout import Block, Line, wrap
from clustercast.studies.new import Made


def made(result: Made) -> list[Block]:
    """What to tell after the file was written."""
    blocks: list[Block] = [*wrap(f"{result.kind} {result.name}", style="bold")]
    if result.kind == "model":
        total, active = result.numbers["total_params"], result.numbers["active_params"]
        said = f"{units.count(total, 4)} parameters"
        if active < 0.999 * total:
            said += f", {units.count(active, 4)} of them active"
        served = result.numbers["served_precision"]
        blocks += wrap(f"{said}; served in {served}" if served else said, "  ")
    for title, sentences in (("Assumed", result.notes), ("Look again", result.warnings)):
        if sentences:
            blocks += ["", Line(title, "bold")]
            for each in sentences:
                blocks += wrap(each, "  ", "    ")
    if result.file:
        how = "--chip" if result.kind == "chip" else "--model"
        blocks += ["", *wrap(f"Written to {result.file}; give it to a command:"), f"  {how} {_path(result.file)}"]
    return blocks


def _path(file: str) -> str:
    """A path that a command reads as one: a bare name ends in .yaml or has a folder before it."""
    return file if "/" in file or file.lower().endswith((".yaml", ".yml")) else f"./{file}"


def write(result: Made, path: str) -> None:
    """Write the file whole, or print it alone where the path is "-". Raises WrongInput."""
    if path == "-":
        terminal.write_raw(result.text.removesuffix("\n"), sys.stdout)
        return
    with files.whole("--out", path) as fresh:
        fresh.write_text(result.text, encoding="utf-8")
