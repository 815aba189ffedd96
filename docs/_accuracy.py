"""Tables and pictures of docs/accuracy.md, made from the record that the package ships.

    python docs/_accuracy.py        writes docs/accuracy_training.svg and docs/accuracy_serving.svg (`make accuracy`)

The tables are called between cog marks, like those of `_generate.py`:

    summary_line(form)              one sentence: rows, answered, median, nine in ten, coverage
    targets_table(form)             what the project holds itself to
    group_table(form, title)        by "chip", "source", "metric", "size", "kind", "evidence", "mode", "engine", "stack"
    worst_table(form, most)         the rows that are furthest off, with what their estimates are made of
    unsupported_table(form)         why rows could not be done

`form` is "training" or "serving".
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import clustercast
from clustercast.report.layout import short
from clustercast.report.validate import SIZES, UNITS, cell, sentence, terms_of
from clustercast.studies.validate import MOST_ROWS_OF_A_STUDY, Group, Judged, Validation, group, summary

DOCS: Final = Path(__file__).parent
FORMS: Final = ("training", "serving")


@cache
def record(form: str) -> Validation:
    """The rows of one form of the shipped record, judged."""
    whole = clustercast.validate()
    rows = tuple(row for row in whole.rows if row.form == form)
    return Validation(rows, tuple(summary(rows)), tuple(each for each in whole.files if each[1] == form))


def summary_line(form: str) -> str:
    """How many rows, how many answered, how wrong, how often inside the interval."""
    return sentence(group(form, record(form).rows))


def group_table(form: str, title: str) -> str:
    """The errors of every group of one kind, the largest group first."""
    groups = [each for each in record(form).summary if each.group.startswith(f"{title}:") and each.n]
    if title == "size":
        groups.sort(key=lambda each: SIZES.index(each.group.partition(":")[2]))
    elif title != "target":
        groups.sort(key=lambda each: -each.n)
    return "\n".join(
        [
            f"| {title} | rows | answered | median | p90 | mean | largest | bias | covered | width |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(_line(each) for each in groups),
        ]
    )


def _line(each: Group) -> str:
    name = each.group.partition(":")[2] or "(empty)"
    figures = (
        cell(each.median_abs_error),
        cell(each.p90_abs_error),
        cell(each.mean_abs_error),
        cell(each.max_abs_error),
        cell(each.median_error, signed=True),
        "-" if each.interval_coverage is None else f"{each.interval_coverage:.0%}",
        "-" if each.median_width is None else f"{each.median_width:.2f}",
    )
    star = " (weighted)" if each.weighted else ""
    return f"| {_escaped(name)}{star} | {each.n:,} | {each.n_ok:,} | {' | '.join(figures)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def targets_table(form: str) -> str:
    """What the project holds itself to, on the shipped record."""
    note = f"Weighted: every study weighs as at most {MOST_ROWS_OF_A_STUDY} rows."
    return f"{group_table(form, 'target')}\n\n{note}" if form == "training" else group_table(form, "target")


def worst_table(form: str, most: int = 10) -> str:
    """The rows that are furthest off by a factor, with what their estimates are made of and what was taken."""
    heads = ("row", "chip", "published", "estimated (80 % interval)", "error", "made of", "taken")
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(_worst_line(each) for each in record(form).worst(most))])


def _worst_line(row: Judged) -> str:
    ends = f"{short(row.low or 0.0)}–{short(row.high or 0.0)}"
    taken = ", ".join(f"{name} {text}" for name, text in row.setup.items())
    cells = (
        _escaped(row.id),
        row.chip,
        f"{short(row.published or 0.0)} {UNITS.get(row.metric, row.metric)}",
        f"{short(row.estimated or 0.0)} ({ends})",
        cell(row.error, signed=True),
        terms_of(row),
        _escaped(taken),
    )
    return f"| {' | '.join(cells)} |"


def unsupported_table(form: str) -> str:
    """Why complete rows could not be done, with how many; a sentence where all could."""
    reasons = record(form).reasons()
    if not reasons:
        return "Every complete row of the shipped record is answered."
    return "\n".join(["| rows | why |", "|---|---|", *(f"| {n:,} | {_escaped(why)} |" for why, n in reasons)])


RESULTS: Final = DOCS.parent / "bench" / "results"
LEFT_OUT: Final = {
    "in_sample": "in the fit",
    "configuration": "a fifth of the configurations out",
    "study": "study out",
    "chip": "chip out",
    "family": "family and its operation curves out",
    "chip_out": "chip out",
    "model_out": "model out",
    "source_out": "campaign out",
    "family_out": "family out",
}
GROUPS: Final = {
    "rest": "all studies but vTrain",
    "rest, dense": "dense models of these",
    "mixtures": "mixtures of experts",
    "Korthikanti": "Korthikanti et al. 2022, table 5",
    "tpot_agg": "TPOT, one pool",
    "tpot_agg_mtp": "TPOT, one pool, multi-token prediction",
    "tpot_pools": "TPOT, pools apart",
    "ttft_agg": "TTFT, one pool",
    "ttft_pools": "TTFT, pools apart",
    "ttft_static": "TTFT, static batch",
    "offline": "offline throughput",
    "offline_early_rocm": "offline throughput, early ROCm",
}


@cache
def folds(form: str) -> Any:
    """What the fit script wrote of a form: errors of rows left out, parameters, interval widths."""
    return json.loads((RESULTS / f"{form}_folds.json").read_text(encoding="utf-8"))


def folds_table(form: str, *, short: bool = False) -> str:
    """Errors in the fit and left out of it, for the groups that have targets.

    short  median and p90 alone, the first groups and splits
    """
    found = folds(form)["splits" if form == "training" else "folds"]
    splits = [split for split in LEFT_OUT if split in found]
    names = [name for name in found["in_sample"] if name != "by_study"]
    if short:
        names = [
            name for name in names if name not in ("rest, dense", "tpot_agg_mtp", "ttft_static", "offline_early_rocm")
        ]
        splits = [split for split in splits if not split.startswith("family")]
    lines = [
        f"| {'median / p90' if short else 'median / p90 (mean)'} | rows | {' | '.join(LEFT_OUT[s] for s in splits)} |",
        f"|---|---|{'---|' * len(splits)}",
    ]
    for name in names:
        cells = []
        for split in splits:
            each = found[split][name]
            more = "" if short else f" ({each['mean']:.1%})"
            cells.append(f"{each['median']:.1%} / {each['p90']:.1%}{more}")
        shown = GROUPS.get(name, name)
        lines.append(f"| {shown} | {found['in_sample'][name]['n']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def studies_table() -> str:
    """Training: errors by study, chip and kind, in the fit and with the study left out."""
    found = folds("training")["splits"]
    lines = [
        "| study | chip | model | rows | in the fit: median / p90, bias | study out: median / p90, bias |",
        "|---|---|---|---|---|---|",
    ]
    for inside, outside in zip(found["in_sample"]["by_study"], found["study"]["by_study"], strict=True):
        both = (f"{each['median']:.1%} / {each['p90']:.1%}, {each['bias']:+.1%}" for each in (inside, outside))
        study = _escaped(inside["study"].split(" (")[0][:40])
        lines.append(f"| {study} | {inside['chip']} | {inside['kind']} | {inside['n']} | {' | '.join(both)} |")
    return "\n".join(lines)


def parameters_table() -> str:
    """Training: every fitted parameter, how sure it is, and what happens without it."""
    found = folds("training")
    inside = found["splits"]["in_sample"]
    start = (inside["rest"]["mean"], inside["mixtures"]["mean"], inside["vTrain, single node"]["mean"])
    lines = [
        "| parameter | value | s.e. | before the fit (spread) | without it: other studies, mixtures, vTrain |",
        "|---|---|---|---|---|",
        f"| (all of them) |  |  |  | {', '.join(f'{each:.1%}' for each in start)} |",
    ]
    for each in found["parameters"]:
        removed = each["removed"]
        without = (removed["rest_mean"], removed["mixtures_mean"], removed["vtrain_mean"])
        error = f"{each['standard_error']:.2f} {'of its log-odds' if each['scale'] == 'log-odds' else 'of its log'}"
        shown = ", ".join(f"{one:.1%}" for one in without)
        before = f"{each['prior']:.3g} ({each['prior_spread']:.2f})"
        lines.append(f"| {each['name']} | {each['value']:.3g} | {error} | {before} | {shown} |")
    return "\n".join(lines)


def serving_parameters_table() -> str:
    """Serving: every fitted parameter, how sure it is, and how much more the median errs without it."""
    found = folds("serving")["parameters"]
    groups = list(found[0]["error_when_removed"])
    lines = [
        f"| parameter | value | s.e. of its log | before the fit | {' | '.join(GROUPS[g] for g in groups)} |",
        f"|---|---|---|---|{'---|' * len(groups)}",
    ]
    for each in found:
        more = " | ".join(f"{100.0 * each['error_when_removed'][group]:+.1f}" for group in groups)
        lines.append(
            f"| {_escaped(each['name'])} | {each['value']:.3g} | {each['standard_error']:.2g} | {each['prior']:.3g} "
            f"| {more} |"
        )
    return "\n".join(lines)


def serving_chips_table() -> str:
    """Serving: errors in the fit by chip and metric."""
    lines = ["| chip | metric | rows | median / p90 | bias |", "|---|---|---|---|---|"]
    for chip, metrics in folds("serving")["by_chip"].items():
        for metric, each in metrics.items():
            lines.append(
                f"| {chip} | {GROUPS.get(metric, metric)} | {each['n']} "
                f"| {each['median']:.1%} / {each['p90']:.1%} | {each['bias']:+.1%} |"
            )
    return "\n".join(lines)


def intervals_table() -> str:
    """Training: what the 80 % interval covers of runs that were left out, by evidence."""
    found = folds("training")["intervals"]
    lines = [
        "| evidence | half width of ln(time) | median high / low | left out | covers, weighted | covers, by row |",
        "|---|---|---|---|---|---|",
    ]
    for evidence in ("measured_chip", "measured_family", "datasheet_only"):
        tier = found[evidence]
        for split, share in tier["covers"].items():
            lines.append(
                f"| {evidence.replace('_', ' ')} | {found['half_widths'][evidence]:.2f} | {tier['median_width']:.2f} "
                f"| {split} | {share:.0%} | {tier['covers_unweighted'][split]:.0%} |"
            )
    return "\n".join(lines)


def fit_line(form: str) -> str:
    """How many parameters stand against how many rows."""
    found = folds(form)
    return f"{len(found['parameters'])} parameters against {found['n_rows']:,} complete rows, {found['date']}."


def write_plots() -> None:
    """Draw estimated against published, one picture per form."""
    from clustercast.report import save_plot

    for form in FORMS:
        save_plot(record(form), str(DOCS / f"accuracy_{form}.svg"))


if __name__ == "__main__":
    write_plots()
