"""What a calibration found, as tables: the constants before and after, and the errors of the points."""

import math

from clustercast import units
from clustercast.report.layout import Block, Line, Table, percent, short, wrap
from clustercast.studies.calibrate.run import Calibrated, Constant, Errors, PartResult

TITLES = {
    "collectives": "collectives over {0} of {1}",
    "matmuls": "{0} matmuls on {1}",
    "steps": "training steps of {0} on {1}",
    "serving": "serving points of {0} on {1}",
}


def calibrated(result: Calibrated) -> list[Block]:
    """The whole report."""
    blocks = wrap(
        f"{result.n:,} measured points: median error {percent(result.error_before.median)} before, "
        f"{percent(result.error_after.median)} after.",
        style="bold",
    )
    for part in result.parts:
        blocks += ["", *of_part(part)]
    if result.warnings:
        blocks += ["", Line("Warnings", "bold")]
        for each in result.warnings:
            blocks += wrap(each, "  ", "    ")
    blocks += ["", *wrap(f"Written to {result.overlay}; give it to a command:", "")]
    return [*blocks, f"  --calibration {result.overlay}"]


def of_part(part: PartResult) -> list[Block]:
    """One chip with one link, number format, stack or engine."""
    title = TITLES[part.kind].format(part.belongs_to, part.chip)
    blocks: list[Block] = [Line(f"{part.n:,} {title}", "bold")]
    if part.pace is not None:
        pace = max(part.pace, 1.0 / part.pace)
        how = "slower" if part.pace > 1.0 else "faster"
        blocks += wrap(
            f"All of it is {short(pace)} times {how} than in the catalogue, whatever limits it: every constant "
            "that time hangs on has moved by that, and some further."
        )
    rows = [(each.name, shown(each.before, each), shown(each.after, each), error_of(each)) for each in part.parameters]
    blocks.append(Table(("constant", "before", "after", "standard error"), rows, frozenset((1, 2, 3))))
    errors = [("before", part.error_before), ("after", part.error_after)]
    if part.error_left_out is not None:
        errors.append(("after, left out of the fit", part.error_left_out))
    blocks += ["", Table(("error of the points", "median", "largest"), [sizes(*each) for each in errors], LAST)]
    return [*blocks, *width(part)]


def width(part: PartResult) -> list[Block]:
    """What the calibration says of the interval of later estimates."""
    if part.kind != "steps":
        return []
    if part.half_width is None or part.covers is None:
        return wrap(
            "Too few different configurations to leave one out: estimates keep the interval of published runs.", "  "
        )
    kinds, recipes = " and ".join(part.covers.kinds), ", ".join(part.covers.precisions)
    least, most = part.covers.least_chips, part.covers.most_chips
    chips = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return wrap(
        f"80 % interval of {kinds} models in {recipes} on about {chips} chips: ±{percent(math.expm1(part.half_width))}"
        ", where that is narrower than that of published runs.",
        "  ",
    )


LAST = frozenset((1, 2))


def sizes(name: str, errors: Errors) -> tuple[str, str, str]:
    """One line of the table of errors."""
    return name, percent(errors.median), percent(errors.max)


def shown(value: float, each: Constant) -> str:
    """A constant as people read it.

    >>> shown(9.43e-6, Constant("launch", "nvlink4", 1e-5, 9.43e-6, 1e-7, 9e-6, 1e-5, True, "s"))
    '9.43 us'
    """
    return units.seconds(value) if each.unit == "s" else short(value)


def error_of(each: Constant) -> str:
    """The standard error, or that the points say nothing of the constant."""
    return "as it was" if each.standard_error is None else shown(each.standard_error, each)
