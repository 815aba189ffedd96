"""Command lines and shell scripts as words and options. Nothing is ever executed.

Quotes, line ends with a backslash, comments, here-documents, variables and arrays that the same script assigns are read
as a shell would; of an `if` or a `case` only the first branch. What a script does not assign, and the output of
commands, stays in the words as it is written ("$DATA_PATH", "$(hostname)").
"""

import ast
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.catalog import read
from clustercast.errors import WrongInput

MOST_STEPS: Final = 200_000  # of the scanner: a launch script has a few thousand
MOST_EXPANDED: Final = 2**20  # characters that variables may grow to, all together
MOST_NESTED: Final = 32
MOST_SHELLS: Final = 3  # that are handed a text one inside the other
MOST_SHOWN: Final = 64
MOST_NAMED: Final = 4  # options in a note
MOST_COMPARED: Final = 200  # options that are looked at for a slip of the pen
ALMOST_EQUAL: Final = 0.94  # of two names, as difflib counts: a letter more, less or other in a long one
LARGEST: Final = 10**15

_PLAIN: Final = re.compile(r"[^\s\\'\"$`;&|()<>]+")
_IN_QUOTES: Final = re.compile(r"[^\\\"$`\n]+")
_BLANK: Final = re.compile(r"[ \t\f\v]+")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_BRACED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*])(\[[@*]\])?(:?[-=])?")
_HERE: Final = re.compile(r"<<-?[ \t]*\\?(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")
_ARITHMETIC: Final = re.compile(r"[0-9+*/%() \t-]{1,200}")
_WHOLE: Final = re.compile(r"\+?[0-9]{1,16}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?")
_DECLARING: Final = {"export", "local", "declare", "readonly", "typeset", "env"}
_OPENING: Final = {"then", "do", "{", "}", "!", "time", "while", "until", "exec", "nohup"}


class Word(NamedTuple):
    """One word of a command, with the line that it is written on."""

    text: str
    line: int


class _Piece(NamedTuple):
    """Part of a word: quoted text is never split; a break ends the word."""

    text: str
    line: int
    quoted: bool
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The commands of a script in order, each as its words, and what its variables hold at the end."""

    commands: tuple[tuple[Word, ...], ...]
    variables: dict[str, tuple[Word, ...]]  # of a plain variable one word, of an array any number
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Branch:
    """An `if` or a `case` that is being read."""

    kind: str
    line: int
    skipping: bool = False
    said: bool = False


@dataclass(slots=True)
class _Reader:
    """A scanner over one text, which evaluates as it goes."""

    text: str
    path: Path
    line: int = 1
    at: int = 0
    steps: int = 0
    grown: int = 0
    depth: int = 0
    commands: list[tuple[Word, ...]] = field(default_factory=list)
    variables: dict[str, tuple[Word, ...]] = field(default_factory=dict)
    arrays: set[str] = field(default_factory=set)
    branches: list[_Branch] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    here: list[str] = field(default_factory=list)  # ends of here-documents that begin on the next line

    def wrong(self, message: str, line: int | None = None) -> WrongInput:
        return read.wrong(self.path, "", message, line=line or self.line)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise self.wrong("holds too many words, expected a launch script")

    def grow(self, size: int) -> None:
        self.grown += size
        if self.grown > MOST_EXPANDED:
            raise self.wrong("grows too large when its variables are put in")

    @property
    def skipping(self) -> bool:
        return any(branch.skipping for branch in self.branches)

    # -- commands

    def run(self) -> None:
        """Read the whole text."""
        while self.at < len(self.text):
            words = self.command()
            if words:
                self.keep(words)

    def command(self) -> list[Word]:
        """The words of the next simple command; keywords and assignments before it are dealt with."""
        words: list[Word] = []
        while self.at < len(self.text):
            self.step()
            here = self.text[self.at]
            if here == "\n":
                self.new_line()
                break
            if here in " \t\f\v\r":
                found = _BLANK.match(self.text, self.at)
                self.at = found.end() if found else self.at + 1
            elif here == "#":
                self.at = self._until_line_end()
            elif here in ";&|()":
                self._separator(here)
                break
            elif here in "<>":
                self._redirection()
            elif not words and self._assignment():
                continue
            else:
                words += self._next_words(words)
        return words

    def _next_words(self, before: list[Word]) -> list[Word]:
        start, line = self.at, self.line
        words = fields(self.pieces())
        raw = self.text[start : self.at]
        if not raw.strip("\\ \t") or (raw.isdigit() and self.text[self.at : self.at + 1] in ("<", ">")):
            return []  # a blank after a backslash at a line's end; the number of a stream
        if not before:
            if raw in ("if", "case"):
                self.branches.append(_Branch(raw, line))
                if len(self.branches) > MOST_NESTED:
                    raise self.wrong(f"is nested deeper than {MOST_NESTED} levels", line)
            if raw in ("elif", "else") and self.branches:
                self.branches[-1].skipping = True
                self.branches[-1].line = line
            if raw in ("fi", "esac") and self.branches:
                self.branches.pop()
            if raw in _OPENING | _DECLARING | {"if", "elif", "else", "fi", "esac"}:
                return []
        elif before[0].text in _DECLARING and _ASSIGNMENT.match(raw):
            return []
        return words

    def _separator(self, here: str) -> None:
        double = self.text.startswith(here * 2, self.at)
        self.at += 1 + double
        if here == ";" and double and self.branches and self.branches[-1].kind == "case":
            self.branches[-1].skipping = True
            self.branches[-1].line = self.line

    def _redirection(self) -> None:
        """Pass over `> file`, `2>&1`, `<<EOF` and the like."""
        here = _HERE.match(self.text, self.at)
        if here and not self.text.startswith("<<<", self.at):
            self.here.append(here[2])
            self.at = here.end()
            return
        while self.at < len(self.text) and self.text[self.at] in "<>&|":
            self.step()
            self.at += 1
        blank = _BLANK.match(self.text, self.at)
        if blank:
            self.at = blank.end()
        if self.at < len(self.text) and self.text[self.at] not in "\n;()":
            self.pieces()

    def _until_line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def new_line(self) -> None:
        """Pass a line's end, and the here-documents that wait for it."""
        self.at += 1
        self.line += 1
        for end in self.here:
            while self.at < len(self.text):
                self.step()
                stop = self._until_line_end()
                row = self.text[self.at : stop]
                self.at = min(stop + 1, len(self.text))
                self.line += 1
                if row.strip() == end:
                    break
        self.here = []

    def keep(self, words: list[Word]) -> None:
        """Keep a command, and what it hands to another shell as one text."""
        if self.skipping:
            self.say_skipped()
            return
        self.commands.append(tuple(words))
        if words[0].text == "eval" and len(words) > 1:
            self.inner(Word(" ".join(word.text for word in words[1:]), words[1].line))
            return
        for before, word in itertools.pairwise(words):
            if before.text in ("-c", "-lc", "-ic"):
                self.inner(word)

    def inner(self, word: Word) -> None:
        """Read a text that another shell is given."""
        if not word.text.strip() or self.depth >= MOST_SHELLS:
            return
        self.grow(len(word.text))
        within = _Reader(word.text, self.path, word.line, steps=self.steps, grown=self.grown, depth=self.depth + 1)
        within.variables, within.arrays = dict(self.variables), set(self.arrays)
        within.run()
        self.commands += within.commands
        self.steps, self.grown = within.steps, within.grown
        self.notes += within.notes

    def say_skipped(self) -> None:
        branch = next(branch for branch in self.branches if branch.skipping)
        if not branch.said:
            branch.said = True
            kind = "an if" if branch.kind == "if" else "a case"
            self.notes.append(f"{read.shown(self.path)}:{branch.line}: only the first branch of {kind} is read")

    # -- assignments

    def _assignment(self) -> bool:
        """Read `NAME=value` or `NAME=(...)` at this place, if one is here."""
        found = _ASSIGNMENT.match(self.text, self.at)
        if found is None:
            return False
        name, adds = found[1], bool(found[2])
        self.at = found.end()
        if self.text.startswith("(", self.at):
            value: tuple[Word, ...] = tuple(self._array())
            is_array = True
        else:
            line, pieces = self.line, self.pieces()
            self.grow(sum(len(piece.text) for piece in pieces))
            value = tuple(Word(piece.text, piece.line) for piece in pieces if not piece.ends) or (Word("", line),)
            is_array = False
        if self.skipping:
            self.say_skipped()
            return True
        if adds and name in self.variables:
            value = self.variables[name] + value
            self.grow(sum(len(word.text) for word in value))
            is_array = is_array or name in self.arrays
        self.variables[name] = value
        (self.arrays.add if is_array else self.arrays.discard)(name)
        return True

    def _array(self) -> list[Word]:
        """The words between the parentheses of an array."""
        line = self.line
        self.at += 1
        words: list[Word] = []
        while self.at < len(self.text):
            self.step()
            here = self.text[self.at]
            if here == ")":
                self.at += 1
                self.grow(sum(len(word.text) for word in words))
                return words
            if here == "\n":
                self.new_line()
            elif here.isspace():
                self.at += 1
            elif here == "#":
                self.at = self._until_line_end()
            elif here in ";&|<>(":
                raise self.wrong(f"{here!r} inside the parentheses that open on line {line}, expected quotes around it")
            else:
                words += fields(self.pieces())
        raise self.wrong("the parenthesis that opens here is never closed", line)

    # -- words

    def pieces(self) -> list[_Piece]:
        """The parts of one word, up to a blank or an operator."""
        found: list[_Piece] = []
        while self.at < len(self.text):
            self.step()
            here = self.text[self.at]
            if here in " \t\n\f\v\r;&|()<>":
                break
            if here == "'":
                found.append(self._single())
            elif here == '"':
                found += self._double()
            elif here == "\\":
                found += self._backslash()
            elif here in "$`":
                found += self._expansion(quoted=False)
            else:
                plain = _PLAIN.match(self.text, self.at)
                text = plain[0] if plain else here
                self.at += len(text)
                found.append(_Piece(text, self.line, quoted=True))
        return found

    def _single(self) -> _Piece:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise self.wrong("the quote ' that opens here is never closed")
        text, line = self.text[self.at + 1 : end], self.line
        self.line += text.count("\n")
        self.at = end + 1
        return _Piece(text, line, quoted=True)

    def _double(self) -> list[_Piece]:
        line = self.line
        self.at += 1
        found = [_Piece("", line, quoted=True)]
        while self.at < len(self.text):
            self.step()
            here = self.text[self.at]
            if here == '"':
                self.at += 1
                # "${none[@]}" of an empty array is no word at all
                return [] if len(found) == 2 and found[1].ends else found
            if here == "\\":
                found += self._backslash(quoted=True)
            elif here in "$`":
                found += self._expansion(quoted=True)
            elif here == "\n":
                found.append(_Piece("\n", self.line, quoted=True))
                self.at += 1
                self.line += 1
            else:
                plain = _IN_QUOTES.match(self.text, self.at)
                text = plain[0] if plain else here
                self.at += len(text)
                found.append(_Piece(text, self.line, quoted=True))
        raise self.wrong('the quote " that opens here is never closed', line)

    def _backslash(self, *, quoted: bool = False) -> list[_Piece]:
        following = self.text[self.at + 1 : self.at + 2]
        self.at += 1 + len(following)
        if following == "\n":
            self.line += 1
            return [] if quoted else [_Piece(" ", self.line, quoted=False)] if self._begins() else []
        kept = "\\" if quoted and following not in '\\"$`' else ""
        return [_Piece(kept + following, self.line, quoted=True)]

    def _begins(self) -> bool:
        """Whether the continued line begins with a blank, which ends the word."""
        return self.text[self.at : self.at + 1] in " \t"

    # -- expansions

    def _expansion(self, *, quoted: bool) -> list[_Piece]:
        """What `$...` or backquotes stand for."""
        line, start = self.line, self.at
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            if end < 0:
                raise self.wrong("the quote ` that opens here is never closed")
            return [self._left_as_it_is(start, end + 1)]
        if self.text.startswith("$((", self.at):
            return [self._sum(start)]
        if self.text.startswith("$(", self.at):
            return [self._left_as_it_is(start, self._closing(self.at + 1, "(", ")"))]
        if self.text.startswith("${", self.at):
            return self._braced(start, quoted=quoted)
        found = _NAME.match(self.text, self.at + 1)
        if found is None:
            self.at += 1
            return [_Piece("$", line, quoted=True)]
        self.at = found.end()
        return self._value(found[0], None, f"${found[0]}", quoted=quoted)

    def _left_as_it_is(self, start: int, end: int) -> _Piece:
        line = self.line
        self.line += self.text.count("\n", start, end)
        self.at = end
        return _Piece(" ".join(self.text[start:end].split()), line, quoted=True)

    def _closing(self, at: int, opens: str, closes: str) -> int:
        """The place after the bracket that closes the one at `at`; brackets inside count, quotes do not."""
        depth = 0
        for found in re.compile(f"[{re.escape(opens + closes)}]").finditer(self.text, at):
            self.step()
            depth += 1 if found[0] == opens else -1
            if depth > MOST_NESTED:
                raise self.wrong(f"is nested deeper than {MOST_NESTED} levels")
            if depth == 0:
                return found.end()
        raise self.wrong(f"the {opens} that opens here is never closed")

    def _braced(self, start: int, *, quoted: bool) -> list[_Piece]:
        line, end = self.line, self._closing(self.at + 1, "{", "}")
        body = self.text[start + 2 : end - 1]
        raw = self._left_as_it_is(start, end)
        found = _BRACED.match(body)
        if found is None or (not found[3] and found.end() != len(body)):
            return [raw]
        default = self._default(body[found.end() :], line) if found[3] else None
        return self._value(found[1], default, raw.text, quoted=quoted, whole=found[2] or "")

    def _default(self, text: str, line: int) -> list[_Piece]:
        """The value after :- as a word of its own."""
        if self.depth >= MOST_NESTED:
            raise self.wrong(f"is nested deeper than {MOST_NESTED} levels")
        within = _Reader(text, self.path, line, steps=self.steps, grown=self.grown, depth=self.depth + 1)
        within.variables, within.arrays = self.variables, self.arrays
        found: list[_Piece] = []
        while within.at < len(text):
            before = within.at
            found += within.pieces()
            if within.at == before:
                found.append(_Piece(text[before], within.line, quoted=False))
                within.line += text[before] == "\n"
                within.at += 1
            within.step()
        self.steps, self.grown = within.steps, within.grown
        return found

    def _value(
        self, name: str, default: list[_Piece] | None, raw: str, *, quoted: bool, whole: str = ""
    ) -> list[_Piece]:
        """The pieces that a variable stands for; itself where the script does not set it."""
        value = self.variables.get(name)
        empty = value is None or not any(word.text for word in value)
        if default is not None and empty:
            return [piece._replace(quoted=quoted or piece.quoted) for piece in default]
        if value is None:
            return [_Piece(raw, self.line, quoted=True)]
        self.grow(sum(len(word.text) for word in value) + len(value))
        if name in self.arrays:
            if not whole:
                value = value[:1]
            found: list[_Piece] = []
            for word in value:
                found += [_Piece(word.text, word.line, quoted), _Piece("", word.line, quoted=True, ends=True)]
            return found[:-1] if found else [_Piece("", self.line, quoted=True, ends=True)]
        return [_Piece(word.text, word.line, quoted=quoted) for word in value]

    def _sum(self, start: int) -> _Piece:
        """What `$((...))` comes to, where it is whole numbers and known variables."""
        line, end = self.line, self._closing(start + 1, "(", ")")
        raw = self._left_as_it_is(start, end)
        body = raw.text[3:-2] if raw.text.endswith("))") else ""

        def number(found: re.Match[str]) -> str:
            value = self.variables.get(found[1])
            return "".join(word.text for word in value).strip() if value else found[0]

        body = re.sub(r"\$?\{?([A-Za-z_][A-Za-z0-9_]*)\}?", number, body[:200])
        total = arithmetic(body)
        return raw if total is None else _Piece(str(total), line, quoted=True)


def arithmetic(text: str) -> int | None:
    """What a sum of whole numbers comes to, as a shell counts; None where it is anything else.

    >>> arithmetic("8 * (2 + 1) / 5"), arithmetic("2 ** 9"), arithmetic("1 / 0")
    (4, None, None)
    """
    if _ARITHMETIC.fullmatch(text) is None:
        return None
    try:
        return _summed(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError):
        return None


def _summed(node: object) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int and abs(node.value) <= LARGEST:
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _summed(node.operand)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _SUMS:
        value = _SUMS[type(node.op)](_summed(node.left), _summed(node.right))
        if abs(value) <= LARGEST:
            return value
    raise ValueError


_SUMS: Final[dict[type, Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def fields(pieces: Sequence[_Piece]) -> list[Word]:
    """The words that the pieces of one word make when what is not quoted is split at blanks."""
    words: list[Word] = []
    text, line = "", 0
    open_word = False
    for piece in pieces:
        if piece.ends:
            if open_word:
                words.append(Word(text, line))
            text, open_word = "", False
            continue
        parts = [piece.text] if piece.quoted else re.split(r"\s+", piece.text)
        for place, part in enumerate(parts):
            if place and open_word:
                words.append(Word(text, line))
                text, open_word = "", False
            if part or piece.quoted:
                line = line if open_word else piece.line
                text += part
                open_word = True
    if open_word:
        words.append(Word(text, line))
    return words


def read_script(text: str, path: Path) -> Script:
    """The commands of a shell script or of one command line, with variables put in.

    Raises WrongInput with the line of a quote or a bracket that is never closed, and for a script that is too large.

    >>> script = 'N=8\\nARGS=(\\n  --nodes 2 # two\\n)\\ntorchrun --n ${N} "${ARGS[@]}" \\\\\\n a.py'
    >>> words = read_script(script, Path("x.sh")).commands[0]
    >>> " ".join(word.text for word in words), words[-1].line
    ('torchrun --n 8 --nodes 2 a.py', 6)
    """
    reader = _Reader(text, path)
    reader.run()
    variables = {
        name: value if name in reader.arrays else (Word("".join(word.text for word in value), value[0].line),)
        for name, value in reader.variables.items()
    }
    return Script(tuple(reader.commands), variables, tuple(reader.notes))


def cut(word: Word) -> list[Word]:
    """The words inside one that holds blanks."""
    return [Word(part, word.line) for part in word.text.split()]


# -- options


class Option(NamedTuple):
    """One option with the words after it, up to the next option."""

    name: str  # as it is written
    values: tuple[str, ...]
    line: int


def is_option(text: str) -> bool:
    """Whether a word is an option; a negative number is none.

    >>> [is_option(each) for each in ("--bf16", "-tp", "-1", "-", "8")]
    [True, True, False, False, False]
    """
    return len(text) > 1 and text[0] == "-" and (text[1] == "-" or text[1].isalpha())


def _key(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


class Options:
    """The options of one command: asked for by name, with dashes or underscores; what nobody asked for is counted."""

    def __init__(self, words: Sequence[Word], path: Path, options: Iterable[Option] = ()) -> None:
        self.path = path
        self.positional: list[Word] = []  # the words before the first option
        self.given: dict[str, Option] = {}
        self.repeated: list[Option] = []  # a later one with another value took its place
        self.asked: set[str] = set()
        for option in (*self._pairs(words), *options):
            key = _key(option.name)
            before = self.given.get(key)
            if before is not None and before.values != option.values:
                self.repeated.append(before)
            self.given[key] = option

    def _pairs(self, words: Sequence[Word]) -> Iterator[Option]:
        name, line = "", 0
        values: list[str] = []
        for word in words:
            if is_option(word.text):
                if name:
                    yield Option(name, tuple(values), line)
                name, equals, value = word.text.partition("=")
                line, values = word.line, [value] if equals else []
            elif name:
                values.append(word.text)
            else:
                self.positional.append(word)
        if name:
            yield Option(name, tuple(values), line)

    def find(self, *names: str) -> Option | None:
        """The first of these options that is given."""
        keys = [_key(name) for name in names]
        self.asked.update(keys)
        return next((self.given[key] for key in keys if key in self.given), None)

    def flag(self, *names: str) -> bool:
        """Whether one of these is given."""
        return self.find(*names) is not None

    def text(self, *names: str) -> str | None:
        """The first value of an option, or None where it is not given. Raises WrongInput where it has none."""
        found = self.find(*names)
        if found is None:
            return None
        if not found.values:
            raise self.wrong(found, "needs a value")
        return found.values[0]

    def whole(self, *names: str, low: int = 1, high: int = LARGEST) -> int | None:
        """A whole number. Raises WrongInput for anything else."""
        text = self.text(*names)
        return None if text is None else whole_of(text, self.must(*names), self.path, low, high)

    def number(self, *names: str) -> float | None:
        """A number. Raises WrongInput for anything else."""
        text = self.text(*names)
        if text is None:
            return None
        if _NUMBER.fullmatch(text) is None:
            raise self.wrong(self.must(*names), f"expected a number, got {shown(text)}", hint=_unset(text))
        return float(text)

    def one_of(self, choices: Sequence[str], *names: str) -> str | None:
        """One of `choices`. Raises WrongInput for anything else."""
        text = self.text(*names)
        if text is not None and text not in choices:
            raise self.wrong(
                self.must(*names), f"expected one of {', '.join(choices)}, got {shown(text)}", hint=_unset(text)
            )
        return text

    def must(self, *names: str) -> Option:
        """The first of these options, which is known to be given."""
        return next(self.given[_key(name)] for name in names if _key(name) in self.given)

    def where(self, *names: str) -> str:
        """File and line of the first of these options that is given; the file alone where none is."""
        found = next((self.given[_key(name)] for name in names if _key(name) in self.given), None)
        return read.shown(self.path) if found is None else f"{read.shown(self.path)}:{found.line}"

    def wrong(self, option: Option | str, message: str, *, hint: str | None = None) -> WrongInput:
        """The error about one option."""
        found = option if isinstance(option, Option) else self.given.get(_key(option))
        if found is None:
            return read.wrong(self.path, str(option), message, hint=hint)
        return read.wrong(self.path, clean(found.name), message, line=found.line, hint=hint)

    def unasked(self) -> list[Option]:
        """The options that nobody asked for."""
        return [option for key, option in self.given.items() if key not in self.asked]

    def notes(self) -> list[str]:
        """A line about options that are not read, and one about each that is given twice with other values."""
        said = [
            f"{read.shown(self.path)}:{option.line}: {clean(option.name)} is given again on line "
            f"{self.given[_key(option.name)].line}, which holds"
            for option in self.repeated[:MOST_NAMED]
        ]
        left = self.unasked()
        self._misspelled(left)
        if left:
            said.append(not_read([option.name for option in left]))
        return said

    def _misspelled(self, left: Sequence[Option]) -> None:
        """Refuse an option that is a letter away from one that counts and is not given. Raises WrongInput."""
        absent = [key for key in self.asked if key not in self.given]
        for option in left[:MOST_COMPARED]:
            near = meant(_key(option.name), absent)
            if near:
                raise self.wrong(option, "no such option is known", hint=f"did you mean --{near}?")


def meant(name: str, known: Iterable[str]) -> str | None:
    """The known name that another one is a slip of the pen for.

    >>> meant("tensor-paralel-size", ["tensor-parallel-size"]), meant("moe-router-topk", ["moe-router-dtype"])
    ('tensor-parallel-size', None)
    """
    import difflib

    alike = sorted(each for each in known if abs(len(each) - len(name)) <= 1)
    return next(iter(difflib.get_close_matches(name, alike, 1, cutoff=ALMOST_EQUAL)), None)


def not_read(names: Sequence[str]) -> str:
    """A note on options that were not read.

    >>> not_read(["--a", "--b"])
    '2 options do not matter here or are not known: --a, --b'
    """
    named = ", ".join(clean(name) for name in names[:MOST_NAMED])
    more = ", ..." if len(names) > MOST_NAMED else ""
    options = "1 option does" if len(names) == 1 else f"{len(names)} options do"
    known = "is" if len(names) == 1 else "are"
    return f"{options} not matter here or {known} not known: {named}{more}"


def whole_of(text: str, option: Option, path: Path, low: int = 1, high: int = LARGEST) -> int:
    """The whole number that a text is. Raises WrongInput with the option and its line."""
    if _WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
        message = f"expected a whole number from {low} to {high:,}, got {shown(text)}"
        raise read.wrong(path, clean(option.name), message, line=option.line, hint=_unset(text))
    return int(text)


def _unset(text: str) -> str | None:
    if "$" in text or "`" in text:
        return "only what the file itself sets is put in: nothing is executed"
    return None


def clean(text: str) -> str:
    """A name from a file as a message shows it: short, without control characters."""
    short = text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "..."
    return short if short.isprintable() else repr(short)


def shown(text: str) -> str:
    """A value from a file as a message shows it, in quotes."""
    return repr(text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "...")
