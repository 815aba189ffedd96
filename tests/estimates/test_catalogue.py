"""No shipped chip trains a shipped model better than the best published runs of its class."""

import math

import pytest

from clustercast import catalog
from clustercast.errors import NoAnswer
from clustercast.estimates import interval
from clustercast.estimates.answer import estimate
from clustercast.estimates.question import Asked

# The best model FLOP utilisation that was published in each class, 16 bit.
BEST = {"dense": 0.65, "mixture": 0.52}
BEST_VOLTA = 0.51
MODELS = {"dense": "llama-3.1-70b", "mixture": "mixtral-8x7b"}
COUNT = 512


def sixteen_bit(name: str) -> str:
    peaks = catalog.find_chip(name).peaks()
    return "bf16" if "bf16" in peaks else "fp16" if "fp16" in peaks else ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("chip", [name for name in catalog.chip_names() if sixteen_bit(name)])
def test_the_best_plan_stays_below_the_best_published_run(chip: str, kind: str) -> None:
    try:
        answer = estimate(Asked(chip, MODELS[kind], n_chips=COUNT, precision=sixteen_bit(chip)))
    except NoAnswer:
        return
    if answer.training is None:
        return
    best = BEST[kind]
    if catalog.find_chip(chip).family == "volta":
        best = min(best, BEST_VOLTA)
    width = interval.half_width(answer.training.evidence, COUNT, mixture=kind == "mixture")
    assert answer.training.mfu <= best * math.exp(width), answer.training.plan_text
