"""The crossover map as fast as a slider moves: rates alone, of one phase, and those of an unchanged chip are kept."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from clustercast.studies.serving.crossover import CrossoverAsked, Layout

KEPT_SIDES: Final = 256


@dataclass(frozen=True, slots=True)
class Side:
    """One chip's tokens per second per chip by context and batch, None where nothing fits, and what an hour costs."""

    rates: tuple[float | None, ...]
    best: frozenset[Layout]
    usd_per_chip_hour: float


def crossover_map(fields: dict[str, Any]) -> dict[str, Any]:
    """The ratios of `crossover` at the same points, without its slopes, turns and intervals.

    Raises WrongInput and NoAnswer as `crossover` does.
    """
    from clustercast.studies.serving.crossover import grid_of
    from clustercast.studies.serving.split import settings_of

    own, others = settings_of(tuple(fields["set"]), ("chip", "other"))
    asked = CrossoverAsked(
        fields["chip"], fields["other"], fields["model"], fields["count"], tuple(fields["batches"]),
        tuple(fields["contexts"]), fields["precision"], fields["other_precision"], fields["plan"], fields["engine"],
        own, others,
    )  # fmt: skip
    batches, contexts = grid_of("batches", asked.batches, "batch"), grid_of("contexts", asked.contexts, "context")
    asked = replace(asked, batches=batches, contexts=contexts)
    if asked.count is None:
        asked = replace(asked, count=_common(asked))
    one, two = (
        _side(_alone(asked, other=other), fields["phase"], settled=fields["settled"]) for other in (False, True)
    )
    points = [(context, batch) for context in contexts for batch in batches]
    cells = []
    for (context, batch), rate, against in zip(points, one.rates, two.rates, strict=True):
        ratio = rate / against if rate and against else None
        cells.append(
            {
                "phase": fields["phase"], "batch": batch, "context": context, "ratio": ratio,
                "ratio_per_usd": ratio * two.usd_per_chip_hour / one.usd_per_chip_hour if ratio else None,
                "chip_fits": rate is not None, "other_fits": against is not None,
            }
        )  # fmt: skip
    return {
        "schema": "clustercast.map/1", "chip": asked.chip, "other": asked.other, "count": asked.count,
        "batches": batches, "contexts": contexts, "cells": cells,
    }  # fmt: skip


def _alone(asked: CrossoverAsked, *, other: bool) -> CrossoverAsked:
    """The question of one side: the other chip has no part in it."""
    if other:
        precision = asked.other_precision or asked.precision
        asked = replace(asked, chip=asked.other, precision=precision, settings=asked.other_settings)
    return replace(asked, other="", other_precision=None, other_settings=())


@lru_cache(KEPT_SIDES)
def _common(asked: CrossoverAsked) -> int:
    from clustercast.studies.serving.crossover import smallest_common

    return smallest_common(asked)


@lru_cache(KEPT_SIDES)
def _side(asked: CrossoverAsked, phase: str, *, settled: bool) -> Side:
    """The rates of one chip. Raises NoAnswer where no layout holds the model.

    settled  all layouts are tried; else those that are best somewhere for the chip as its datasheet has it
    """
    from clustercast.estimates.job import usd_per_chip_hour
    from clustercast.studies.serving.crossover import PREFILL, fastest, machine, time_s, too_large

    count = asked.count or 1
    one = machine(asked, asked.chip, asked.precision, asked.settings, count)
    if not one.layouts:
        raise too_large(one, count)
    if asked.settings and not settled:
        usual = _side(replace(asked, settings=()), phase, settled=True).best
        one = one._replace(layouts=tuple(layout for layout in one.layouts if layout in usual) or one.layouts)
    found: list[float | None] = []
    best = set()
    for context in asked.contexts:
        for batch in asked.batches:
            layout = fastest(phase, batch, context, one)
            if layout is None:
                found.append(None)
                continue
            best.add(layout)
            tokens = batch * (context if phase == PREFILL else 1.0)
            found.append(tokens / time_s(phase, batch, context, layout, one.setting) / count)
    return Side(tuple(found), frozenset(best), usd_per_chip_hour(one.question)[0])
