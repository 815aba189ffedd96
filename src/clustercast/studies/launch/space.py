"""What of a plan a training tool can run, as data: boxes of rules, of which a plan has to keep all of one.

A rule says which values a field may have, and why no others. A search tries every combination of what a box leaves
open, and holds at one value what the tool has at one value only.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clustercast import records
from clustercast.plans import search, text
from clustercast.studies.launch.launch import PlanRefused

Codes = Mapping[str, int]  # fields of a plan


@dataclass(frozen=True, slots=True)
class Rule:
    """The values that one field may have."""

    field: str
    values: tuple[int, ...]  # the one to hold instead first
    why: str
    when: tuple[tuple[str, int], ...] = ()  # the rule is about plans whose fields have these codes


Box = tuple[Rule, ...]

# Fields that say nothing where another field is 1, and what they are then.
MATTERS: Final = {"sequence_parallel": ("tp", 0), "tp_overlap": ("tp", 1), "cp_kind": ("cp", records.CP_RING)}
# What a search tries of a field, where it tries more than one value that a rule may leave out.
TRIED: Final = {"zero": (0, 1, 2, 3), "recompute": (0, 1, 2)}


def lacks(box: Box, said: Codes) -> list[Rule]:
    """The rules of a box that these fields break; fields that are left open break none."""
    return [rule for rule in box if _applies(rule, said) and said.get(rule.field, rule.values[0]) not in rule.values]


def _applies(rule: Rule, said: Codes) -> bool:
    """Whether a rule is about these fields: what it asks for is said, and its field matters."""
    owner = MATTERS.get(rule.field)
    if owner is not None and said.get(owner[0]) == 1:
        return False
    return all(said.get(name) == code for name, code in rule.when)


def refuse(tool: str, boxes: Sequence[Box], said: Codes) -> None:
    """Raise PlanRefused, with all that the tool lacks of these fields, where no box holds them."""
    codes = {name: code for name, code in said.items() if code != text.ANY}
    broken = min((lacks(box, codes) for box in boxes), key=len)
    if not broken:
        return
    words = text.in_words({rule.field: codes[rule.field] for rule in broken})
    instead = text.in_words({rule.field: rule.values[0] for rule in broken})
    message = "; ".join(f"{rule.field}: {words[rule.field]}: {rule.why}" for rule in broken)
    fix = ",".join(f"{name}={word}" for name, word in instead.items())
    raise PlanRefused(f"--export {tool}: {message}", hint=f"--plan {fix}")


def searches(boxes: Sequence[Box], fixed: Codes) -> list[dict[str, int]]:
    """What to hold in each of the searches that together try all that the tool can run, with what the user fixed.

    >>> searches([(Rule("zero", (1, 0), "why"), Rule("pp", (1,), "why"))], {"tp": 2})
    [{'tp': 2, 'zero': 1, 'pp': 1}, {'tp': 2, 'zero': 0, 'pp': 1}]
    """
    said = {name: code for name, code in fixed.items() if code != text.ANY}
    found: list[dict[str, int]] = []
    for box in boxes:
        if lacks(box, said):
            continue
        choices = dict(_choices(box, fixed, said))
        for codes in itertools.product(*choices.values()):
            one = {**fixed, **dict(zip(choices, codes, strict=True))}
            if one not in found:
                found.append(one)
    return found


def _choices(box: Box, fixed: Codes, said: Codes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The fields that a box limits beyond what the search would try of itself, with their values."""
    limits: dict[str, tuple[int, ...]] = {}
    for rule in box:
        if rule.field not in said and _applies(rule, said):
            before = limits.get(rule.field, rule.values)
            limits[rule.field] = tuple(value for value in before if value in rule.values)
    for name, values in limits.items():
        tried = _tried(name, fixed)
        if not tried:
            yield name, values
        elif not set(tried) <= set(values):
            yield name, tuple(value for value in values if value in tried) or values[:1]


def _tried(name: str, fixed: Codes) -> tuple[int, ...]:
    """The values that a search would try of itself; none where they follow from the model and the chips."""
    if name in search.FREED:
        return search.FREED[name] if name in fixed else search.FREED[name][:1]
    return TRIED.get(name, ())


def settled(plan: records.Plan, fixed: Codes) -> records.Plan:
    """The plan with what says nothing as it usually stands, but for what the user fixed."""
    changes = {
        name: usual for name, (owner, usual) in MATTERS.items() if getattr(plan, owner) == 1 and name not in fixed
    }
    return plan._replace(**changes)
