"""Chips side by side as tables, as rows for a spreadsheet, as a picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from clustercast import units
from clustercast.errors import WrongInput
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.report.text import counted, milliseconds
from clustercast.studies.compare import JOBS, Comparison, JobOf, Row

PRICES: Final = {"rent": "rented", "buy": "owned"}
BOUND: Final = {  # LIMITS in a word, for a narrow column
    "hbm_bandwidth": "bandwidth", "hbm_capacity": "memory", "scale_up": "links", "scale_out": "network",
}  # fmt: skip
OF_ROW: Final = (
    "model", "chip", "count", "usd_per_chip_hour", "price_basis", "share", "days", "days_low", "days_high", "cost_usd",
    "energy_mwh", "mfu", "goodput", "plan", "training_memory_fraction", "training_reason", "batch", "tpot_ms",
    "ttft_ms", "serving_memory_fraction", "serving_reason", "serving_remark",
)  # fmt: skip
OF_JOB: Final = (
    "rank", "certain", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_per_chip",
    "usd_per_million_tokens", "joules_per_token", "limiting", "evidence", "equals_reference", "equals_reference_low",
    "equals_reference_high", "even_usd_per_chip_hour",
)  # fmt: skip
COLUMNS: Final = (*OF_ROW, *(f"{job}_{name}" for job in JOBS for name in OF_JOB))


def compared(found: Comparison) -> list[Block]:
    """For every model what each chip does, the fastest first, and how many of it equal one of the reference."""
    blocks: list[Block] = wrap(headline(found), style="bold")
    for model in found.models:
        rows = [row for row in found.rows if row.model == model]
        for job, title in (
            ("training", f"{model}: training"),
            ("prefill", f"{model}: prefill"),
            ("decode", f"{model}: decode"),
        ):
            if any(job in row.jobs for row in rows):
                blocks += ["", Line(title, "bold"), table(rows, job)]
        if len(rows) > 1 and any(row.jobs for row in rows):
            blocks += ["", *even(rows, found.reference)]
        for row in rows:
            for half, reason in (("training", row.training_reason), ("serving", row.serving_reason)):
                if reason:
                    blocks += wrap(f"no answer for {half} on {row.chip}: {reason}", "  ", "    ")
    blocks += ["", *notes(found)]
    return blocks


def headline(found: Comparison) -> str:
    """What is held equal, and what one card of the reference is worth in the others."""
    said = f"{counted(len(found.chips), 'chip')} on equal {found.equal}"
    held = [held_equal(found, amount) for amount in found.amounts]
    if len(set(held)) > 1:
        said += f" ({', '.join(f'{each} for {model}' for each, model in zip(held, found.models, strict=True))})"
    else:
        said += f" ({held[0]})"
    worth = []
    for row in found.rows[: len(found.chips)]:
        if row.chip == found.reference:
            continue
        parts = [
            f"{short(row.jobs[job].equals_reference or 0.0)} in {job}"
            for job in JOBS
            if job in row.jobs and row.jobs[job].equals_reference is not None
        ]
        if parts:
            worth.append(f"{', '.join(parts)} of {row.chip}")
    if worth:
        said += f". On {found.models[0]} one {found.reference} is worth {'; '.join(worth[:3])}"
    return said + "."


def held_equal(found: Comparison, amount: float) -> str:
    """What every chip gets as much of, with its unit."""
    if found.equal == "cards":
        return f"{amount:,.0f} of each"
    return f"{units.count(amount) if amount >= 1000.0 else short(amount)} {found.unit}"


def table(rows: list[Row], job: str) -> Table:
    """One job: a row per chip, the fastest first; `=` marks an order that the intervals leave open."""
    doing = sorted((row for row in rows if job in row.jobs), key=lambda row: row.jobs[job].rank)
    if job == "training":
        columns: tuple[str, ...] = ("", "chip", "chips", "days (80 %)", "USD", "MFU", "bound by", "= 1 ref.")
        cells = [
            (
                place(row.jobs[job]),
                row.chip,
                f"{row.count:,}",
                f"{short(row.days or 0.0)} ({short(row.days_low or 0.0, 2)}–{short(row.days_high or 0.0, 2)})",
                units.count(row.cost_usd or 0.0),
                f"{100.0 * (row.mfu or 0.0):.0f} %",
                BOUND.get(row.jobs[job].limiting, row.jobs[job].limiting),
                short(row.jobs[job].equals_reference or 0.0),
            )
            for row in doing
        ]
        return Table(columns, cells, frozenset({2, 3, 4, 5, 7}), (6,))
    last = "TPOT" if job == "decode" else "TTFT"
    columns = ("", "chip", "chips", "tokens/s/chip", "USD/M", last, "bound by", "= 1 ref.")
    cells = [
        (
            place(row.jobs[job]),
            row.chip,
            f"{row.count:,}",
            short(row.jobs[job].tokens_per_s_per_chip),
            short(row.jobs[job].usd_per_million_tokens),
            milliseconds((row.tpot_ms if job == "decode" else row.ttft_ms) or 0.0),
            BOUND.get(row.jobs[job].limiting, row.jobs[job].limiting),
            short(row.jobs[job].equals_reference or 0.0),
        )
        for row in doing
    ]
    return Table(columns, cells, frozenset({2, 3, 4, 5, 7}), (6,))


def even(rows: list[Row], reference: str) -> list[Block]:
    """The price of an hour at which each chip's tokens cost what the reference's do, by job."""
    cells = []
    for row in rows:
        if row.chip == reference:
            continue
        prices = [row.jobs[job].even_usd_per_chip_hour if job in row.jobs else None for job in JOBS]
        cells.append((row.chip, *("–" if usd is None else short(usd) for usd in prices), short(row.usd_per_chip_hour)))
    title = Line(f"{rows[0].model}: USD an hour at which a chip is even with {reference}", "bold")
    return [title, Table(("chip", *JOBS, "costs"), cells, frozenset({1, 2, 3, 4}))]


def place(one: JobOf) -> str:
    """The rank, with a mark where the next chip may as well be before it."""
    return f"{one.rank}{'' if one.certain else '='}"


def notes(found: Comparison) -> list[Block]:
    """How to read the tables."""
    blocks = wrap(f"= 1 ref.: cards of the chip that do as much as one {found.reference}")
    blocks += wrap(
        "rank with =: errors of two chips taken as independent, the 80 % interval leaves open which is faster, this "
        "one or the next"
    )
    blocks += wrap(f"money: chips {PRICES[found.price]}; tokens/s: all cards busy with one job alone")
    guessed = [row.chip for row in found.rows[: len(found.chips)] if "guessed" in row.price_basis]
    if guessed:
        blocks += wrap(f"no price of their own on that basis, so guessed: {', '.join(guessed)} (--json says from what)")
    for each in found.warnings:
        blocks += wrap(f"warning: {each}", "", "  ")
    return blocks


def records(found: Comparison) -> Iterator[dict[str, Any]]:
    """One flat record per model and chip, by column."""
    for row in found.rows:
        record: dict[str, Any] = {name: getattr(row, name) for name in OF_ROW}
        for job in JOBS:
            for name in OF_JOB:
                record[f"{job}_{name}"] = getattr(row.jobs[job], name) if job in row.jobs else None
        yield record


def csv_text(found: Comparison) -> str:
    """The comparison as CSV, one row per model and chip."""
    from clustercast.report import files

    return files.csv_table(COLUMNS, ([record[name] for name in COLUMNS] for record in records(found)))


def check_xlsx(path: str) -> None:
    """Refuse a spreadsheet that could not be written, before anything is compared. Raises WrongInput."""
    file = Path(path)
    if file.suffix.lower() != ".xlsx":
        raise WrongInput(f"--xlsx: expected a name that ends in .xlsx, got {path!r}")
    if not file.parent.is_dir():
        raise WrongInput(f"--xlsx: there is no folder {str(file.parent)!r}")
    try:
        import xlsxwriter  # noqa: F401
    except ImportError:
        raise WrongInput(
            "--xlsx needs the package xlsxwriter", hint="install it with: pip install 'clustercast[xlsx]'"
        ) from None


def save_xlsx(found: Comparison, path: str) -> None:
    """Write the comparison as a spreadsheet, one row per model and chip. Raises WrongInput."""
    check_xlsx(path)
    import xlsxwriter

    try:
        with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
            sheet = book.add_worksheet("compare")
            bold = book.add_format({"bold": True})
            sheet.freeze_panes(1, 2)
            for column, name in enumerate(COLUMNS):
                sheet.write_string(0, column, name, bold)
                sheet.set_column(column, column, max(10, min(len(name), 24)))
            for line, record in enumerate(records(found), start=1):
                for column, name in enumerate(COLUMNS):
                    value = record[name]
                    if isinstance(value, bool):
                        sheet.write_boolean(line, column, value)
                    elif isinstance(value, (int, float)):
                        sheet.write_number(line, column, value)
                    elif value is not None:
                        sheet.write_string(line, column, str(value))
    except (OSError, xlsxwriter.exceptions.FileCreateError) as error:
        raise WrongInput(f"--xlsx: {path!r} cannot be written: {error}") from None


def chart(found: Comparison) -> dict[str, Any]:
    """Speed of one card over the reference's with its interval, and what the run costs, for each model.

    Raises WrongInput where no chip and the reference do one job.
    """
    from clustercast.report import charts, plot

    document = found.as_dict()
    drawn = [draw(document, model) for model in found.models for draw in (charts.comparison, charts.cost)]
    said = [line.text for line in wrap(headline(found)) if isinstance(line, Line)]
    guessed = [row.chip for row in found.rows[: len(found.chips)] if "guessed" in row.price_basis]
    about = f"money: chips {PRICES[found.price]}" + (f"; guessed for {', '.join(guessed)}" if guessed else "")
    said += [line.text for line in wrap(about) if isinstance(line, Line)]
    return plot.together(f"{counted(len(found.chips), 'chip')} on equal {found.equal}", drawn, said)


def save_plot(found: Comparison, path: str) -> None:
    """Draw the comparison into a file: .svg, .png, .html or .json. Raises WrongInput."""
    from clustercast.report import plot

    plot.check(path)
    plot.write(chart(found), path)
