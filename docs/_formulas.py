"""Formulas and their sources, from the docstrings of `clustercast.physics` and `references.bib`."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from clustercast import physics
from clustercast.physics.formula import FORMULAS

HERE: Final = Path(__file__).parent
ENTRY: Final = re.compile(r"@\w+\{(?P<key>[^,\s]+),\n(?P<fields>.*?)\n\}", re.DOTALL)
FIELD: Final = re.compile(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", re.MULTILINE)
KEY: Final = re.compile(r"\[([a-z]+[0-9]{4}[a-z0-9]*)\]")
ARGUMENT: Final = re.compile(r"^(\w+) {2,}(\S.*)$")
LONGEST: Final = re.compile(r"^([a-z]\w*_\w+) (\S.*)$")  # the longest name of a list has one space after it
LABEL: Final = re.compile(r"^(Source|Holds for): +(.*)$")
SIGNS: Final = {
    r"{\'e}": "é", r"{\"a}": "ä", r"{\"o}": "ö", r"{\"U}": "Ü", r"\&": "&", "$": "", r"\lambda": "λ", r"\simeq": "≈",
    r"\alpha": "α", r"\rho": "ρ", r"\beta": "β",
}  # fmt: skip
MODULES: Final = (  # those that come later follow them
    "roofline", "collectives", "layer", "parameters", "training", "job", "serving", "queueing", "loop", "pools", "die",
)  # fmt: skip


class Work(NamedTuple):
    """One entry of `references.bib`."""

    key: str
    authors: str
    year: str
    title: str
    where: str
    link: str


class Said(NamedTuple):
    """A formula's docstring, in its parts."""

    name: str
    module: str
    first: str
    body: tuple[str, ...]
    source: str


def plain(text: str) -> str:
    """BibTeX to plain text.

    >>> plain(r"{GQA} by Andr{\\'e}")
    'GQA by André'
    """
    for written, letter in SIGNS.items():
        text = text.replace(written, letter)
    if "\\" in text:
        raise LookupError(f"docs/_formulas.py does not know a sign of {text!r}")
    return text.replace("{", "").replace("}", "").replace("--", "–")


def authors(text: str) -> str:
    """Who, as it is cited.

    >>> authors("Thakur, Rajeev and Rabenseifner, Rolf and Gropp, William"), authors("Little, John")
    ('Thakur et al.', 'Little')
    """
    names = [each.split(",")[0].strip() for each in text.split(" and ")]
    if len(names) > 2 or "others" in names:
        return f"{names[0]} et al."
    return " and ".join(names)


@cache
def works() -> dict[str, Work]:
    """Every entry of `references.bib` by its keys."""
    text = (HERE / "references.bib").read_text(encoding="utf-8")
    found: dict[str, Work] = {}
    for entry in ENTRY.finditer(text):
        field = dict(FIELD.findall(entry["fields"]))
        link = field.get("url", "")
        if "doi" in field:
            link = f"https://doi.org/{field['doi']}"
        elif "eprint" in field:
            link = f"https://arxiv.org/abs/{field['eprint']}"
        where = field.get("journal") or field.get("booktitle") or field.get("howpublished") or ""
        work = Work(
            entry["key"], authors(plain(field["author"])), field["year"], plain(field["title"]), plain(where), link
        )
        others = (each.strip() for each in field.get("ids", "").split(","))
        found |= {key: work for key in (entry["key"], *others) if key}
    return found


def cite(text: str) -> str:
    """A text whose keys have become links to the list of sources."""

    def link(found: re.Match[str]) -> str:
        work = works()[found[1]]
        return f"[{work.authors} {work.year}](formulas.md#{work.key})"

    return KEY.sub(link, text)


@cache
def formulas() -> dict[str, list[Said]]:
    """Every formula by module, in the order of the source."""
    for module in pkgutil.iter_modules(physics.__path__):
        importlib.import_module(f"clustercast.physics.{module.name}")
    found: dict[str, list[Said]] = {name: [] for name in MODULES}
    for each in FORMULAS:
        found.setdefault(each.__module__.rpartition(".")[2], []).append(said(each))
    return found


def said(function: Callable[..., object]) -> Said:
    """A docstring taken apart; what comes after the source (examples) is left out."""
    lines = (inspect.getdoc(function) or "").split("\n")
    body, source = [], ""
    at_source = False
    for line in lines[1:]:
        label = LABEL.match(line)
        if line.startswith(">>>"):
            break
        if label and label[1] == "Source":
            source, at_source = label[2], True
        elif at_source and line.startswith("  "):
            source += f" {line.strip()}"
        elif at_source and line:
            break
        elif not at_source:
            body.append(line)
    module = function.__module__.rpartition(".")[2]
    return Said(function.__name__, module, lines[0], tuple(body), source.rstrip("."))


def markdown(body: tuple[str, ...]) -> list[str]:
    """Equations as code, arguments as a list, the rest as it is."""
    parts: list[str] = []
    kind = ""
    for line in "\n".join(body).strip("\n").split("\n"):
        label, argument = (
            LABEL.match(line),
            ARGUMENT.match(line) or (kind == "argument" and LONGEST.match(line)) or None,
        )
        if line.startswith("    ") and kind not in ("argument", "label"):
            now, shown = "equation", line[4:]
        elif line.startswith("  "):
            now, shown = kind, f" {line.strip()}"
        elif label:
            now, shown = "label", f"- {label[1].lower()}: {cite(label[2])}"
        elif argument:
            now, shown = "argument", f"- `{argument[1]}`: {cite(argument[2])}"
        else:
            now, shown = ("prose" if line else kind if kind == "equation" else ""), cite(line)
        if kind == "equation" and now != "equation":
            while parts[-1] == "":
                parts.pop()
            parts += ["```", ""]
        if now == "equation" and kind != "equation":
            parts += ["", "```text"]
        if now in ("argument", "label") and kind not in ("argument", "label"):
            parts.append("")
        if shown.startswith(" ") and now in ("argument", "label"):
            parts[-1] += shown
        else:
            parts.append(shown)
        kind = now
    return [*parts, "```"] if kind == "equation" else parts


def entry(one: Said, level: int) -> str:
    """One formula under a heading."""
    lines = [
        f"{'#' * level} `{one.name}`",
        "",
        one.first,
        "",
        *markdown(one.body),
        "",
        f"*Source: {cite(one.source)}.*",
        "",
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def show(*names: str) -> str:
    """Some formulas, with where they lie, for a page that explains."""
    by_name = {f"{one.module}.{one.name}": one for group in formulas().values() for one in group}
    parts = []
    for name in names:
        one = by_name[name]
        lines = [f"**{one.first.rstrip('.')}.** {place(one.module, one.name)}", "", *markdown(one.body)]
        parts.append("\n".join([*lines, "", f"*Source: {cite(one.source)}.*", ""]))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


def place(module: str, name: str = "") -> str:
    shown = f"{name} in {module}.py" if name else f"physics/{module}.py"
    return f"[`{shown}`](../src/clustercast/physics/{module}.py)"


def module_doc(module: str) -> str:
    found = inspect.getdoc(importlib.import_module(f"clustercast.physics.{module}")) or ""
    return found.split("\n\n")[0].replace("\n", " ")


def contents() -> str:
    """The modules, what they hold, how many formulas."""
    lines = ["| module | formulas | |", "|---|---|---|"]
    lines += [
        f"| [{module}](#{module}) | {len(group)} | {module_doc(module)} |" for module, group in formulas().items()
    ]
    return "\n".join([*lines, "", f"{sum(map(len, formulas().values()))} formulas, {len(cited())} sources."])


def every() -> str:
    """All formulas by module."""
    parts = []
    for module, group in formulas().items():
        parts += [f"## {module}", "", f"{module_doc(module)} {place(module)}", ""]
        parts += [entry(one, 3) for one in group]
    return "\n".join(parts)


def cited() -> list[Work]:
    """The works that formulas name, by key."""
    keys: set[str] = set()
    for group in formulas().values():
        for one in group:
            keys |= {works()[key].key for key in KEY.findall("\n".join((*one.body, one.source)))}
    return [works()[key] for key in sorted(keys)]


def sources() -> str:
    """What is cited, in full."""
    lines = []
    for work in cited():
        title = f"[{work.title}]({work.link})" if work.link else f"*{work.title}*"
        where = f", {work.where}" if work.where else ""
        lines.append(f'- <a id="{work.key}"></a>{work.authors} {work.year}: {title}{where}')
    return "\n".join(lines)
