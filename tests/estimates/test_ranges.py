"""What a number moves: exactly what `improved` moves, and nothing else."""

import pytest

from clustercast.estimates.elasticity import improved, improved_serving
from clustercast.estimates.question import Asked, fill
from clustercast.estimates.ranges import leaves, moved, serving_parameters, training_parameters

QUESTION = fill(Asked("h20", "deepseek-v3", 64))


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_resource_moves_what_its_elasticity_moves(factor: float) -> None:
    training, served = QUESTION.setting(), QUESTION.serving_setting()
    for found, setting, better in (
        (training_parameters(QUESTION, training), training, improved),
        (serving_parameters(QUESTION, served), served, improved_serving),
    ):
        resources = {each.name: each for each in found if each.group == "hardware"}
        assert set(resources) == {
            f"chip.{name}" for name in ("flops", "hbm_bandwidth", "hbm_capacity", "scale_up", "scale_out")
        }
        for name, each in resources.items():
            there = moved(setting, each, factor * each.number.value)
            expected = better(setting, name.removeprefix("chip."), factor)  # type: ignore[operator]
            assert [value for _, value in leaves(there)] == pytest.approx([value for _, value in leaves(expected)])


def test_a_constant_moves_its_own_field_only() -> None:
    setting = QUESTION.setting()
    for each in training_parameters(QUESTION, setting):
        if each.group == "hardware" or each.name.startswith("link."):
            continue
        there = moved(setting, each, each.number.high if each.number.high != each.number.value else each.number.low)
        changed = [path for (path, old), (_, new) in zip(leaves(setting), leaves(there), strict=True) if old != new]
        assert changed == [each.places[0].path], each.name


def test_names_are_unique() -> None:
    for found in (training_parameters(QUESTION, QUESTION.setting()),
                  serving_parameters(QUESTION, QUESTION.serving_setting())):  # fmt: skip
        names = [each.name for each in found]
        assert len(names) == len(set(names))
