"""Tables of docs/study.md that are made from the code: called between cog marks."""

from pathlib import Path
from typing import Final

from clustercast.estimates.question import Asked
from clustercast.plans.text import NAMED
from clustercast.studies.sweep import conditions, file, groups, names, outputs, values
from clustercast.studies.sweep.space import SERVING, TRAINING

HALVES: Final = (TRAINING, SERVING)
FOLDER: Final = Path(__file__).parent / "studies"
UNIT: Final = {
    "flop/s": "TFLOP/s", "bytes/s": "TB/s, Gbit/s", "bytes": "GiB", "seconds": "us, s, h, d", "watts": "W",
    "usd": "USD", "usd/h": "USD/h", "fraction": "share or %", "count": "number",
}  # fmt: skip


def example(name: str) -> str:
    """One of docs/studies as it stands."""
    return f"```yaml\n{(FOLDER / name).read_text(encoding='utf-8').rstrip()}\n```"


def listed(found: "list[str] | tuple[str, ...]") -> str:
    return ", ".join(f"`{each}`" for each in found)


def axes_table() -> str:
    """Every name of an axis but the numbers, by kind and half."""
    lines = ["| values | training | serving |", "|---|---|---|"]
    for title, table in (("names", names.TEXTS), ("whole numbers", names.WHOLES), ("of the plan", names.PLANS)):
        lines.append(f"| {title} | {listed(table[TRAINING])} | {listed(table[SERVING])} |")
    return "\n".join(lines)


def words_table() -> str:
    """The words of the plan's dimensions that have some."""
    lines = ["| axis | words |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{name}` | {listed(words)} |" for name, words in NAMED.items())])


def numbers_table() -> str:
    """Every number of an H100 that trains and serves Llama 3.1 70B, with its unit."""
    owners: dict[tuple[str, str], list[str]] = {}
    for half in HALVES:
        for name, each in names.numbers_of([Asked("h100", "llama-3.1-70b")], half).items():
            owner, _, own = name.partition(".")
            found = owners.setdefault((owner, UNIT[each.dimension]), [])
            if own not in found:
                found.append(own)
    lines = ["| owner | unit | numbers |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{owner}.` | {unit} | {listed(own)} |" for (owner, unit), own in owners.items())])


def groups_table() -> str:
    """The catalogue's groups, with how many each has."""
    lines = ["| axis | groups |", "|---|---|"]
    for axis in ("chip", "model", "fabric"):
        found = groups.groups(axis, TRAINING)
        lines.append(f"| `{axis}` | {', '.join(f'`{name}` ({len(each)})' for name, each in found.items())} |")
    return "\n".join(lines)


def functions() -> str:
    """What a condition may call."""
    return listed(conditions.FUNCTIONS)


def outputs_table() -> str:
    """Outputs of both halves; those that a study takes where it names none are bold."""
    lines = ["| half | outputs |", "|---|---|"]
    for half in HALVES:
        usual = outputs.USUAL[half]
        shown = (f"**`{name}`**" if name in usual else f"`{name}`" for name in outputs.OUTPUTS[half])
        lines.append(f"| {half} | {', '.join(shown)} |")
    return "\n".join(lines)


def examples_table() -> str:
    """The studies of docs/studies and how many points they have."""
    lines = ["| file | what | points | of them meet the conditions |", "|---|---|---|---|"]
    for path in sorted(FOLDER.glob("*.yaml")):
        space = file.read_study(path)
        link = f"[{path.name}](studies/{path.name})"
        lines.append(f"| {link} | {space.title} | {space.n_points:,} | {space.count_passing().n:,} |")
    return "\n".join(lines)


def most_values() -> str:
    return f"{values.MOST_VALUES:,}"
