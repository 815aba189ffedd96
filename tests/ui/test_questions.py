"""What a request may hold, and what is turned away."""

import pytest
from hostile_names import NAMES
from pydantic import ValidationError

from clustercast.ui import questions


def test_numbers_may_be_text_as_people_write_it() -> None:
    found = questions.Estimate(chip="h20", model="70B", count="10k", tokens="13T", seq=4096.0)
    assert (found.count, found.tokens, found.seq) == (10_000, 13e12, 4096)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 10_000_001},
        {"count": "many"},
        {"count": 1.5},
        {"count": True},
        {"tokens": float("nan")},
        {"tokens": float("inf")},
        {"tokens": -1},
        {"isl": 10**9},
        {"tpot": 0},
        {"plan": "tp=8;rm -rf"},
        {"plan": "x" * 401},
        {"set": ["chip.flops"]},
        {"set": ["chip.flops=<b>"]},
        {"set": ["chip.power=1W"] * 25},
        {"calibration": "x.yaml"},
        {"launch": "run.sh"},
        {"price": "steal"},
    ],
)
def test_what_is_out_of_bounds_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        questions.Estimate.model_validate({"chip": "h20", "model": "70B"} | wrong)


@pytest.mark.parametrize("name", ["../h20", "/etc/passwd", "h20.yaml", "a\\b", "config.json", "", "a" * 65, *NAMES])
def test_no_name_is_a_path_or_markup(name: str) -> None:
    for field in ("chip", "model", "fabric", "stack", "engine", "precision"):
        with pytest.raises(ValidationError):
            questions.Estimate.model_validate({"chip": "h20", "model": "70B"} | {field: name})


def test_at_most_six_chips_stand_side_by_side() -> None:
    assert questions.Compare(chips="h20,h100", model="70B").chips == ["h20", "h100"]
    with pytest.raises(ValidationError):
        questions.Compare(chips=["h20"] * 7, model="70B")
