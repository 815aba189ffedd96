"""How wrong the model is, as tables: all rows first, then by group, then the worst rows with what they are made of."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from clustercast.report.layout import GAP, WIDTH, Block, Line, Table, percent, short, wrap
from clustercast.report.text import CAUSES, DECODE, counted
from clustercast.studies.record.outcome import UNSUPPORTED
from clustercast.studies.validate import MOST_ROWS_OF_A_STUDY, Group, Judged, Validation, group, summary

# Groups by title, in the order of the tables.
TITLES: Final = {
    "target": "held against",
    "chip": "chip",
    "source": "source",
    "metric": "metric",
    "size": "size",
    "kind": "kind of model",
    "evidence": "evidence",
    "mode": "pools",
    "engine": "engine",
    "stack": "software stack",
    "mtp": "multi-token prediction",
    "file": "file",
}
SIZES: Final = ("up to 8 chips", "9 to 64 chips", "65 to 1,024 chips", "more than 1,024 chips", "unknown")
MOST_TERMS: Final = 4
MOST_NAMED: Final = 3  # rows that share a reason
WITH_DECIMAL: Final = 999.95  # percent
MOST_PERCENT: Final = 1e6
LEAST_NAME: Final = 12  # characters of a group's name on a line
WORD: Final = re.compile(r"[^ /]*[ /]?")
UNITS: Final = {
    "iteration_s": "s",
    "tokens_per_s_per_gpu": "tokens/s per chip",
    "ttft_ms": "ms to the first token",
    "tpot_ms": "ms per token",
    "request_latency_ms": "ms per request",
    "total_tokens_per_s": "tokens/s in and out",
    "output_tokens_per_s": "output tokens/s",
    "output_tokens_per_s_per_chip": "output tokens/s per chip",
    "output_tokens_per_s_per_node": "output tokens/s per node",
    "output_tokens_per_s_per_user": "output tokens/s per user",
    "prefill_tokens_per_s_per_chip": "prefilled tokens/s per chip",
    "prefill_tokens_per_s_per_node": "prefilled tokens/s per node",
}


def validation(result: Validation, most: int) -> list[Block]:
    """The whole report.

    most  how many of the worst rows to show
    """
    blocks = headline(result)
    forms = list(dict.fromkeys(form for _, form, _ in result.files))
    for form in forms if len(forms) > 1 else ():
        those = [each for each in result.rows if each.form == form]
        if those:
            blocks += ["", Line(form.capitalize(), "bold"), *tables(summary(those))[1:]]
    if len(forms) == 1:
        blocks += tables(result.summary)
    blocks += reasons(result)
    worst = result.worst(most)
    if worst:
        blocks += ["", Line(f"The worst {counted(len(worst), 'row')}, by how many times the estimate is off", "bold")]
        for each in worst:
            blocks += row(each)
    return blocks


def tables(groups_of_all: Sequence[Group]) -> list[Block]:
    """One table per way of grouping."""
    blocks: list[Block] = []
    for title, heading in TITLES.items():
        groups = [each for each in groups_of_all if each.group.startswith(f"{title}:") and each.n]
        if title == "size":
            groups.sort(key=lambda each: _place(each.group.partition(":")[2]))
        elif title != "target":
            groups.sort(key=lambda each: -each.n)
        if groups:
            named = f"by {heading}" if title != "target" else heading
            blocks += ["", table(named, groups, with_width=title == "evidence")]
    if any(each.weighted and each.n for each in groups_of_all):
        blocks += wrap(f"* every study weighs as at most {MOST_ROWS_OF_A_STUDY} rows", "  ", "    ")
    return blocks


def _place(size: str) -> int:
    return SIZES.index(size) if size in SIZES else len(SIZES)


def headline(result: Validation) -> list[Block]:
    """How many rows, how many answered, how wrong, how often inside the interval."""
    whole = result.group("all")
    if whole is None or not result.rows:
        return [*wrap("No rows.", style="bold")]
    files = ", ".join(f"{name} ({form}, {counted(n, 'row')})" for name, form, n in result.files)
    blocks: list[Block] = []
    forms = {form: [each for each in result.rows if each.form == form] for _, form, _ in result.files}
    if not whole.n:
        blocks += wrap(f"{counted(len(result.rows), 'row')}, none of them complete: nothing to judge.", style="bold")
    elif len([those for those in forms.values() if those]) > 1:  # a step and a token have no error in common
        for form, those in forms.items():
            blocks += wrap(f"{form.capitalize()}: {sentence(group(form, those))}", style="bold") if those else []
    else:
        blocks += wrap(sentence(whole), style="bold")
    if whole.n_context:
        blocks += wrap(f"{counted(whole.n_context, 'other row')} shown in --json, never judged", "  ", "    ")
    blocks += wrap(files, "  ", "    ")
    for each in result.calibration:
        blocks += wrap(f"calibrated with {each}", "  ", "    ")
    return blocks


def sentence(whole: Group) -> str:
    """How many rows of a group were answered, how well, and how often the interval holds."""
    if not whole.n:
        return "no complete row."
    said = f"{counted(whole.n, 'complete row')}, {whole.n_ok:,} answered ({percent(whole.n_ok / whole.n)})."
    if whole.n_ok:
        said += f" Half are within {share(whole.median_abs_error)}, nine in ten within {share(whole.p90_abs_error)}"
        said += f"; the 80 % interval covers {share(whole.interval_coverage)}"
        said += f" and is {short(whole.median_width or 0.0)} wide, high over low."
    return said


def share(value: float | None) -> str:
    """A share of 1 with one decimal; what is infinite says so.

    >>> share(0.0512), share(None)
    ('5.1 %', 'no bound')
    """
    return "no bound" if value is None else error_text(value, signed=False)


def cell(value: float | None, *, signed: bool = False) -> str:
    """A share for a narrow column.

    >>> cell(0.0512), cell(-0.1, signed=True), cell(12.3), cell(None)
    ('5.1%', '-10.0%', '1230%', '-')
    """
    return "-" if value is None else error_text(value, signed=signed).replace(" ", "").replace(",", "")


def error_text(error: float, *, signed: bool = True) -> str:
    """A relative error: one decimal, and no more than three digits of a large one.

    >>> error_text(0.0512), error_text(-0.1), error_text(107.483), error_text(1e300)
    ('+5.1 %', '-10.0 %', '+10,700 %', 'over 1e6 %')
    """
    sign = "+" if signed else ""
    shown = 100.0 * error
    if abs(shown) >= MOST_PERCENT:
        return f"over {MOST_PERCENT / 1e6:.0f}e6 %"
    if abs(shown) < WITH_DECIMAL:
        return f"{shown:{sign}.1f} %"
    return f"{float(f'{shown:.3g}'):{sign},.0f} %"


def table(heading: str, groups: Sequence[Group], *, with_width: bool = False) -> Table:
    """One row per group; a long name goes on over the next lines.

    with_width  how wide the interval is, high over low, beside how often it holds
    """
    columns = (heading, "rows", "done", "median", "p90", "mean", "bias", "covers", *(("width",) if with_width else ()))
    rows: list[tuple[str, ...]] = []
    for each in groups:
        name = each.group.partition(":")[2] or "(empty)"
        figures = (
            f"{each.n:,}",
            f"{each.n_ok:,}",
            cell(each.median_abs_error),
            cell(each.p90_abs_error),
            cell(each.mean_abs_error),
            cell(each.median_error, signed=True),
            "-" if each.interval_coverage is None else f"{100.0 * each.interval_coverage:.0f}%",
            *(("-" if each.median_width is None else f"{short(each.median_width)}x",) if with_width else ()),
        )
        rows.append((name + (" *" if each.weighted else ""), *figures))
    numbers = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)][1:]
    room = max(LEAST_NAME, WIDTH - sum(numbers) - len(GAP) * len(numbers))
    lines: list[tuple[str, ...]] = []
    for first, *rest in rows:
        parts = parts_of(first, room)
        lines.append((parts[0], *rest))
        lines += [(part, *[""] * len(rest)) for part in parts[1:]]
    return Table(columns, lines, frozenset(range(1, len(columns))))


def parts_of(name: str, width: int) -> list[str]:
    """A name over as many lines as it needs, broken after a space or a slash where it has one.

    >>> parts_of("NVIDIA/TensorRT-LLM docs/source/performance.md", 24)
    ['NVIDIA/TensorRT-LLM', 'docs/source/', 'performance.md']
    """
    lines = [""]
    for word in WORD.findall(name):
        if len((lines[-1] + word).rstrip()) > width and lines[-1]:
            lines.append("")
        lines[-1] += word
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def reasons(result: Validation) -> list[Block]:
    """Why rows could not be done, with how many."""
    found = result.reasons()
    if not found:
        return []
    n_rows = sum(n for _, n in found)
    blocks: list[Block] = ["", Line(f"{counted(n_rows, 'complete row')} that cannot be done", "bold")]
    rows_of = defaultdict(list)
    for each in result.rows:
        if each.status == UNSUPPORTED:
            rows_of[each.why].append(each)
    for why, n in found:
        those = rows_of[why]
        blocks += wrap(f"{n:>6,}  {why}", "", " " * 8)
        more = f" and {n - MOST_NAMED:,} more" if n > MOST_NAMED else ""
        blocks += wrap(f"{', '.join(map(where, those[:MOST_NAMED]))}{more}", " " * 8)
    return blocks


def where(each: Judged) -> str:
    """The name of a row and the line that it stands on."""
    return f"{each.id or 'a row without id'} (line {each.line:,})"


def row(each: Judged) -> list[Block]:
    """One row: how far off, what was published, what the estimate is made of and what was taken."""
    error = "" if each.error is None else error_text(each.error)
    blocks: list[Block] = [*wrap(f"{error:>9}  {each.id}", "", " " * 11)]
    unit = UNITS.get(each.metric, each.metric)
    ends = f"{short(each.low or 0.0)}–{short(each.high or 0.0)}"
    said = f"published {short(each.published or 0.0)}, estimated {short(each.estimated or 0.0)} ({ends}) {unit}"
    blocks += wrap(f"{said}; {each.chip}, {each.size}, {each.kind}; {each.source}", " " * 11)
    if each.why:
        blocks += wrap(f"note: {each.why}", " " * 11)
    terms = terms_of(each)
    if terms:
        blocks += wrap(f"made of {terms}", " " * 11)
    taken = ", ".join(f"{name} {text}" for name, text in each.setup.items())
    return [*blocks, *(wrap(f"taken: {taken}", " " * 11) if taken else [])]


def terms_of(each: Judged) -> str:
    """The largest terms of an estimate with their share."""
    whole = sum(each.terms.values())
    if whole <= 0.0:
        return ""
    names = CAUSES if each.form == "training" else DECODE
    largest = sorted(each.terms.items(), key=lambda pair: -pair[1])[:MOST_TERMS]
    return ", ".join(f"{names.get(name, name)} {value / whole:.0%}" for name, value in largest if value > 0.0)
