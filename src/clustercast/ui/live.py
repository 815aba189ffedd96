"""The crossover map as fast as a slider moves: rates alone, and those of a chip that did not change are kept."""

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from clustercast.studies.serving.crossover import CrossoverAsked

KEPT_SIDES: Final = 64

Rates = tuple[tuple[float | None, ...], ...]  # tokens per second per chip: of each phase, by context and batch


def crossover_map(fields: dict[str, Any]) -> dict[str, Any]:
    """The ratios of `crossover` at the same points, without its slopes, turns and intervals.

    Raises WrongInput and NoAnswer as `crossover` does.
    """
    from clustercast.studies.serving.crossover import DECODE, PREFILL, grid_of
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
    one, usd = _side(_alone(asked))
    two, other_usd = _side(_alone(asked, other=True))
    cells = []
    for phase, ours, theirs in zip((DECODE, PREFILL), one, two, strict=True):
        points = [(context, batch) for context in contexts for batch in batches]
        for (context, batch), rate, against in zip(points, ours, theirs, strict=True):
            ratio = rate / against if rate and against else None
            cells.append(
                {
                    "phase": phase, "batch": batch, "context": context,
                    "ratio": ratio, "ratio_per_usd": ratio * other_usd / usd if ratio else None,
                    "chip_fits": rate is not None, "other_fits": against is not None,
                }
            )  # fmt: skip
    return {
        "schema": "clustercast.map/1", "chip": asked.chip, "other": asked.other, "count": asked.count,
        "batches": batches, "contexts": contexts, "cells": cells,
    }  # fmt: skip


def _alone(asked: CrossoverAsked, *, other: bool = False) -> CrossoverAsked:
    """The question of one side: the other chip has no part in it."""
    if other:
        precision = asked.other_precision or asked.precision
        return replace(
            asked, chip=asked.other, other="", precision=precision, settings=asked.other_settings, other_settings=()
        )
    return replace(asked, other="", other_settings=())


@lru_cache(KEPT_SIDES)
def _common(asked: CrossoverAsked) -> int:
    from clustercast.studies.serving.crossover import smallest_common

    return smallest_common(asked)


@lru_cache(KEPT_SIDES)
def _side(asked: CrossoverAsked) -> tuple[Rates, float]:
    """The rates of one chip, decode and prefill, and what one costs an hour. Raises NoAnswer where nothing holds it."""
    from clustercast.estimates.job import usd_per_chip_hour
    from clustercast.studies.serving.crossover import PHASES, PREFILL, fastest, machine, time_s, too_large

    count = asked.count or 1
    one = machine(asked, asked.chip, asked.precision, asked.settings, count)
    if not one.layouts:
        raise too_large(one, count)
    rates = []
    for phase in PHASES:
        found: list[float | None] = []
        for context in asked.contexts:
            for batch in asked.batches:
                layout = fastest(phase, batch, context, one)
                tokens = batch * (context if phase == PREFILL else 1.0)
                taken_s = time_s(phase, batch, context, layout, one.setting) if layout else 0.0
                found.append(tokens / taken_s / count if layout else None)
        rates.append(tuple(found))
    return tuple(rates), usd_per_chip_hour(one.question)[0]
