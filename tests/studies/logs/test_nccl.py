"""nccl-tests as a log: text and JSON, told by their content."""

import json
from pathlib import Path

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from clustercast.errors import WrongInput
from clustercast.studies.calibrate.nccl import Stated
from clustercast.studies.logs import nccl

SECONDS = synthetic.collective_s(synthetic.cluster_with("h100", 8))
TEXT = synthetic.nccl_text("all_reduce", 8, SECONDS, sizes=synthetic.SIZES[::6])
JSON = synthetic.nccl_json("all_reduce", 8, SECONDS)
HERE = Path("run.txt")


@pytest.mark.parametrize("content", [TEXT, JSON, TEXT.replace("\n", "\r\n"), json.dumps(json.loads(JSON), indent=2)])
def test_both_forms_say_the_same(content):
    assert nccl.looks_like(content)
    told = nccl.read_text(content, HERE, Stated())
    assert {(each.operation, each.n_ranks, each.n_hosts) for each in told.collectives} == {("all-reduce", 8, 1)}
    largest = told.collectives[-1]
    assert largest.seconds == pytest.approx(SECONDS("all_reduce", largest.payload_bytes, 8), rel=1e-3)


def test_what_is_none_is_not_taken_for_one():
    assert not nccl.looks_like('{"results": [], "completed": 3}')
    assert not nccl.looks_like("step: 1 tps: 5")


@given(st.integers(0, 2000), st.sampled_from([TEXT, JSON]), st.text(max_size=12))
def test_no_damage_breaks_the_reader(at, content, junk):
    place = at * len(content) // 2000
    for broken in (content[:place], content[place:], content[:place] + junk + content[place + len(junk) :]):
        try:
            told = nccl.read_text(broken, HERE, Stated(n_ranks=8, operation="all-reduce"))
        except WrongInput as error:
            said = error.message
        else:
            said = ""
            assert all(each.seconds > 0.0 for each in told.collectives)
        assert "\n" not in said
