"""The output of nccl-tests in all the forms that it comes in."""

import json

import pytest
import synthetic

from clustercast.errors import WrongInput
from clustercast.studies.calibrate import files
from clustercast.studies.calibrate.files import COLLECTIVES, Source
from clustercast.studies.calibrate.nccl import Stated, collectives

SECONDS = synthetic.collective_s(synthetic.cluster_with("h100", 16))
OLD = """\
# nThread 1 nGpus 4 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
#
# Using devices
#   Rank  0 Pid   9999 on    oldhost device  0 [0x06] Tesla V100-SXM2-16GB
#   Rank  1 Pid   9999 on    oldhost device  1 [0x07] Tesla V100-SXM2-16GB
#   Rank  2 Pid   9999 on    oldhost device  2 [0x0a] Tesla V100-SXM2-16GB
#   Rank  3 Pid   9999 on    oldhost device  3 [0x0b] Tesla V100-SXM2-16GB
#
#                                                       out-of-place                       in-place
#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error
#        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
           0             0   float     sum     0.20    0.00    0.00  0e+00     0.20    0.00    0.00  0e+00
     1048576        262144   float     sum    38.75   27.06   40.59  2e-07    38.62   27.15   40.72  2e-07
   134217728      33554432   float     sum   1553.2   86.41  129.62  2e-07   1551.5   86.51  129.76    N/A
# Out of bounds values : 0 OK
"""


PREFIXES = (
    "",
    "[1,0]<stdout>:",
    "[1,0]<stdout>: ",
    "(head, rank=0, pid=3808) [1,0]<stdout>:",
    "0: ",
    " 3: ",
    "[default0]:",
    "2026-01-31T10:00:00Z ",
    "2026-01-31T10:00:00.123456789Z stdout F ",
    "2026-01-31T10:00:00.123456789+02:00 stderr P ",
    "[pod/nccl-test-launcher-x7/main] ",
    "[pod/nccl-test-launcher-x7/main] 2026-01-31T10:00:00Z stdout F [1,0]<stdout>:",
    "Sat Jan 31 10:00:00 2026[1,0]<stdout>:",
    "launcher-1  | ",
)


def source(text: str) -> Source:
    return Source("run.txt", "", text, COLLECTIVES)


def read(text: str, **stated):
    return collectives(source(text), Stated(**stated)).collectives


@pytest.mark.parametrize("operation", synthetic.OPERATIONS)
@pytest.mark.parametrize(
    "prefix",
    PREFIXES,
)
def test_every_row_is_read_whatever_a_launcher_puts_before_it(operation, prefix):
    points = read(synthetic.nccl_text(operation, 8, SECONDS, prefix=prefix))
    assert [point.payload_bytes for point in points] == list(synthetic.SIZES)
    for point in points:
        expected = SECONDS(operation, point.payload_bytes, 8)
        assert point.seconds == pytest.approx(expected, rel=1e-3)
        assert (point.n_ranks, point.n_hosts) == (8, 1)


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_file_with_a_prefix_is_known_by_its_content(prefix, tmp_path):
    path = tmp_path / "log"
    document = synthetic.nccl_json("all_gather", 8, SECONDS)
    for text in (
        synthetic.nccl_text("all_gather", 8, SECONDS, prefix=prefix),
        "\n".join(prefix + line for line in json.dumps(json.loads(document), indent=1).split("\n")),
    ):
        path.write_text(text, encoding="utf-8")
        found = files.source(path)
        assert found.kind == COLLECTIVES
        assert len(collectives(found, Stated()).collectives) == len(synthetic.SIZES)


def test_lines_in_brackets_without_a_table_are_not_called_json(tmp_path):
    path = tmp_path / "log"
    path.write_text("[1,0]<stdout>:mpirun was killed\n", encoding="utf-8")
    with pytest.raises(WrongInput, match=r"log: holds nothing that is known; it begins with '\[1,0\]"):
        files.source(path)


@pytest.mark.parametrize("operation", synthetic.OPERATIONS)
def test_the_json_form_says_the_same(operation):
    text, document = (make(operation, 8, SECONDS) for make in (synthetic.nccl_text, synthetic.nccl_json))
    for one, other in zip(read(text), read(document), strict=True):
        assert one._replace(seconds=0.0, where="") == other._replace(seconds=0.0, where="")
        assert one.seconds == pytest.approx(other.seconds, rel=1e-3)


def test_an_old_table_without_root_is_read_and_a_row_of_no_bytes_is_not():
    points = read(OLD)
    assert [(p.operation, p.payload_bytes, p.n_ranks) for p in points] == [
        ("all-reduce", 1048576.0, 4),
        ("all-reduce", 134217728.0, 4),
    ]
    assert points[1].seconds == pytest.approx(1553.2e-6)


def test_two_runs_in_one_file_are_two_collectives_on_their_own_ranks():
    both = synthetic.nccl_text("all_reduce", 8, SECONDS) + synthetic.nccl_text("all_gather", 4, SECONDS)
    assert {(p.operation, p.n_ranks) for p in read(both)} == {("all-reduce", 8), ("all-gather", 4)}


def test_hosts_are_counted():
    assert {p.n_hosts for p in read(synthetic.nccl_text("all_gather", 16, SECONDS))} == {2}


def test_a_json_of_many_processes_counts_its_devices():
    document = json.loads(synthetic.nccl_json("all_gather", 16, SECONDS))
    document["config"] |= {"ngpus": 1}
    document["config"]["devices"] = [{"group": 0, "hostname": f"node-{rank // 8}"} for rank in range(16)]
    (ranks,) = {(p.n_ranks, p.n_hosts) for p in read(json.dumps(document))}
    assert ranks == (16, 2)


def test_sums_tell_their_operation_by_their_bandwidths():
    for operation, name in (("all_reduce", "all-reduce"), ("reduce_scatter", "reduce-scatter")):
        assert {p.operation for p in read(synthetic.nccl_text(operation, 8, SECONDS, named=False))} == {name}


def test_what_the_file_does_not_say_is_asked_for():
    text = synthetic.nccl_text("all_gather", 8, SECONDS, named=False)
    with pytest.raises(WrongInput, match=r"run.txt:\d+: nothing says which collective it measured") as raised:
        read(text)
    assert raised.value.hint == "give --operation, one of all-reduce, all-gather, reduce-scatter, all-to-all, send"
    assert {p.operation for p in read(text, operation="all-gather")} == {"all-gather"}
    bare = "\n".join(line for line in text.splitlines() if "Rank" not in line and "nThread" not in line)
    with pytest.raises(WrongInput, match="nothing says how many ranks ran"):
        read(bare, operation="all-gather")
    assert {p.n_ranks for p in read(bare, operation="all-gather", n_ranks=8)} == {8}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("all_reduce_perf", "broadcast_perf", "broadcast_perf is not used, expected one of all_reduce"),
        ("all_reduce_perf", "all_gather_perf", r"busbw over algbw is 1\.750, expected 0\.875 for all-gather over 8"),
        ("       0  ", "       3  ", "says that 3 elements are wrong"),
        ("#  Rank  7", "#  Rank 15", r"expected 1\.875 for all-reduce over 16 ranks"),
    ],
)
def test_a_file_that_cannot_be_right_is_refused_with_its_line(old, new, message):
    text = synthetic.nccl_text("all_reduce", 8, SECONDS)
    assert old in text
    with pytest.raises(WrongInput, match=r"run.txt:\d+: .*" + message):
        read(text.replace(old, new))


def test_a_row_that_was_cut_names_its_line_and_what_was_expected():
    lines = synthetic.nccl_text("all_reduce", 8, SECONDS).splitlines()
    place = next(i for i, line in enumerate(lines) if " float " in line)
    lines[place] = lines[place][:60]
    with pytest.raises(WrongInput, match=rf"run.txt:{place + 1}: expected time, algbw, busbw, #wrong after the size"):
        read("\n".join(lines))


def test_no_rows_are_no_measurement():
    header = synthetic.nccl_text("all_reduce", 8, SECONDS).split("out-of-place")[0]
    with pytest.raises(WrongInput, match="holds no measured collective"):
        read(header)
