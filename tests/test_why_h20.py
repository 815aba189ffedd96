"""What the prose of docs/why-h20.md says beside its tables holds of the numbers in them."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))

import _why  # noqa: E402

from clustercast import catalog  # noqa: E402
from clustercast.studies import rules  # noqa: E402


def ratios(model: str, count: int, phase: str) -> dict[tuple[int, int], float]:
    """Tokens per second of an H20 over an H100's, by batch and context."""
    cells = _why.crossed(model, count).cells
    return {(one.batch, one.context): one.ratio for one in cells if one.phase == phase and one.ratio is not None}


def test_a_dense_model_decodes_faster_until_the_batch_is_large() -> None:
    found = ratios(_why.DENSE, 8, _why.DECODE)
    assert all(ratio > 1.0 for (batch, _), ratio in found.items() if batch <= 16)
    assert found[256, 2048] < 0.8


def test_latent_attention_ends_the_lead_early() -> None:
    found = ratios(_why.LATENT, 32, _why.DECODE)
    assert all(ratio < 1.0 for (batch, _), ratio in found.items() if batch >= 64)
    turns = {turn.chip: turn.batch for turn in _why.crossed(_why.LATENT, 32).turns if turn.context == 2048}
    assert turns["h20-96gb"] is not None
    assert turns["h20-96gb"] <= 4


def test_prefill_never_wins() -> None:
    for model, count in ((_why.DENSE, 8), (_why.LATENT, 32)):
        assert all(ratio < 1.0 for ratio in ratios(model, count, _why.PREFILL).values())


def test_the_lead_at_small_batches_of_latent_attention_is_memory() -> None:
    """The model fits fewer H20, so a replica of them has fewer stages."""
    one = next(c for c in _why.crossed(_why.LATENT, 32).cells if (c.phase, c.batch, c.context) == ("decode", 1, 2048))
    assert "pp" not in one.chip.plan_text
    assert "pp=2" in one.other.plan_text


def test_the_h20_is_dear_for_compute_and_cheap_for_bandwidth() -> None:
    h20, h100 = catalog.find_chip("h20"), catalog.find_chip("h100")
    for key, dearer in (("peaks.bf16", True), ("memory.bandwidth", False)):
        per = [chip.value("price.buy") / chip.value(key) for chip in (h20, h100)]
        assert (per[0] > per[1]) is dearer


def test_a_mixed_cluster_costs_least() -> None:
    mixed, *alone = _why.choices(_why.apart())
    assert mixed.usd is not None
    assert all(each.usd is None or mixed.usd < each.usd for each in alone)


@pytest.mark.parametrize(("chip", "then", "now"), [("a800", False, True), ("h800", False, True), ("h100", True, True)])
def test_the_rule_of_2023_catches_what_that_of_2022_let_go(chip: str, then: bool, now: bool) -> None:
    import datetime

    before = rules.evaluate(chip, datetime.date(2023, 6, 1)).verdict("3A090 of October 2022")
    after = rules.evaluate(chip, datetime.date(2024, 6, 1)).verdict("3A090 of October 2023")
    assert (before.caught, after.caught) == (then, now)
