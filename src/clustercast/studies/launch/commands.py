"""The command that starts a server, out of a script, a command line or a YAML file of options.

An option file that a command names is read where the same script writes it, or where it lies beside the script; what
lies elsewhere is not opened.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from clustercast import catalog
from clustercast.catalog import read
from clustercast.errors import ClustercastError, WrongInput
from clustercast.studies.launch import arguments, checkpoints
from clustercast.studies.launch.arguments import Option, Options, Script, Word
from clustercast.studies.launch.launch import ServingLaunch

# A here-document with the file that it goes to, before or after its mark.
_HERE: Final = re.compile(
    r"""^[^\n#]*?(?:>\s*(?P<before>[^\s<>|&;]+)\s*)?<<-?\s*\\?(?P<quote>['"]?)(?P<end>[A-Za-z_]\w*)(?P=quote)"""
    r"""(?:\s*>\s*(?P<after>[^\s<>|&;]+))?[^\n]*$""",
    re.MULTILINE,
)
# A line that is meant to go on and, as a shell reads it, does not: published so again and again.
_BROKEN: Final = re.compile(r"\\[ \t]+(?:#[^\n]*)?(?=\n)")
_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
MOST_FILES: Final = 16  # that one script writes
MOST_DRAFTS: Final = 64
MOST_DIGITS: Final = 8
MOST_LINE: Final = 4096  # characters of a line that may begin a here-document
MOST_LENGTH: Final = 100_000_000  # tokens of a request
MOST_YAML_BYTES: Final = 2**15  # of options: more takes a YAML reader longer than anybody waits


@dataclass(frozen=True, slots=True)
class Command:
    """The words after a server's name, and what its script says beside them."""

    words: tuple[Word, ...]
    line: int
    script: Script | None  # None: the file is YAML
    n_others: int  # further commands that start the same program
    files: Mapping[str, tuple[str, int]]  # what the script itself writes: name to text and line


def commands(text: str, path: Path, programs: Sequence[tuple[str, ...]]) -> list[Command]:
    """The commands of a script that start one of these programs, each in order; none if no command does.

    programs  words that follow one another, the last part of the first one's path counts: ("vllm", "serve")

    Raises WrongInput for a script that cannot be read.
    """
    joined = _BROKEN.sub("\\\\", text)
    script = arguments.read_script(joined, path)
    if joined != text:
        said = f"{read.shown(path)}: blanks or a comment follow a backslash: its lines are read as one command"
        script = replace(script, notes=(*script.notes, said))
    files = written_files(text, script)
    found = []
    for words in script.commands:
        place = _place(words, programs)
        if place is not None:
            line = words[place].line if place < len(words) else words[-1].line
            found.append(Command(words[place:], line, script, 0, files))
    return [
        Command(each.words, each.line, each.script, len(found) - 1 - place, files) for place, each in enumerate(found)
    ]


def _place(words: Sequence[Word], programs: Sequence[tuple[str, ...]]) -> int | None:
    """The place after the program's words, or None."""
    for at in range(len(words)):
        for program in programs:
            texts = [word.text for word in words[at : at + len(program)]]
            if len(texts) == len(program) and (_last(texts[0]), *texts[1:]) == program:
                return at + len(program)
    return None


def _last(text: str) -> str:
    """The last part of a program's path, and an image without its tag."""
    if text.startswith("-"):
        return text
    return PurePosixPath(text.partition(":")[0]).name or text


def written_files(text: str, script: Script) -> dict[str, tuple[str, int]]:
    """The files that a script writes as here-documents, by name, with the line where each begins."""
    found: dict[str, tuple[str, int]] = {}
    if "<<" not in text:
        return found
    lines = text.split("\n")
    at = 0
    while at < len(lines) and len(found) < MOST_FILES:
        line = lines[at]
        at += 1
        mark = _HERE.match(line) if "<<" in line and len(line) <= MOST_LINE else None
        if mark is None:
            continue
        end = next((place for place in range(at, len(lines)) if lines[place].strip() == mark["end"]), len(lines))
        name = mark["before"] or mark["after"]
        if name:
            found[_put_in(name.strip("\"'"), script)] = ("\n".join(lines[at:end]), at + 1)
        at = end + 1
    return found


def _put_in(name: str, script: Script) -> str:
    """A name with the variables that the script assigns put in."""

    def value(found: re.Match[str]) -> str:
        words = script.variables.get(found[1] or found[2])
        return words[0].text if words else found[0]

    return _VARIABLE.sub(value, name[:MOST_LINE])


def option_file(name: str, command: Command, option: Option, path: Path) -> tuple[dict[str, Any], str, int]:
    """The mapping in an option file, how messages call the file, and the line of the script where it begins.

    Raises WrongInput where it is neither written by the script nor beside it, or cannot be read.
    """
    if name in command.files:
        text, line = command.files[name]
        try:
            return mapping(text.encode(), path), read.shown(path), line
        except WrongInput as error:
            message = error.message.removeprefix(read.shown(path)).lstrip(":")
            raise read.wrong(path, f"the file that the script writes as {arguments.shown(name)}", message) from None
    if "\0" in name or "$" in name or "`" in name:
        raise read.wrong(
            path,
            arguments.clean(option.name),
            f"the file {arguments.shown(name)} cannot be told",
            line=option.line,
            hint="only what the file itself sets is put in: nothing is executed",
        )
    beside = path.parent / PurePosixPath(name).name
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not beside.is_file():
        raise read.wrong(
            path,
            arguments.clean(option.name),
            f"{arguments.shown(name)} is neither beside this file nor written by it",
            line=option.line,
            hint=f"put {arguments.clean(PurePosixPath(name).name)} beside it" if name else None,
        )
    return mapping(read.read_bytes(beside), beside), read.shown(beside), 1


def mapping(content: bytes, path: Path) -> dict[str, Any]:
    """The options in a YAML file. Raises WrongInput for anything else."""
    if len(content) > MOST_YAML_BYTES:
        raise read.wrong(path, "", f"is larger than {MOST_YAML_BYTES // 1024} KiB, expected a short file of options")
    return read.parse(content, path)


def as_words(data: Mapping[str, Any], line: int) -> list[Word]:
    """The options of a YAML file as words of a command line: true is the bare option, false its `--no-` form.

    >>> [word.text for word in as_words({"tp_size": 8, "enable-x": True, "y": False, "z": {"a": 1}}, 1)]
    ['--tp-size', '8', '--enable-x', '--no-y', '--z', '{"a": 1}']
    """
    words = []
    for key, value in data.items():
        name = key.replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
            continue
        words.append(f"--{name}")
        for each in value if isinstance(value, list) else [value]:
            words.append(json.dumps(each, default=str) if isinstance(each, dict | list) else str(each))
    return [Word(word, line) for word in words]


def with_option_file(command: Command, path: Path, *names: str) -> tuple[tuple[Word, ...], list[str]]:
    """A command's words with those of the option file that it names before them, and a note that says so."""
    given = Options(command.words, path)
    option = given.find(*names)
    if option is None:
        return command.words, []
    name = given.text(*names) or ""
    data, shown, _ = option_file(name, command, option, path)
    words = as_words(data, option.line)
    at = len(given.positional)
    return (*command.words[:at], *words, *command.words[at:]), [f"{shown}: {len(data)} options are read from it"]


def yaml_of(text: str, path: Path) -> dict[str, Any] | None:
    """The mapping that a YAML file of options is, or None where the text is none."""
    try:
        return mapping(text.encode(), path)
    except ClustercastError:
        return None


def others(command: Command, path: Path) -> list[str]:
    """A note where a script starts the same program again."""
    if not command.n_others:
        return []
    more = "another launch" if command.n_others == 1 else f"{command.n_others} other launches"
    return [f"{read.shown(path)}: {more} in this file {'is' if command.n_others == 1 else 'are'} not read"]


# -- what all servers have


def json_of(options: Options, *names: str) -> dict[str, Any] | None:
    """An option whose value is a JSON object, or the dotted options that stand for one. Raises WrongInput."""
    option = options.find(*names)
    found: dict[str, Any] | None = None
    if option is not None:
        text = options.text(*names) or ""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise options.wrong(option, f"expected a JSON object, got {arguments.shown(text)}")
    for name in names:
        start = name.lstrip("-").replace("_", "-") + "."
        for key, each in list(options.given.items()):
            if key.startswith(start) and each.values:
                options.asked.add(key)
                found = (found or {}) | {key.removeprefix(start).replace("-", "_"): each.values[0]}
    return found


def drafts(value: Any, options: Options, *names: str) -> float | None:
    """A number of guessed tokens out of JSON or YAML. Raises WrongInput."""
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or not 0 <= int(text[:4]) <= MOST_DRAFTS:
        option = options.find(*names)
        message = f"expected a number of guessed tokens from 0 to {MOST_DRAFTS}, got {arguments.shown(text)}"
        raise options.wrong(option or names[0], message)
    return float(text)


def share(options: Options, *names: str) -> float | None:
    """A share above 0 and up to 1. Raises WrongInput."""
    value = options.number(*names)
    if value is not None and not 0.0 < value <= 1.0:
        raise options.wrong(options.must(*names), f"expected a share above 0 and up to 1, got {value:g}")
    return value


def weights(
    name: str | None, model: str | None, path: Path, where: str
) -> tuple[str | None, str | None, bool | None, list[str]]:
    """The model that a launch serves, the precision of its weights, whether it is a mixture of experts, and notes.

    name   what the launch calls its weights
    model  what the user calls the model, which goes before
    """
    notes: list[str] = []
    found = checkpoints.Checkpoint("", None) if name is None else checkpoints.checkpoint(name, path)
    if name is not None and not found.model:
        notes.append(f"{where}: the catalogue does not know {arguments.shown(name)}: say with --model what it is")
    taken = model or found.model or None
    mixture = None if taken is None else is_mixture(taken)
    return found.model or None, found.precision, mixture, notes


def is_mixture(model: str) -> bool:
    """Whether a model has experts. Raises WrongInput for one that nobody knows."""
    return catalog.find_model(model).record().n_moe_layers > 0


def layout(
    tp: int, pp: int, attention_dp: int, ep: int | None, replicas: int, *, mixture: bool | None
) -> dict[str, int]:
    """A serving plan as `serve --plan` has it; experts are left out where it is open whether there are any.

    ep  ranks that experts are spread over; the rest of tp x attention_dp slices each

    >>> layout(8, 1, 4, 32, 1, mixture=True)
    {'tp': 8, 'pp': 1, 'attention_dp': 4, 'ep': 32, 'etp': 1, 'replicas': 1}
    """
    plan = {"tp": tp, "pp": pp, "attention_dp": attention_dp}
    if mixture:
        group = tp * attention_dp
        plan |= {"ep": ep or 1, "etp": group // (ep or 1)}
    elif mixture is False:
        plan |= {"ep": 1, "etp": 1}
    return plan | {"replicas": replicas}


def chips_of(plan: Mapping[str, int]) -> int:
    """Chips of all replicas of a plan."""
    return plan["tp"] * plan["pp"] * plan["attention_dp"] * plan.get("replicas", 1)


def quantised(
    options: Options,
    names: Sequence[str],
    known: Mapping[str, str],
    dtypes: Mapping[str, str],
    precision: str | None,
    notes: list[str],
) -> str | None:
    """The recipe that the options say, or else that of the weights; a note where only the weights know it.

    names  of the option that says the method; known: methods and recipes; dtypes: those of --dtype
    """
    method = (options.text(*names) or "").lower().replace("_", "-")
    dtype = dtypes.get(options.text("--dtype") or "")
    if method in ("", "none", "auto", "unquant"):
        return precision or dtype
    if method in known:
        return "fp8-block" if method == "fp8" and precision == "fp8-block" else known[method]
    if precision is None:
        where = options.where(*names)
        notes.append(f"{where}: what {arguments.shown(method)} weights are made of only they know: say --precision")
    return precision


def cache(options: Options, names: Sequence[str], known: Mapping[str, str]) -> str | None:
    """The format of the cache; None where it is that of the weights. Raises WrongInput for one that is not modelled."""
    text = options.text(*names)
    if text in (None, "auto"):
        return None
    if text not in known:
        said = f"{arguments.shown(text or '')} is not modelled, expected auto or one of {', '.join(known)}"
        raise options.wrong(options.must(*names), said)
    return known[text or ""]


def length(options: Options, *names: str) -> int | None:
    """Tokens that a request may have, written as 32768 or 32k; None for as many as fit. Raises WrongInput."""
    text = options.text(*names)
    if text is None or text in ("-1", "auto"):
        return None
    units = {"k": 1000, "K": 1024, "m": 10**6, "M": 2**20}
    if text[-1:] in units and text[:-1].isascii() and text[:-1].isdigit() and len(text) <= MOST_DIGITS:
        return int(text[:-1]) * units[text[-1]]
    return options.whole(*names, high=MOST_LENGTH)


def not_modelled(options: Options, known: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for every option that changes what a server does and that the model knows nothing of."""
    return tuple(
        f"{options.where(flag)}: {flag}: {what}: not modelled" for flag, what in known.items() if options.flag(flag)
    )


Launcher = Callable[[Options, Command, Path, str | None, list[str]], ServingLaunch]


def read_with(
    text: str,
    path: Path,
    programs: Sequence[tuple[str, ...]],
    file_options: Sequence[str],
    looks_like: Callable[[Mapping[str, Any]], bool],
    title: str,
    launch_of: Launcher,
    model: str | None,
) -> ServingLaunch:
    """A server's setup out of a script or a YAML file of its options. Raises WrongInput where the text is neither."""
    found = commands(text, path, programs)
    if not found:
        data = yaml_of(text, path)
        if data is None or not looks_like(data):
            raise read.wrong(path, "", f"starts no {title}, expected its command or a YAML file of its options")
        return launch_of(Options(as_words(data, 1), path), Command((), 1, None, 0, {}), path, model, [])
    command = found[0]
    words, notes = with_option_file(command, path, *file_options)
    notes += others(command, path)
    notes += command.script.notes if command.script else ()
    return launch_of(Options(words, path), command, path, model, notes)
