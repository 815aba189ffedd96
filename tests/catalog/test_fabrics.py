"""catalog/fabrics.py: tiers inside out."""

import pytest

from clustercast import catalog
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
