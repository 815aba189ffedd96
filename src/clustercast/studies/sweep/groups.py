"""Groups of the catalogue that an axis may name: chips by vendor, family, status; models by kind; fabrics by shape."""

import re
from collections.abc import Iterable
from typing import Final

from clustercast import catalog

ALL: Final = "all"
TESTED: Final = "tested"
_LEADING: Final = re.compile(r"[a-z]+")


def groups(axis: str, about: str) -> dict[str, tuple[str, ...]]:
    """The groups of an axis by name, each with its members in the order of their names.

    about  training or serving: what `tested` means

    >>> "h20-96gb" in groups("chip", "training")["nvidia"], "mixture" in groups("model", "training")
    (True, True)
    """
    if axis == "chip":
        return _chips(about)
    if axis == "model":
        return _models()
    return _fabrics() if axis == "fabric" else {}


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Members by group from pairs of group and member."""
    found: dict[str, set[str]] = {}
    for group, member in pairs:
        found.setdefault(group, set()).add(member)
    return {group: tuple(sorted(members)) for group, members in sorted(found.items())}


def _word(text: str) -> str:
    """A vendor's name as one word: the part before a bracket, lower case, dashes for spaces."""
    return "-".join(text.split("(")[0].lower().split())


def _chips(about: str) -> dict[str, tuple[str, ...]]:
    from clustercast.catalog import constants

    tested = set(constants.table("defaults")["evidence"][about]["chips"])
    pairs = []
    for name in catalog.chip_names():
        chip = catalog.find_chip(name)
        named = {ALL, _word(chip.vendor), chip.family, chip.status}
        named |= {TESTED} if name in tested else set()
        named |= {"data-centre"} if chip.data_centre else set()
        pairs += [(group, name) for group in named]
    return _gathered(pairs)


def _models() -> dict[str, tuple[str, ...]]:
    pairs = []
    for name in catalog.model_names():
        model = catalog.find_model(name)
        kind = "mixture" if model.architecture.get("experts") else "dense"
        first = _LEADING.match(name)
        family = first[0] if first else name
        pairs += [(group, name) for group in {ALL, kind, model.status, family}]
    return _gathered(pairs)


def _fabrics() -> dict[str, tuple[str, ...]]:
    pairs = []
    for name in catalog.fabric_names():
        pairs += [(ALL, name), (catalog.find_fabric(name).scale_up.shape, name)]
    return _gathered(pairs)
