"""Names of published weights: from a repository to a model and a precision of the catalogue, and back.

A repository that a model's file names as the source of its configuration is that model's. Any other is looked up by its
last part, without the words that say how it was tuned or quantised. Nothing is asked of a network.
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from clustercast import catalog
from clustercast.catalog import read
from clustercast.catalog.find import FOLDERS, NAME, user_file
from clustercast.errors import ClustercastError, WrongInput

_SOURCE: Final = re.compile(rb"config\.json of ([A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,96}) on Hugging Face")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}/[A-Za-z0-9_.-]{1,128}")

MOST_KEPT: Final = 512  # names that were looked up

# Last words of a repository's name that say in which format its weights are.
PRECISION_WORDS: Final = {
    "bf16": "bf16",
    "fp16": "fp16",
    "fp8": "fp8",
    "w8a8-fp8": "fp8",
    "mxfp8": "mxfp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "mxfp4": "mxfp4",
    "awq": "int4-weight-only",
    "gptq": "int4-weight-only",
    "int4": "int4-weight-only",
    "w4a16": "int4-weight-only",
    "int8": "int8",
    "w8a8": "int8",
    "w8a16": "int8-weight-only",
}
# Published weights that are not what the catalogue takes by default for the model, by their model cards.
PUBLISHED_IN: Final = {
    "gpt-oss-120b": "mxfp4",
    "gpt-oss-20b": "mxfp4",
    "kimi-k2": "fp8-block",
    "kimi-k2.5": "int4-weight-only",
    "minimax-m2.5": "fp8-block",
    "deepseek-v2": "bf16",
}
BLOCK_FP8_OWNERS: Final = ("qwen", "deepseek-ai")  # whose FP8 weights have 128-block scales

# Last words that say nothing of the architecture: tuning, a date, a revision.
_TUNED: Final = re.compile(
    r"instruct|chat|it|hf|base|thinking|dynamic|block|preview|kv|quantized|channel|[0-9]{4}|v[0-9](\.[0-9])?|g?128g?"
)
_OWNER_PREFIX: Final = ("meta-", "nvidia-", "mistralai-")


class Checkpoint(NamedTuple):
    """What a name of weights stands for; an empty model is one that the catalogue does not know."""

    model: str  # of the catalogue, or the path of a folder with a config.json
    precision: str | None  # of the weights; None: what the catalogue takes for the model


def checkpoint(name: str, beside: Path | None = None) -> Checkpoint:
    """The model and precision that a repository, a name of the catalogue or a local folder means.

    beside  the launch file: a relative folder with a config.json is looked for from there too

    >>> checkpoint("deepseek-ai/DeepSeek-R1-0528"), checkpoint("nvidia/Llama-3.1-405B-Instruct-FP8")
    (Checkpoint(model='deepseek-r1', precision='fp8-block'), Checkpoint(model='llama-3.1-405b', precision='fp8'))
    """
    folder = _folder(name, beside)
    if folder is not None:
        return Checkpoint(str(folder), None)
    owner, _, last = name.rpartition("/")
    known = _by_repository().get(name.lower())
    stem, precision = _without_words(last)
    model = known or _known(stem)
    if precision == "fp8" and owner.lower() in BLOCK_FP8_OWNERS:
        precision = "fp8-block"
    if model and (precision is None or (owner and precision == "fp8")) and published_in(model) == "fp8-block":
        precision = "fp8-block"
    return Checkpoint(model, precision or PUBLISHED_IN.get(model))


@lru_cache(maxsize=MOST_KEPT)
def published_in(model: str) -> str:
    """The recipe of the weights that a model of the catalogue is published with."""
    return PUBLISHED_IN.get(model) or catalog.find_model(model).precision


def repository(model: str, precision: str | None = None) -> tuple[str, str]:
    """What to write as the weights of a model, and a remark where it is to be replaced by hand; empty: it is published.

    precision  a recipe that the published weights need not have; None: as they are

    >>> repository("deepseek-v3", "fp8-block"), repository("llama-3.1-8b", "nvfp4")[0]
    (('deepseek-ai/DeepSeek-V3', ''), 'llama-3.1-8b-nvfp4')
    """
    file = user_file(model)
    if file is not None and file.suffix.lower() not in (".yaml", ".yml"):
        return str(file.parent if file.suffix == ".json" else file), ""
    model = model if file is None else file.stem
    found = {each: name for name, each in _published().items()}.get(model)
    if found is not None and precision in (None, published_in(model)):
        return found, ""
    wanted = f"{model} in {precision}" if precision else model
    return (
        f"{model}-{precision}" if precision else model,
        f"no published weights of {wanted} are known here: put the repository or folder of yours in place of this name",
    )


@cache
def _published() -> dict[str, str]:
    """Repository to model, as the models' files name them; the first file of several that name one wins."""
    found: dict[str, str] = {}
    for path in sorted((read.data_root() / FOLDERS["model"]).glob("*.yaml")):
        try:
            named = _SOURCE.search(path.read_bytes())
        except OSError:
            continue
        if named is not None:
            found.setdefault(named[1].decode(), path.stem)
    return found


@cache
def _by_repository() -> dict[str, str]:
    return {name.lower(): model for name, model in _published().items()}


@lru_cache(maxsize=MOST_KEPT)
def _known(name: str) -> str:
    """The catalogue's name of a model, or nothing."""
    if NAME.fullmatch(name) is None:
        return ""
    try:
        found = catalog.find_model(name)
    except ClustercastError:
        return ""
    return found.name if found.file.startswith(FOLDERS["model"]) else ""


def _without_words(last: str) -> tuple[str, str | None]:
    """A repository's last part down to a name that is known, as far as words may go, and the format that they say."""
    stem = last.lower().replace("_", "-").replace("quantized.", "")[:128]
    for prefix in _OWNER_PREFIX:
        stem = stem.removeprefix(prefix)
    precision: str | None = None
    while not _known(stem):
        rest, dash, word = stem.rpartition("-")
        if not dash:
            break
        two = f"{rest.rpartition('-')[2]}-{word}"
        if word in ("only", "weight") and precision is None and stem.endswith("-weight-only"):
            rest, _, word = stem.removesuffix("-weight-only").rpartition("-")
            precision = f"{word}-weight-only" if word in ("int4", "int8", "fp8") else None
        elif two in ("fp8-block",):
            precision, rest = "fp8-block", rest.rpartition("-")[0]
        elif word in PRECISION_WORDS:
            precision = precision or PRECISION_WORDS[word]
        elif _TUNED.fullmatch(word) is None:
            break
        stem = rest
    return stem, precision


def _folder(name: str, beside: Path | None) -> Path | None:
    """The config.json of a local folder that a name means, if there is one."""
    if "\0" in name or len(name) > 4096:
        raise WrongInput("the path of the model holds a NUL character or is too long")
    for base in (None, beside.parent if beside else None):
        path = Path(name) if base is None else base / name
        try:
            if (path / "config.json").is_file():
                return path / "config.json"
        except (OSError, ValueError):
            continue
    return None


def looks_published(name: str) -> bool:
    """Whether a text has the form of a repository's name.

    >>> looks_published("Qwen/Qwen3-8B"), looks_published("$MODEL")
    (True, False)
    """
    return _REPOSITORY.fullmatch(name) is not None
