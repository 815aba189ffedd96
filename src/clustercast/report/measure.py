"""A measurement as text: what the machine reaches, kind by kind."""

from typing import Final

from clustercast import units
from clustercast.report.layout import Block, Line, Table, short, wrap
from clustercast.studies.measure.result import Measurement, Point

TITLES: Final = {
    "memory": "memory",
    "matmul": "matmuls",
    "attention_forward": "attention, forward",
    "attention_both": "attention, forward and backward",
    "all_reduce": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "alltoall": "all-to-all",
}
MOST_LEFT_OUT: Final = 5


def measurement(found: Measurement) -> list[Block]:
    """What was measured, and what to do with the file."""
    ranks = len(found.hosts)
    where = f"{ranks} ranks on {len(set(found.hosts))} hosts, {found.device}" if ranks > 1 else found.device
    blocks: list[Block] = wrap(f"{len(found.points)} times taken on {where} ({found.backend}).", style="bold")
    for kind in dict.fromkeys(each.kind for each in found.points):
        blocks += ["", Line(TITLES.get(kind, kind), "bold"), of_kind(found.of(kind))]
    if found.left_out:
        blocks += ["", Line("Left out", "bold")]
        for each in found.left_out[:MOST_LEFT_OUT]:
            blocks += wrap(each, "  ", "    ")
        if len(found.left_out) > MOST_LEFT_OUT:
            blocks.append(f"  and {len(found.left_out) - MOST_LEFT_OUT} more: see the file")
    if found.output:
        blocks += ["", *wrap(f"Written to {found.output}; make the model agree with it:")]
        blocks.append(f"  clustercast calibrate {found.output} --chip NAME")
    return blocks


def of_kind(points: list[Point]) -> Table:
    """The points of one kind as a table."""
    rows = [(shape(each), each.number_format, units.seconds(each.seconds), rate(each)) for each in points]
    return Table(("size", "format", "time", "rate"), rows, frozenset((2, 3)), (0,))


def shape(point: Point) -> str:
    """The size of an operation.

    >>> shape(Point("matmul", {"m": 1, "n": 2, "k": 3}, "bf16", 1.0, 1.0, 1.0, 1))
    '1 x 2 x 3'
    """
    if "bytes" in point.shape:
        return units.si(float(point.shape["bytes"]), "B")
    return " x ".join(str(size) for size in point.shape.values())


def rate(point: Point) -> str:
    """What the operation reaches."""
    if point.flop > 0.0:
        return units.si(point.flop_per_s, "FLOP/s")
    return units.si(point.bytes_per_s, "B/s") if point.moved_bytes > 0.0 else short(1.0 / point.seconds)
