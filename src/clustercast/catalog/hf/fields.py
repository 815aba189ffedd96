"""The fields of one config: looked up by the names that configs use, checked, and what was assumed written down."""

from functools import cache
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import constants, read
from clustercast.catalog.hf import text
from clustercast.errors import WrongInput

LARGEST: Final = 10**9
_NESTED: Final = ("text_config", "llm_config", "language_config", "thinker_config")
_PLAIN_DECODER: Final[dict[str, Any]] = {
    "norm_vectors": 1,
    "norms": 2,
    "moe_norms": 0,
    "final_norms": 1,
    "qk_norm": "",
    "qk_norm_flag": "",
    "biases": (),
    "attention_bias": ("qkv", "out"),
    "router_bias": False,
    "shared_gate": False,
    "output_gate": False,
    "sinks": False,
    "positions": False,
    "more_positions": 0,
    "embedding_norm": False,
    "gated": None,
    "tied": False,
    "ffn_factor": 0,
    "ffn_halved": False,
    "linear": "",
    "slots": False,
    "dense_beside_experts": False,
    "shared_experts": 0,
    "window_every": 0,
    "defaults": {},
}


class Fields:
    """A config as a set of named fields.

    data    the mapping that describes the language model, a nested one brought up
    kind    its `model_type`
    notes   what was assumed so far, as sentences
    """

    def __init__(self, config: dict[str, Any], path: Path) -> None:
        self.path = path
        self.whole = config
        self.notes: list[str] = []
        self.under: tuple[str, ...] = ()
        self.data = config
        self._descend()
        self.kind = self._kind()
        self.family = family(self.kind)
        unsupported = table()["unsupported"].get(self.kind)
        if unsupported:
            raise self.wrong("model_type", f"{self.kind} is not supported: {unsupported}")
        if self.data.get("is_encoder_decoder") is True:
            raise self.wrong("is_encoder_decoder", "is true, expected a decoder alone")
        if self.kind not in known():
            named = text.shown(self.kind) if self.kind else "none"
            self.notes.append(f"model_type {named} is not known: read by its fields, as a plain decoder with RMS norms")

    def _descend(self) -> None:
        """Bring the text part of a multimodal config up; what it leaves out may stand outside."""
        for _ in range(2):
            name = next((each for each in _NESTED if isinstance(self.data.get(each), dict)), None)
            if name is None:
                break
            outer: dict[str, Any] = {
                key: self.data[key] for key in ("tie_word_embeddings", "quantization_config") if key in self.data
            }
            kind = self.data.get("model_type")
            self.data = {"model_type": kind, **outer, **self.data[name]}
            self.under = (*self.under, name)
        if self.under:
            self.notes.append(f"only {'.'.join(self.under)} is read: vision and audio are left out")

    def _kind(self) -> str:
        kind = self.data.get("model_type")
        if kind is None:
            return ""
        if not isinstance(kind, str) or len(kind) > 100:
            raise self.wrong("model_type", f"is {text.shown(kind)}, expected a short text")
        return kind.lower()

    def wrong(self, name: str, message: str, hint: str | None = None) -> WrongInput:
        """The error for one field, with its line where the file has it."""
        line = text.line_in(self.path, (*self.under, name.split(".")[-1]))
        return read.wrong(self.path, name, message, line=line, hint=hint)

    def note(self, sentence: str) -> None:
        """Say once what was assumed."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def raw(self, *names: str, inside: str = "") -> tuple[str, Any]:
        """The first of these fields that is there and not null, as name and value; the first name and None else."""
        data: Any = self.data.get(inside) if inside else self.data
        if not isinstance(data, dict):
            return names[0], None
        for name in names:
            if data.get(name) is not None:
                return (f"{inside}.{name}" if inside else name), data[name]
        return names[0], None

    def count(self, *names: str, inside: str = "", most: int = LARGEST) -> int | None:
        """A whole number of things, or None where no such field is there. Raises WrongInput for anything else."""
        name, value = self.raw(*names, inside=inside)
        if value is None and not inside:
            default = next((self.family["defaults"][each] for each in names if each in self.family["defaults"]), None)
            if default is not None:
                self.note(f"{names[0]} is not given: {default} is the default of {self.kind}")
            return default
        if isinstance(value, list) and value and all(type(each) is int and each == value[0] for each in value):
            value = value[0]
        if value is not None and (type(value) is not int or not 0 <= value <= most):
            raise self.wrong(name, f"is {text.shown(value)}, expected a whole number from 0 to {most}")
        return value

    def needed(self, because: str, *names: str, inside: str = "") -> int:
        """A count that has to be there and above 0."""
        value = self.count(*names, inside=inside)
        if value == 0:
            raise self.wrong(self.raw(*names, inside=inside)[0], "is 0, expected a whole number above 0")
        if not value:
            others = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
            said = f" {because}" if because else ""
            raise self.wrong(names[0], f"is missing{others}{said}, expected it")
        return value

    def flag(self, *names: str, inside: str = "") -> bool | None:
        """A true or false, or None where no such field is there."""
        name, value = self.raw(*names, inside=inside)
        if value is not None and not isinstance(value, bool):
            if value in (0, 1):
                return bool(value)
            raise self.wrong(name, f"is {text.shown(value)}, expected true or false")
        return value

    def words(self, name: str) -> str:
        """A text in lower case, or nothing."""
        value = self.data.get(name)
        return value.lower() if isinstance(value, str) else ""

    def list_of(self, name: str, n: int | None = None) -> list[Any] | None:
        """A list of `n` entries, or None where no such field is there."""
        value = self.data.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.wrong(name, f"is {text.shown(value)}, expected a list")
        if n is not None and len(value) != n:
            raise self.wrong(name, f"has {len(value)} entries, expected {n}, one for every layer")
        return value


@cache
def table() -> dict[str, Any]:
    """The data file of families."""
    return constants.table("families")


@cache
def known() -> frozenset[str]:
    """Every model_type that some row names."""
    return frozenset(table()["plain"]).union(*(each["types"] for each in table()["families"]))


def family(kind: str) -> dict[str, Any]:
    """What a model_type implies.

    >>> family("gpt2")["tied"], family("never-heard-of")["norms"]
    (True, 2)
    """
    rows = [each for each in table()["families"] if kind in each["types"]]
    merged = dict(_PLAIN_DECODER)
    for row in rows:
        merged |= row
    return merged
