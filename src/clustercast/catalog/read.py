"""One YAML file to checked plain data, with every failure said as file, line, field, what was expected.

A file is parsed and checked once. The checked data stays in the user's cache folder under a key made of the file's
bytes and of the code that checked it, so that neither an edit of the file nor of the code is ever missed.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from clustercast.errors import WrongInput

if TYPE_CHECKING:
    from ruamel.yaml.nodes import Node

MAX_BYTES: Final = 2**20
MAX_DEPTH: Final = 32
MAX_NODES: Final = 8000  # keys and values; a hundred times what a file needs, half a second to read
MAX_WORDS: Final = 100_000

# The code that decides what a file's checked data is.
_CHECKING_CODE: Final = ("units.py", "catalog/read.py", "catalog/schema.py")


@cache
def data_root() -> Path:
    """The folder that holds `hardware_profiles` and `workloads`: the checkout's root, or the package's own copy."""
    here = Path(__file__).resolve()
    checkout = here.parents[3]
    if (checkout / "hardware_profiles").is_dir() and (checkout / "workloads").is_dir():
        return checkout
    return here.parents[1] / "_data"


def shown(path: Path) -> str:
    """The path as messages give it: relative to the catalogue where it lies in there."""
    try:
        text = path.resolve().relative_to(data_root()).as_posix()
    except (ValueError, OSError, RuntimeError):
        text = str(path)
    return text if text.isprintable() else repr(text)


def wrong(path: Path, field: str, message: str, *, line: int | None = None, hint: str | None = None) -> WrongInput:
    """The error for one field of one file.

    >>> print(wrong(Path("x.yaml"), "architecture.heads", "0 is not positive", line=12))
    x.yaml:12: architecture.heads: 0 is not positive
    """
    where = shown(path) if line is None else f"{shown(path)}:{line}"
    return WrongInput(": ".join(part for part in (where, field, message) if part), hint=hint)


def load(path: Path, kind: str) -> dict[str, Any]:
    """The checked data of a YAML file.

    kind  chip, fabric or model: what `catalog.schema` checks it as; or "raw": any mapping, unchecked
    """
    content = read_bytes(path)
    key = _key(content, kind)
    cached = _cached(path, kind, key)
    if cached is not None:
        return cached
    data = parse(content, path, limited=Path(__file__).parent not in path.parents)
    if kind != "raw":
        from clustercast.catalog import schema

        try:
            data = schema.validate(kind, data)
        except schema.UnfitError as unfit:
            line = line_of(content, unfit.place)
            raise wrong(path, _dotted(unfit.place), unfit.message, line=line, hint=unfit.hint) from None
    _keep(path, kind, key, data)
    return data


def read_bytes(path: Path) -> bytes:
    """The bytes of a plain file that is not too large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise wrong(path, "", "is not a plain file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise wrong(path, "", "there is no such file") from None
    except (OSError, ValueError) as error:
        raise wrong(path, "", f"cannot be read: {getattr(error, 'strerror', None) or error}".lower()) from None
    if len(content) > MAX_BYTES:
        raise wrong(path, "", f"is larger than 1 MiB ({MAX_BYTES} bytes), expected a short file")
    return content


def text_of(content: bytes, path: Path) -> str:
    """The file's text: UTF-8, with or without a byte-order mark, any line ends, no control characters."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise wrong(path, "", "is not UTF-8 text", line=line) from None
    text = text.replace("\r\n", "\n")
    for line, row in enumerate(text.split("\n"), start=1):
        if not row.isprintable() and any(character < " " and character != "\t" for character in row):
            raise wrong(path, "", "holds a control character, expected plain text", line=line)
    return text


def parse(content: bytes, path: Path, *, limited: bool = True) -> dict[str, Any]:
    """The mapping that a YAML file holds: text keys, no anchors, no tags, not too deep, no key twice.

    limited  also refuse what would take long to read
    """
    text = text_of(content, path)
    if limited and text.count(" ") + text.count("\n") > MAX_WORDS:
        raise wrong(path, "", f"holds more than {MAX_WORDS:,} words, expected a short file")
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        data = _yaml(MAX_NODES if limited else None).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise wrong(path, "", _problem(error.problem or error.context), line=line) from None
    except (YAMLError, ValueError, ArithmeticError, RecursionError) as error:
        raise wrong(path, "", _problem(str(error))) from None
    if not isinstance(data, dict):
        raise wrong(path, "", "is not a mapping, expected `field: value` lines", line=1)
    for key in _odd_keys(data):
        raise wrong(path, "", f"the key {key!r} is not text, expected quotes around it")
    return data


def _odd_keys(data: Any) -> Iterator[Any]:
    """The keys somewhere in the data that are not text; an empty one is None."""
    if isinstance(data, dict):
        for key, value in data.items():
            if not isinstance(key, str):
                yield key
            yield from _odd_keys(value)
    if isinstance(data, list):
        for each in data:
            yield from _odd_keys(each)


def line_of(content: bytes, place: Sequence[str | int]) -> int | None:
    """The line of a field, or of the nearest field above it that is there.

    >>> line_of(b"a:\\n  b: 1\\n  c: 2\\n", ("a", "c")), line_of(b"a:\\n  b: 1\\n", ("a", "z"))
    (3, 1)
    """
    from ruamel.yaml.error import YAMLError

    try:
        node: Node | None = _yaml(None).compose(content.decode("utf-8-sig"))
    except (YAMLError, ValueError, RecursionError):
        return None
    line = None
    for step in place:
        found = _child(node, step)
        if found is None:
            break
        at, node = found
        line = at + 1
    return line


def _child(node: Any, step: str | int) -> "tuple[int, Node] | None":
    """The line and the node under a key or an index."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if isinstance(node, MappingNode):
        for key, value in node.value:
            if str(key.value) == str(step):
                return key.start_mark.line, value
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _yaml(most_nodes: int | None) -> Any:
    """A safe YAML 1.2 reader that also refuses anchors, aliases, tags, deep nesting and too many nodes."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer, ComposerError
    from ruamel.yaml.events import AliasEvent

    class PlainComposer(Composer):
        depth = 0
        n_nodes = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.parser.peek_event()
            problem = None
            if isinstance(event, AliasEvent) or event.anchor is not None:
                problem = "anchors and aliases are not allowed"
            elif event.tag is not None:
                problem = "tags are not allowed"
            elif self.depth >= MAX_DEPTH:
                problem = f"is nested deeper than {MAX_DEPTH} levels"
            self.n_nodes += 1
            if most_nodes is not None and self.n_nodes > most_nodes:
                problem = f"holds more than {most_nodes:,} keys and values, expected a short file"
            if problem is not None:
                raise ComposerError(None, None, problem, event.start_mark)
            self.depth += 1
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = PlainComposer
    return yaml


def _problem(problem: str | None) -> str:
    """What the YAML reader found wrong, in one line."""
    text = " ".join((problem or "is not YAML").split()).split(" To suppress ")[0]
    if text.startswith("found duplicate key"):
        return text.removeprefix("found ").split(" with value")[0].replace('"', "'")
    if "another document" in text:
        return "holds more than one document, expected one"
    if "integer string conversion" in text:
        return "holds a number of too many digits"
    return text[:1].lower() + text[1:200]


def _dotted(place: Sequence[str | int]) -> str:
    """A place as people write it; a key that only a slip of the pen can have made is quoted."""
    return ".".join(step if step.isprintable() and len(step) <= 64 else repr(step[:64]) for step in map(str, place))


@cache
def _code_hash() -> bytes:
    """A hash of the code that checks files."""
    package = Path(__file__).parents[1]
    return hashlib.sha256(b"".join((package / name).read_bytes() for name in _CHECKING_CODE)).digest()


def _key(content: bytes, kind: str) -> str:
    return hashlib.sha256(b"\0".join((_code_hash(), kind.encode(), content))).hexdigest()


@cache
def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("clustercast", appauthor=False) / "catalogue"


def _cache_file(path: Path, kind: str) -> Path:
    """Where the checked data of a file is kept: one place per file, so an edit replaces it."""
    where = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return _cache_folder() / f"{kind}-{where}.json"


def _seal(key: str, payload: bytes) -> bytes:
    return hashlib.sha256(key.encode() + payload).hexdigest().encode()


def _cached(path: Path, kind: str, key: str) -> dict[str, Any] | None:
    """The data kept under this key, if it is there and whole."""
    try:
        seal, _, payload = _cache_file(path, kind).read_bytes().partition(b"\n")
        if seal != _seal(key, payload):
            return None
        data = json.loads(payload)
    except (OSError, ValueError, RuntimeError):
        return None
    return data if isinstance(data, dict) else None


def _keep(path: Path, kind: str, key: str, data: dict[str, Any]) -> None:
    """Write the data beside its place and move it there; a folder that cannot be written is no matter."""
    try:
        payload = json.dumps(data, allow_nan=False).encode()
    except (TypeError, ValueError):
        return
    try:
        file = _cache_file(path, kind)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        fresh.write_bytes(_seal(key, payload) + b"\n" + payload)
        fresh.replace(file)
    except (OSError, RuntimeError):
        return
