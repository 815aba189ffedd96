"""Results to look at: text for people, one JSON document for programs."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from clustercast.catalog import ChipProfile, FabricProfile, ModelProfile
    from clustercast.estimates.result import Estimate
    from clustercast.report.layout import Block
    from clustercast.report.sweep import Shown
    from clustercast.studies.check import Check
    from clustercast.studies.compare import Comparison
    from clustercast.studies.design import Design
    from clustercast.studies.fleet import Fleet
    from clustercast.studies.new import Made
    from clustercast.studies.query.result import QueryResult, Sink
    from clustercast.studies.report import Report
    from clustercast.studies.rules import RulesTable
    from clustercast.studies.saved import SweepReport
    from clustercast.studies.sensitivity import Sensitivity
    from clustercast.studies.serving.crossover import Crossover
    from clustercast.studies.serving.pools import Pools
    from clustercast.studies.serving.result import ServeResult
    from clustercast.studies.sweep.result import SweepResult
    from clustercast.studies.validate import Validation

__all__ = [
    "check_csv",
    "check_plot",
    "save_plot",
    "show",
    "show_chips",
    "show_fabrics",
    "show_models",
    "show_served",
    "show_validation",
]


def show(result: Any, *, as_json: bool) -> None:
    """Print one result: an estimate, a ranking of plans, a calibration, a verdict of rules, a profile."""
    document, blocks = _document(result) if as_json else None, [] if as_json else _blocks(result)
    _print(document, blocks)


def show_chips(profiles: Sequence["ChipProfile"], *, as_json: bool) -> None:
    """Print the table of chips."""
    from clustercast.report import profiles as render

    _print(*(render.chips_document(profiles), []) if as_json else (None, render.chips(profiles)))


def show_models(profiles: Sequence["ModelProfile"], *, as_json: bool) -> None:
    """Print the table of models."""
    from clustercast.report import profiles as render

    _print(*(render.models_document(profiles), []) if as_json else (None, render.models(profiles)))


def show_fabrics(profiles: Sequence["FabricProfile"], *, as_json: bool) -> None:
    """Print the table of fabrics."""
    from clustercast.report import profiles as render

    _print(*(render.fabrics_document(profiles), []) if as_json else (None, render.fabrics(profiles)))


def show_validation(result: "Validation", most: int, *, as_json: bool) -> None:
    """Print how far the model is from published rows, with so many of the worst rows."""
    from clustercast.report import validate as render

    _print(*(result.as_dict(), []) if as_json else (None, render.validation(result, most)))


def check_plot(path: str) -> None:
    """Refuse a picture that could not be written, before anything is judged. Raises WrongInput."""
    from clustercast.report import plot

    plot.check(path)


def save_plot(result: "Validation", path: str) -> None:
    """Draw estimated against published into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import plot

    plot.save(result, path)


def check_csv(path: str) -> None:
    """Refuse a table that could not be written, before anything is searched. Raises WrongInput."""
    from clustercast.report import frontier

    frontier.check_csv(path)


def show_served(result: "ServeResult | Pools", *, csv: str | None, plot: str | None, as_json: bool) -> None:
    """Print a serving answer, of one pool or two, and write its frontier as CSV and picture where a path is given.

    A CSV path of "-" prints the table alone. Raises WrongInput.
    """
    from clustercast.report import frontier, terminal

    if plot is not None:
        frontier.save_plot(result, plot)
    if csv == "-":
        terminal.write_raw(frontier.csv_text(result).removesuffix("\n"), sys.stdout)
        return
    if csv is not None:
        frontier.save_csv(result, csv)
    show(result, as_json=as_json)


def save_crossover(result: "Crossover", path: str) -> None:
    """Draw a crossover map into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import crossover as render

    render.save(result, path)


def write_crossover(result: "Crossover", path: str) -> None:
    """Write a crossover map as CSV into a file, or print it where the path is "-". Raises WrongInput."""
    from clustercast.report import crossover as render

    _csv(render.csv_text(result), path)


def check_xlsx(path: str) -> None:
    """Refuse a spreadsheet that could not be written, before anything is compared. Raises WrongInput."""
    from clustercast.report import compare

    compare.check_xlsx(path)


def save_comparison(result: "Comparison", *, csv: str | None, xlsx: str | None, plot: str | None) -> None:
    """Write a comparison as CSV ("-" prints it), as a spreadsheet, as a picture. Raises WrongInput."""
    from clustercast.report import compare

    if xlsx is not None:
        compare.save_xlsx(result, xlsx)
    if plot is not None:
        compare.save_plot(result, plot)
    if csv is not None:
        _csv(compare.csv_text(result), csv)


def save_estimate(result: "Estimate", path: str) -> None:
    """Draw an estimate into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import estimate_plot

    estimate_plot.save(result, path)


def save_sensitivity(result: "Sensitivity", *, csv: str | None, plot: str | None) -> None:
    """Write what moves an answer as CSV ("-" prints it) and as a picture. Raises WrongInput."""
    from clustercast.report import sensitivity

    if plot is not None:
        sensitivity.save_plot(result, plot)
    if csv is not None:
        _csv(sensitivity.csv_text(result), csv)


def sweep_progress(*, as_json: bool) -> "Shown":
    """What shows on standard error how far a sweep is: a bar, lines, or under --json nothing."""
    from clustercast.report import sweep

    return sweep.shown(as_json=as_json)


def save_sweep(result: "SweepResult", path: str) -> None:
    """Draw the first ready-made question that a sweep's points answer with a picture. Raises WrongInput."""
    from clustercast.report import sweep

    sweep.save_plot(result, path)


def query_sinks(*, csv: str | None, xlsx: str | None) -> "AbstractContextManager[list[Sink]]":
    """Files that take all rows of a query as they come: CSV ("-" prints it), a spreadsheet. Raises WrongInput."""
    from clustercast.report import query

    return query.sinks(csv=csv, xlsx=xlsx)


def save_query(result: "QueryResult", path: str) -> None:
    """Draw what a query found into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import query_plot

    query_plot.save(result, path)


def show_sql(result: "QueryResult") -> None:
    """Print the SQL of a question, and nothing else."""
    from clustercast.report import terminal

    terminal.write(result.sql.split("\n"), sys.stdout)


def show_launch(text: str) -> None:
    """Print a launch file, and nothing else."""
    from clustercast.report import terminal

    terminal.write_raw(text.removesuffix("\n"), sys.stdout)


def write_launch(text: str, path: str) -> None:
    """Write a launch file, whole or not at all. Raises WrongInput."""
    from clustercast.report import files

    with files.whole("--out", path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def show_made(result: "Made", path: str, *, as_json: bool) -> None:
    """Write a chip or model file that was made and say so, or print it alone where the path is "-".

    Raises WrongInput.
    """
    import dataclasses

    from clustercast.report import new

    if path != "-":
        new.write(result, path)
        result = dataclasses.replace(result, file=path)
    if path == "-" and not as_json:
        new.write(result, path)
    else:
        show(result, as_json=as_json)


def give_launches(launch: "str | Mapping[str, str] | None", out: str | None, *, as_json: bool) -> bool:
    """Write the launch file of an answer, or those of its pools as NAME-prefill.sh and NAME-decode.sh.

    Without a path they are printed, and nothing else is: true. Raises WrongInput.
    """
    from pathlib import PurePath

    texts = {} if launch is None else {"": launch} if isinstance(launch, str) else launch
    if out is None and texts and not as_json:
        show_launch("\n".join(texts.values()))
        return True
    for role, text in texts.items():
        path = PurePath(out or "")
        if out is not None:
            write_launch(text, str(path.with_name(f"{path.stem}-{role}{path.suffix}")) if role else out)
    return False


def write_rules(result: "RulesTable", path: str) -> None:
    """Write the verdicts on every chip as CSV into a file, or print them where the path is "-". Raises WrongInput."""
    from clustercast.report import rules as render

    _csv(render.csv_text(result), path)


def write_fleet(result: "Fleet", path: str) -> None:
    """Write a fleet's equivalents as CSV into a file, or print them where the path is "-". Raises WrongInput."""
    from clustercast.report import fleet as render

    _csv(render.csv_text(result), path)


def write_check(result: "Check", path: str) -> None:
    """Write what was measured as rows of the training or serving form; "-" prints them. Raises WrongInput."""
    from clustercast.report import check as render

    _csv(render.csv_text(result), path)


def check_report(path: str) -> None:
    """Refuse a report that could not be written, before anything is asked. Raises WrongInput."""
    from clustercast.report import page

    page.check(path)


def save_report(result: "Report | SweepReport | Estimate", path: str) -> None:
    """Write a report: .html, .md, .csv, .xlsx, .svg or .png, whole or not at all. Raises WrongInput."""
    from clustercast.report import page

    page.save(page.page_of(result), path)


def show_report(result: "Report | SweepReport | Estimate", path: str, *, as_json: bool) -> None:
    """Say where a report was written, or print its document."""
    if as_json:
        _print(result.as_dict(), [])
        return
    from pathlib import Path

    from clustercast import units
    from clustercast.report import page

    made = page.page_of(result)
    size = units.si(float(Path(path).stat().st_size), "B")
    _print(None, [made.title, f"{path}: {len(made.sections)} sections, {size}"])


def write_design(result: "Design", path: str) -> None:
    """Write every point of a design study as CSV into a file, or print it where the path is "-". Raises WrongInput."""
    from clustercast.report import design as render

    _csv(render.csv_text(result), path)


def save_design(result: "Design", path: str) -> None:
    """Draw the frontier of a design study: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import design as render

    render.save(result, path)


def _csv(text: str, path: str) -> None:
    from clustercast.report import files, terminal

    if path == "-":
        terminal.write_raw(text.removesuffix("\n"), sys.stdout)
    else:
        files.write("--csv", text, path)


def _print(document: dict[str, Any] | None, blocks: "Sequence[Block]") -> None:
    from clustercast.report import json, terminal

    if document is not None:
        terminal.write_raw(json.dumps(document), sys.stdout)
    else:
        terminal.write(blocks, sys.stdout)


def _document(result: Any) -> dict[str, Any]:
    if hasattr(result, "as_dict"):
        document: dict[str, Any] = result.as_dict()
        return document
    from clustercast.report import profiles as render

    return render.document(result)


def _blocks(result: Any) -> "list[Block]":
    kind = type(result).__name__
    if kind == "Estimate":
        from clustercast.report import text

        return text.estimate(result)
    if kind == "PlanRanking":
        from clustercast.report import plans

        return plans.ranking(result)
    if kind == "Calibrated":
        from clustercast.report import calibrate

        return calibrate.calibrated(result)
    if kind == "Check":
        from clustercast.report import check

        return check.check(result)
    if kind == "Measurement":
        from clustercast.report import measure

        return measure.measurement(result)
    if kind == "ServeResult":
        from clustercast.report import serve

        return serve.served(result)
    if kind == "Size":
        from clustercast.report import size

        return size.size(result)
    if kind == "Pools":
        from clustercast.report import pools

        return pools.pools(result)
    if kind == "Sensitivity":
        from clustercast.report import sensitivity

        return sensitivity.sensitivity(result)
    if kind == "QueryResult":
        from clustercast.report import query

        return query.query(result)
    if kind == "Questions":
        from clustercast.report import query

        return query.questions(result)
    if kind == "SweepResult":
        from clustercast.report import sweep

        return sweep.sweep(result)
    if kind == "Crossover":
        from clustercast.report import crossover

        return crossover.crossover(result)
    if kind == "Comparison":
        from clustercast.report import compare

        return compare.compared(result)
    if kind == "Why":
        from clustercast.report import why

        return why.why(result)
    if kind == "RulesResult":
        from clustercast.report import rules

        return rules.verdicts(result)
    if kind == "Fleet":
        from clustercast.report import fleet

        return fleet.fleet(result)
    if kind == "Design":
        from clustercast.report import design

        return design.design(result)
    if kind == "Made":
        from clustercast.report import new

        return new.made(result)
    if kind == "RulesTable":
        from clustercast.report import rules

        return rules.table(result)
    if kind == "RulesHistory":
        from clustercast.report import rules

        return rules.history(result)
    from clustercast.report import profiles as render

    return render.profile(result)
