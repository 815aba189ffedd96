"""Plans as people write them: "tp=8,pp=16,recompute=full"."""

from clustercast.errors import WrongInput
from clustercast.records import CP_NAMES, RECOMPUTE_NAMES, SCHEDULE_NAMES, Plan

NAMED: dict[str, tuple[str, ...]] = {
    "recompute": RECOMPUTE_NAMES,
    "schedule": SCHEDULE_NAMES,
    "cp_kind": CP_NAMES,
    "sequence_parallel": ("no", "yes"),
    "offload": ("no", "yes"),
    "tp_overlap": ("no", "yes"),
    "dp_overlap": ("no", "yes"),
}
ANY = -1  # of what the search holds at one value unless it is told to try them all
FREED = ("schedule", "cp_kind", "sequence_parallel", "offload", "tp_overlap", "dp_overlap")
HELD = ("shard", "recompute_layers")  # never searched
MAY_BE_ZERO = {"zero", "shard", "recompute_layers"}
ALIASES = {"sp": "sequence_parallel", "mb": "micro_batch", "mbs": "micro_batch", "zero_stage": "zero"}


def parse(text: str) -> dict[str, int]:
    """The plan fields that `text` fixes, as codes; ANY for one that is to be searched though it usually is not.

    Raises WrongInput for an unknown field, a value of the wrong kind, a field given twice.

    >>> parse("tp=8,recompute=full")
    {'tp': 8, 'recompute': 2}
    >>> parse("tp=any,schedule=any")
    {'schedule': -1}
    """
    import difflib

    fixed: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        name = ALIASES.get(name.strip().lower().replace("-", "_"), name.strip().lower().replace("-", "_"))
        value = value.strip().lower()
        if name not in Plan._fields:
            near = difflib.get_close_matches(name, Plan._fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"fields: {', '.join(Plan._fields)}"
            raise WrongInput(f"--plan: unknown field {name!r}", hint=hint)
        if name in fixed:
            raise WrongInput(f"--plan: {name} is given twice")
        if not equals or not value:
            raise WrongInput(f"--plan: {name} needs a value", hint=f"write {name}=...")
        fixed[name] = ANY if value == "any" and name not in HELD else _code(name, value)
    return {name: code for name, code in fixed.items() if code != ANY or name in FREED}


def _code(name: str, value: str) -> int:
    names = NAMED.get(name)
    if names and value in names:
        return names.index(value)
    if names:
        raise WrongInput(f"--plan: {name}: {value!r} is not one of {', '.join(names)}")
    lowest = 0 if name in MAY_BE_ZERO else 1
    highest = 3 if name == "zero" else 10**6
    if not value.isascii() or not value.isdigit() or not lowest <= int(value) <= highest:
        raise WrongInput(f"--plan: {name}: expected a whole number from {lowest} to {highest}, got {value!r}")
    return int(value)


def in_words(fixed: dict[str, int]) -> dict[str, int | str]:
    """What `parse` gives, as people write it.

    >>> in_words({"tp": 8, "recompute": 2, "schedule": ANY})
    {'tp': 8, 'recompute': 'full', 'schedule': 'any'}
    """
    return {
        name: "any" if code == ANY else NAMED[name][code] if name in NAMED else code for name, code in fixed.items()
    }


def as_dict(plan: Plan) -> dict[str, int | str | bool]:
    """A plan as JSON shows it, codes spelt out.

    >>> from clustercast.physics.examples import PLAN
    >>> as_dict(PLAN)["recompute"]
    'none'
    """
    shown: dict[str, int | str | bool] = {}
    for name, value in plan._asdict().items():
        names = NAMED.get(name)
        shown[name] = bool(value) if names == ("no", "yes") else names[value] if names else value
    return shown


def as_text(plan: Plan) -> str:
    """A plan as `--plan` takes it back, without what is at its default.

    >>> from clustercast.physics.examples import PLAN
    >>> as_text(PLAN._replace(tp=8, dp=4, recompute=2))
    'tp=8,pp=1,dp=4,micro_batch=1,recompute=full'
    """
    always = {"tp", "pp", "dp", "micro_batch", "recompute"}
    neutral = {"vpp": 1, "cp": 1, "ep": 1, "etp": 1, "zero": 0, "tp_overlap": 1, "dp_overlap": 1}
    parts = []
    for name, value in plan._asdict().items():
        if name in always or value != neutral.get(name, 0):
            names = NAMED.get(name)
            parts.append(f"{name}={names[value] if names else value}")
    return ",".join(parts)
