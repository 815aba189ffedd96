"""A study that needs neither chips nor models: its points are sums, so that a test sees what the folder does."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clustercast.catalog import read
from clustercast.studies.sweep import run
from clustercast.studies.sweep.space import Axis, Space

if TYPE_CHECKING:
    import pyarrow as pa

STUDY = """\
schema: clustercast.study/1
title: Sums
about: training
axes:
  tp: [1, 2, 4, 8]
  pp: [1, 2, 3, 4, 5]
  count: [64, 128, 256, 512, 1024, 2048, 4096]
"""
PART_SIZE = 16  # 140 points in 9 parts


class Found(NamedTuple):
    table: "pa.Table"
    counts: dict[str, int]


class Sums:
    """Rows of a study without physics; points where tp is 8 and pp is 1 are against the rules."""

    def __init__(self, space: Space, wait_s: float = 0.0) -> None:
        self.space = space
        self.wait_s = wait_s

    def part(self, first: int, last: int) -> Found:
        import pyarrow as pa

        time.sleep(self.wait_s)
        at = self.space.indices(first, last)
        columns = [np.array(axis.values)[at[:, i]] for i, axis in enumerate(self.space.axes)]
        legal = ~((columns[0] == 8) & (columns[1] == 1))
        table = {"point": pa.array(np.arange(first, last)[legal])}
        for axis, column in zip(self.space.axes, columns, strict=True):
            table[axis.name] = pa.array(column[legal].astype(np.int64))
        fits = np.where(columns[2] > 64, "ok", "does not fit")[legal]
        table["status"] = pa.array(fits).dictionary_encode()
        step_s = sum(column / (i + 1) for i, column in enumerate(columns))[legal]
        table["step_s"] = pa.array(step_s, mask=fits != "ok")
        n = int(legal.sum())
        return Found(pa.table(table), {"considered": last - first, "illegal": last - first - n, "kept": n})


def space_of(content: bytes, path: Path) -> Space:
    """The study of such a file: whole numbers only."""
    data = read.parse(content, path)
    axes = tuple(Axis(name, "whole", tuple(values)) for name, values in data["axes"].items())
    return Space(
        title=data["title"],
        about=data["about"],
        axes=axes,
        samples=None,
        fixed={},
        relative_fixed=frozenset(),
        conditions=(),
        optimise=False,
        outputs=("step_s",),
        keep="legal",
        part_size=data.get("part_size", PART_SIZE),
        text=content.decode(),
    )


def bytes_in(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def in_a_child(work: Callable[[], Any]) -> int:
    """Run it in a process of its own, which shares all that is loaded; the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons frown on a fork beside threads
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return child


def dask_setup(_: Any) -> None:
    """Called in every worker that loads this file beforehand: it then evaluates sums, some milliseconds each."""
    run.space_of = space_of
    run.evaluator_of = lambda space: Sums(space, 0.003)
