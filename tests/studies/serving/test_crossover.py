"""Where one chip beats another, and where decode turns: laws, and the story that the map has to tell."""

import math
from dataclasses import replace

import pytest

from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.serving import crossover as study
from clustercast.studies.serving.crossover import DECODE, PREFILL, CrossoverAsked, crossover

DENSE = "llama-3.1-70b"


def test_a_chip_against_itself_is_even_everywhere() -> None:
    found = crossover(CrossoverAsked("h100", "h100", DENSE, batches=(1, 64), contexts=(4096,)))
    for one in found.cells:
        assert (one.ratio, one.winner, one.sure) == (1.0, "even", False)


def test_the_other_way_round_the_ratios_are_inverse() -> None:
    grid = {"batches": (1, 32), "contexts": (2048, 32768)}
    there = crossover(CrossoverAsked("h20", "h100", DENSE, **grid))  # type: ignore[arg-type]
    back = crossover(CrossoverAsked("h100", "h20", DENSE, **grid))  # type: ignore[arg-type]
    for one in there.cells:
        other = back.cell(one.phase, one.batch, one.context)
        assert one.ratio is not None
        assert other.ratio is not None
        assert math.isclose(one.ratio * other.ratio, 1.0)
        assert one.winner == other.winner


def test_per_dollar_is_per_chip_times_the_ratio_of_prices() -> None:
    asked = CrossoverAsked(
        "h20", "h100", DENSE, batches=(8,), contexts=(4096,), settings=("chip.price_rent=1USD/h",),
        other_settings=("chip.price_rent=2USD/h",),
    )  # fmt: skip
    for one in crossover(asked).cells:
        assert one.ratio is not None
        assert one.ratio_per_usd is not None
        assert math.isclose(one.ratio_per_usd, 2.0 * one.ratio)


def test_the_story_of_the_h20_dense() -> None:
    found = crossover(CrossoverAsked("h20", "h100", DENSE, batches=(1, 8, 512), contexts=(1024, 4096)))
    small = found.cell(DECODE, 8, 4096)
    assert small.ratio is not None
    assert small.ratio >= 1.0
    assert small.chip.bound == "hbm_bandwidth"
    large = found.cell(DECODE, 512, 1024)
    assert large.ratio is not None
    assert large.ratio < 0.8
    assert large.chip.bound == "compute"
    prefill = found.cell(PREFILL, 8, 4096)
    assert prefill.ratio is not None
    assert 1 / 6.7 < prefill.ratio < 1 / 3.5


def test_the_story_of_the_h20_latent() -> None:
    found = crossover(CrossoverAsked("h20", "h100", "deepseek-v3", batches=(256,), contexts=(4096,)))
    large = found.cell(DECODE, 256, 4096)
    assert large.ratio is not None
    assert large.ratio < 1.0
    assert (large.chip.bound, large.other.bound) == ("compute", "hbm_bandwidth")
    h20, h100 = found.turns
    assert h20.batch is not None
    assert h20.batch < 256
    assert h100.batch is None or h100.batch > 4 * h20.batch


def test_at_the_turn_compute_overtakes_bandwidth() -> None:
    found = crossover(CrossoverAsked("h20", "h100", DENSE, batches=(1,), contexts=(2048,)))
    turn = found.turns[0]
    assert turn.batch is not None
    assert turn.batch > 1.0
    one = study.machine(CrossoverAsked("h20", "h100", DENSE), "h20", None, (), found.count)

    def leads(batch: float) -> bool:
        layout = study.fastest(DECODE, batch, 2048, one)
        assert layout is not None
        flops = study.slope("flops", DECODE, batch, 2048, layout, one)
        return flops > study.slope("hbm_bandwidth", DECODE, batch, 2048, layout, one)

    assert leads(turn.batch)
    assert not leads(0.98 * turn.batch)


def test_it_says_who_wins_where_and_where_the_order_changes() -> None:
    found = crossover(CrossoverAsked("h20", "h100", DENSE, batches=(1, 8, 64, 512), contexts=(1024, 4096)))
    for won in found.won:
        ratios = [(study.ratio_of(one, won.basis), one) for one in found.cells if one.phase == won.phase]
        mine = [(r if won.chip == found.chip else 1 / r, one) for r, one in ratios if r]
        assert won.of == len(mine)
        assert won.points == sum(math.log(r) > study.EVEN for r, _ in mine)
        if won.most_factor is not None:
            assert won.most_factor == max(r for r, _ in mine)
    per_chip = [one for one in found.crossings if (one.phase, one.basis) == (DECODE, study.CHIP)]
    assert [one.context for one in per_chip] == [1024, 4096]
    for one in per_chip:
        assert (one.winner_below, one.winner_above) == (found.chip, found.other)
        below = max(batch for batch in found.batches if batch <= one.batch)
        above = min(batch for batch in found.batches if batch >= one.batch)
        first, second = (found.cell(DECODE, batch, one.context).ratio or 0.0 for batch in (below, above))
        assert first > 1.0 > second


def test_a_precision_is_of_both_chips_unless_the_other_has_its_own() -> None:
    asked = CrossoverAsked("h20", "h100", "deepseek-v3", batches=(8,), contexts=(4096,), precision="fp8")
    assert (crossover(asked).precision, crossover(asked).other_precision) == ("fp8", "fp8")
    own = crossover(replace(asked, other_precision="fp8-block"))
    assert (own.precision, own.other_precision) == ("fp8", "fp8-block")
    with pytest.raises(WrongInput, match="ascend-910b3 has no fp8"):
        crossover(replace(asked, other="910b"))


def test_a_batch_beyond_memory_is_said_so() -> None:
    found = crossover(CrossoverAsked("h20", "h100", DENSE, count=8, batches=(1, 4096), contexts=(131072,)))
    one = found.cell(DECODE, 4096, 131072)
    assert (one.ratio, one.winner, one.chip.bound) == (None, "neither", "memory")
    assert 1 <= one.chip.largest_batch < 4096
    assert one.chip.largest_batch > one.other.largest_batch


def test_a_given_layout_is_kept() -> None:
    asked = CrossoverAsked("h20", "h100", DENSE, count=8, batches=(16,), contexts=(4096,), plan="tp=4,pp=2")
    found = crossover(asked)
    for one in found.cells:
        assert one.chip.plan_text == one.other.plan_text == "tp=4,pp=2"


def test_what_does_not_fit_names_the_count_that_would() -> None:
    with pytest.raises(NoAnswer, match="hold no layout") as error:
        crossover(CrossoverAsked("h20", "h100", "llama-3.1-405b", count=2))
    assert error.value.numbers["smallest_count"] == 16 or error.value.hint


def test_a_grid_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(WrongInput, match="--batch"):
        crossover(CrossoverAsked("h20", "h100", DENSE, batches=(0,)))
    with pytest.raises(WrongInput, match="cannot be fixed here"):
        crossover(CrossoverAsked("h20", "h100", DENSE, plan="replicas=2"))
