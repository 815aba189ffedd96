"""catalog/fabrics.py: tiers inside out."""

import pytest

from clustercast import catalog
from clustercast.errors import WrongInput
from clustercast.records import SHAPE_NAMES


def test_a_fabric_has_its_tiers():
    fabric = catalog.find_fabric("hgx-v100-cube-mesh")
    assert fabric.package is None
    assert (fabric.scale_up.n_chips, fabric.scale_up.shape, fabric.scale_up.pair_fraction) == (8, "cube-mesh", 0.333)
    assert fabric.rail.bandwidth.value == 50e9 / 8
    assert fabric.value("rail.n_chips") == fabric.rail.n_chips
    assert fabric.value("spine.oversubscription") == 1
    assert fabric.rails_cross


@pytest.mark.parametrize("name", catalog.fabric_names())
def test_every_fabric_is_of_a_shape_that_the_physics_knows(name):
    fabric = catalog.find_fabric(name)
    assert fabric.scale_up.shape in SHAPE_NAMES
    assert all(each.source in fabric.sources for _, each in fabric.quantities())


@pytest.mark.parametrize("name", catalog.chip_names())
def test_every_chip_comes_in_a_fabric_of_the_catalogue(name):
    assert catalog.find_chip(name).fabric in catalog.fabric_names()


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("oversubscription", "0.5", "--set fabric.oversubscription: '0.5' is less than 1"),
        ("rails_cross", "maybe", "--set fabric.rails_cross: expected yes or no, got 'maybe'"),
        ("rail_chips", "1.5", "--set fabric.rail_chips: expected a whole number, and a fabric that has this level"),
        (
            "colour",
            "7",
            "--set fabric.colour: is not known, "
            "expected one of rails_cross, oversubscription, scale_up_chips, rail_chips",
        ),
    ],
)
def test_a_wrong_setting_is_refused(key: str, text: str, message: str) -> None:
    with pytest.raises(WrongInput) as caught:
        catalog.find_fabric("hgx-h100-nvswitch").with_setting(key, text)
    assert caught.value.message == message


def test_a_setting_changes_one_parameter_and_says_who_assumed_it() -> None:
    fabric = catalog.find_fabric("hgx-h100-nvswitch")
    changed = fabric.with_setting("oversubscription", "7").with_setting("rail_chips", "512")
    assert (changed.oversubscription.value, changed.oversubscription.source) == (7.0, "--set")
    assert changed.rail is not None
    assert changed.rail.n_chips == 512
    assert changed.with_setting("rails_cross", "no").rails_cross is False
    assert fabric.oversubscription.value == 1.0
