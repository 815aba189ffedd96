"""Which link a run belongs to, by its ranks, its hosts and the fabric."""

import pytest

from clustercast import catalog
from clustercast.errors import WrongInput
from clustercast.studies.calibrate.collectives import tasks
from clustercast.studies.calibrate.nccl import Collective


def links(chip, *runs, fabric=None):
    found = catalog.find_chip(chip)
    points = [Collective("all-gather", 1e6, n_ranks, n_hosts, 1e-3, "run.txt:1") for n_ranks, n_hosts in runs]
    return tasks(found, catalog.find_fabric(fabric or found.fabric), points)


@pytest.mark.parametrize(
    ("chip", "runs", "expected"),
    [
        ("h100", [(8, 1), (2, 1)], [(1, "nvlink4")]),
        ("h100", [(16, 2), (8, 1)], [(1, "nvlink4"), (2, "infiniband")]),
        ("h100", [(8, 2)], [(2, "infiniband")]),  # four chips of each of two hosts
        ("h100", [(4, 4)], [(2, "infiniband")]),  # one chip of each host
        ("gb200", [(72, 18)], [(1, "nvlink5")]),
        ("gb200", [(8, 2)], [(1, "nvlink5")]),
        ("gb200", [(144, 36)], [(2, "infiniband")]),
    ],
)
def test_a_run_belongs_to_the_link_it_crosses_furthest_out(chip, runs, expected):
    assert links(chip, *runs) == expected


def test_more_ranks_than_a_host_joins_are_refused():
    with pytest.raises(WrongInput, match=r"run.txt:1: 16 ranks on one host, but hgx-h100-nvswitch joins 8"):
        links("h100", (16, 1))
