"""Results to look at: text for people, one JSON document for programs."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustercast.catalog import ChipProfile, FabricProfile, ModelProfile
    from clustercast.report.layout import Block
    from clustercast.studies.serving.crossover import Crossover
    from clustercast.studies.serving.result import ServeResult
    from clustercast.studies.validate import Validation

__all__ = [
    "check_csv",
    "check_plot",
    "save_frontier_csv",
    "save_frontier_plot",
    "save_plot",
    "show",
    "show_chips",
    "show_fabrics",
    "show_models",
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
    from clustercast.report import serve

    serve.check_csv(path)


def save_frontier_csv(result: "ServeResult", path: str) -> None:
    """Write the frontier of a serving answer as CSV, one line per setup. Raises WrongInput."""
    from clustercast.report import serve

    serve.save_csv(result, path)


def save_frontier_plot(result: "ServeResult", path: str) -> None:
    """Draw the frontier of a serving answer: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import serve

    serve.save_plot(result, path)


def save_crossover(result: "Crossover", path: str) -> None:
    """Draw a crossover map into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import crossover as render

    render.save(result, path)


def write_crossover(result: "Crossover", path: str) -> None:
    """Write a crossover map as CSV into a file, or print it where the path is "-". Raises WrongInput."""
    from clustercast.report import crossover as render
    from clustercast.report import terminal

    if path == "-":
        terminal.write_raw(render.csv_text(result).removesuffix("\n"), sys.stdout)
    else:
        render.write_csv(result, path)


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
    if kind == "ServeResult":
        from clustercast.report import serve

        return serve.served(result)
    if kind == "Size":
        from clustercast.report import size

        return size.size(result)
    if kind == "Pools":
        from clustercast.report import pools

        return pools.pools(result)
    if kind == "Crossover":
        from clustercast.report import crossover

        return crossover.crossover(result)
    if kind == "RulesResult":
        from clustercast.report import rules

        return rules.verdicts(result)
    from clustercast.report import profiles as render

    return render.profile(result)
