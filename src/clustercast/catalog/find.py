"""Chips, fabrics and models by name, alias, path or size.

A name is never joined to a path: it is looked up among the names that the catalogue has. An argument with a path
separator, or one that ends in .yaml, .yml or .json, is a file of the user.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read
from clustercast.catalog.chips import ChipProfile, chip_profile
from clustercast.catalog.fabrics import FabricProfile, fabric_profile
from clustercast.catalog.models import ModelProfile, model_profile
from clustercast.errors import WrongInput

FOLDERS: Final = {"chip": "hardware_profiles/chips", "fabric": "hardware_profiles/fabrics", "model": "workloads/models"}
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_FLOW_ALIASES: Final = re.compile(rb"^aliases:[ ]*\[([^\]]*)\]", re.MULTILINE)
_BLOCK_ALIASES: Final = re.compile(rb"^aliases:[ ]*(?:#.*)?\r?\n((?:[ ]*-[ ].*\r?\n?)+)", re.MULTILINE)
_ALIAS: Final = re.compile(rb"[A-Za-z0-9._-]+")


def chip_names() -> list[str]:
    """Names of all chips of the catalogue, sorted."""
    return sorted(_files("chip"))


def fabric_names() -> list[str]:
    """Names of all fabrics of the catalogue, sorted."""
    return sorted(_files("fabric"))


def model_names() -> list[str]:
    """Names of all models of the catalogue, sorted."""
    return sorted(_files("model"))


def find_chip(name_or_path: str) -> ChipProfile:
    """The chip of this name, alias or file.

    >>> find_chip("h20").name
    'h20-96gb'
    """
    path = user_file(name_or_path) or _catalogue_file("chip", name_or_path)
    return chip_profile(_load(path, "chip"), read.shown(path))


def find_fabric(name_or_path: str) -> FabricProfile:
    """The fabric of this name, alias or file.

    >>> find_fabric("dgx-1").scale_up.shape
    'cube-mesh'
    """
    path = user_file(name_or_path) or _catalogue_file("fabric", name_or_path)
    return fabric_profile(_load(path, "fabric"), read.shown(path))


def find_model(name_path_or_size: str) -> ModelProfile:
    """The model of this name, alias or file (a workload or a Hugging Face config.json), or one of this size.

    Names and aliases win over sizes: `1.8T` is GPT-4, `70B` a shape by the rule of `catalog.sizes`.

    >>> find_model("1.8T").resolved_as
    'alias of gpt-4-1.8t'
    """
    path = user_file(name_path_or_size)
    if path is not None:
        return _model_file(_inside(path))
    found = _find("model", name_path_or_size)
    if found is None:
        from clustercast.catalog import sizes

        if sizes.is_size(name_path_or_size):
            return sizes.model_of_size(name_path_or_size)
        raise _unknown("model", name_path_or_size)
    data = _load(found, "model")
    same = data["name"].lower() == name_path_or_size.lower()
    resolved_as = "name in the catalogue" if same else f"alias of {data['name']}"
    return model_profile(data, read.shown(found), resolved_as)


def _inside(path: Path) -> Path:
    """The config.json of a folder that has one; an owner/name that is no folder may be in the catalogue."""
    if (path / "config.json").is_file():
        return path / "config.json"
    if NAME.fullmatch(path.name) and not path.exists():
        found = _find("model", path.name)
        if found is not None:
            raise read.wrong(path, "", "there is no such file", hint=f"did you mean {found.stem} of the catalogue?")
    return path


def _model_file(path: Path) -> ModelProfile:
    """A user's file: what has an architecture is a workload, any other JSON a Hugging Face config."""
    if path.suffix.lower() == ".json":
        from clustercast.catalog import hf

        config = hf.read_config(path)
        if "architecture" not in config:
            return hf.model_of_config(config, path)
    return model_profile(_load(path, "model"), read.shown(path), f"file {read.shown(path)}")


def user_file(argument: str) -> Path | None:
    """The path that an argument is, or None where it is a name."""
    if "/" in argument or "\\" in argument or argument.lower().endswith((".yaml", ".yml", ".json")):
        if "\0" in argument:
            raise WrongInput("a path holds a NUL character")
        return Path(argument)
    return None


def _load(path: Path, kind: str) -> dict[str, Any]:
    data = read.load(path, kind)
    if data["name"] != path.stem and path.resolve().is_relative_to(read.data_root() / FOLDERS[kind]):
        raise read.wrong(path, "name", f"{data['name']!r} is not the name of the file, expected {path.stem!r}")
    return data


def _files(kind: str) -> dict[str, Path]:
    """The catalogue's files of one kind by name."""
    folder = read.data_root() / FOLDERS[kind]
    try:
        return {path.stem: path for path in folder.iterdir() if path.suffix == ".yaml"}
    except OSError:
        return {}


def _catalogue_file(kind: str, name: str) -> Path:
    found = _find(kind, name)
    if found is None:
        raise _unknown(kind, name)
    return found


def _find(kind: str, name: str) -> Path | None:
    """The catalogue's file of this name or alias, whatever its case."""
    if NAME.fullmatch(name) is None:
        shown = repr(name if len(name) <= 64 else name[:64] + "...")
        raise WrongInput(
            f"{shown} is no name of a {kind}, expected 1 to 64 letters, digits, dots, dashes or underscores",
            hint="a path has a / in it or ends in .yaml or .json",
        )
    files = {stem.lower(): path for stem, path in _files(kind).items()}
    wanted = name.lower()
    if wanted in files:
        return files[wanted]
    return next((path for path in files.values() if wanted in aliases_in(path)), None)


def aliases_in(path: Path) -> tuple[str, ...]:
    """The aliases of a catalogue file without parsing all of it (a test holds this against the parsed file)."""
    try:
        content = path.read_bytes()
    except OSError:
        return ()
    found = _FLOW_ALIASES.search(content) or _BLOCK_ALIASES.search(content)
    if found is None:
        return ()
    return tuple(each.decode().lower() for line in found[1].split(b"\n") for each in _words(line))


def _words(line: bytes) -> Iterator[bytes]:
    """The aliases on one line: without the dash of a block list, quotes and a comment."""
    line = line.split(b" #")[0].strip().removeprefix(b"- ")
    for part in line.split(b","):
        word = part.strip().strip(b"\"'")
        if _ALIAS.fullmatch(word):
            yield word


def _unknown(kind: str, name: str) -> WrongInput:
    """The error for a name that nothing has, with the nearest name or alias as hint."""
    import difflib

    spelled: dict[str, str] = {}  # name or alias -> what to say
    for stem, path in _files(kind).items():
        aliases = aliases_in(path)
        first = f"{stem} (alias {aliases[0]})" if aliases else stem
        spelled[stem.lower()] = first
        for alias in aliases:
            spelled.setdefault(alias, first if alias == aliases[0] else f"{stem} (alias {alias})")
    near = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.5)
    near = sorted(near, key=lambda each: (-difflib.SequenceMatcher(None, each, name.lower()).ratio(), len(each)))
    if near:
        hint = f"did you mean {spelled[near[0]]}?"
    else:
        hint = f"there are {', '.join(difflib.get_close_matches(name.lower(), _files(kind), n=5, cutoff=0.0))} ..."
    return WrongInput(f"unknown {kind} {name!r}", hint=hint)
