"""One small report, asked once, and the same with hostile names in it."""

import dataclasses
from functools import cache
from typing import Any

import clustercast
from clustercast.studies.report import Report

PLAN = "tp=1,pp=2,dp=4,zero=1,mb=1,recompute=none"
HIT = "window.__hit=1"  # what a hostile name would do
NAMES = (
    f"</script><script>{HIT}</script>",
    f"<img src=x onerror={HIT}>",
    f'"><svg onload={HIT}>',
    f"' onmouseover='{HIT}",
    f"javascript:{HIT}",
    f"{{{{ ''.constructor.constructor('{HIT}')() }}}}",
    "</style><style>*{background:url(http://example.org/x)}</style>",
    "=cmd|' /C calc'!A0",
    "\u202egnp.exe\x1b[2J\x00]]>--!><!--",
    f"</svg><iframe srcdoc='<script>parent.{HIT}</script>'></iframe>",
)


@cache
def small(*chips: str) -> Report:
    """A report of 8 chips with a plan given, so that little is searched."""
    return clustercast.report_on(chips or ("h20",), "llama-3.1-8b", n_chips=8, tokens=1e9, plan=PLAN)


def renamed(value: Any, name: str) -> Any:
    """The report with the name in place of chip, model, network, notes, sources, titles, parameters and commands."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return dataclasses.replace(
            value,
            **{
                field: name if field in PLACES and isinstance(each, str) else renamed(each, name)
                for field, each in changed.items()
            },
        )
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(name if isinstance(each, str) else renamed(each, name) for each in value)
    return value


PLACES = frozenset(
    {
        "chip", "chip_name", "model", "model_name", "model_resolved_as", "fabric_name", "source", "note", "title",
        "name", "parameter", "consequence", "margin", "clause", "rule", "reference", "full_name", "label", "rent_basis",
        "own_basis", "price_basis", "plan_text",
    }
)  # fmt: skip
