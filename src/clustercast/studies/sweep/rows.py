"""What points come to, and the table that it makes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from clustercast.estimates import interval
from clustercast.plans import rules
from clustercast.plans.text import NAMED
from clustercast.records import Plan, ServingPlan
from clustercast.studies.sensitivity.model import NEEDS_POWER, TRAINING
from clustercast.studies.sweep.frames import Frame
from clustercast.studies.sweep.outputs import FIELDS, OF_MEMORY, OUTPUTS, Output
from clustercast.studies.sweep.space import NAME, PLAN, Axis, Space

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# What stands where the number of a broken rule would.
TOO_LARGE: Final = -1
NO_FRAME: Final = -2  # the question has no answer: its frame says why
NO_PLAN: Final = -3
IN_WORDS: Final = {TOO_LARGE: "does not fit", NO_PLAN: "no legal plan"}
NAMES: Final = ("chip", "model")  # columns of every table


@dataclass(frozen=True, slots=True)
class Rows:
    """What points come to, before it is a table."""

    broken: "np.ndarray"  # [n] rules.LEGAL, the rule that is broken, or one of the above
    plans: "np.ndarray"  # [n, plan fields]
    out: "np.ndarray"  # [n, FIELDS]
    batches: "np.ndarray"  # [n] serving: sequences in flight on all chips
    frames: list[Frame]
    frame_at: "np.ndarray"  # [n]

    def taken(self, keep: "np.ndarray") -> "Rows":
        """The rows of some of the points."""
        return Rows(
            self.broken[keep], self.plans[keep], self.out[keep], self.batches[keep], self.frames, self.frame_at[keep]
        )


def joined(tables: "list[pa.Table]") -> "pa.Table":
    """One table of several that follow one another, the words of each column in one dictionary."""
    import pyarrow as pa

    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def table(space: Space, points: "np.ndarray", index: "np.ndarray", rows: Rows) -> "pa.Table":
    """The points [n] with these indices [n, axes] as a table: where they lie, their plan, what they come to."""
    import numpy as np
    import pyarrow as pa

    fields = Plan._fields if space.about == TRAINING else ServingPlan._fields
    columns: dict[str, pa.Array] = {"point": pa.array(points)}
    held = {each.name for each in space.axes}
    for name in NAMES:
        if name in space.fixed:
            columns[name] = worded(np.zeros(len(points), np.int64), (space.fixed[name],))
    for place, axis in enumerate(space.axes):
        columns[axis.name] = of_axis(axis, index[:, place])
    if space.samples is not None:
        drawn = sampled_at(space, index[:, -1])
        columns |= {each.name: pa.array(drawn[:, at]) for at, each in enumerate(space.samples.axes)}
    shown = fields if space.optimise else tuple(name for name in ("dp", "ep", "etp") if name in fields)
    for name in shown:
        if name not in held or space.optimise or name == "dp":
            columns[name] = of_plan(name, rows.plans[:, fields.index(name)])
    if space.optimise and space.about != TRAINING:
        columns["batch"] = pa.array(rows.batches)
    columns["status"] = statuses(rows)
    for name in space.outputs:
        columns[name] = of_output(OUTPUTS[space.about][name], name, rows, space.about)
    return pa.table(columns)


def of_axis(axis: Axis, at: "np.ndarray") -> "pa.Array":
    """The values of an axis: words, whole numbers, numbers in base units or multiples."""
    import numpy as np
    import pyarrow as pa

    if axis.kind == NAME:
        return worded(at, axis.values)
    if axis.kind == PLAN:
        return of_plan(axis.name, np.array(axis.values, np.int64)[at])
    return pa.array(np.array(axis.values)[at])


def of_plan(name: str, codes: "np.ndarray") -> "pa.Array":
    """One dimension of plans: whole numbers, or the words of its codes."""
    import pyarrow as pa

    return worded(codes, NAMED[name]) if name in NAMED else pa.array(codes)


def worded(at: "np.ndarray", words: tuple[str, ...]) -> "pa.Array":
    """Words as a dictionary and which of them each point has."""
    import numpy as np
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), pa.array(words, pa.string()))


def sampled_at(space: Space, at: "np.ndarray") -> "np.ndarray":
    """The numbers drawn for samples [n] of any order: [n, sampled axes]."""
    first, last = (int(at.min()), int(at.max()) + 1) if len(at) else (0, 0)
    found: np.ndarray = space.sampled(first, last)[at - first]
    return found


def statuses(rows: Rows) -> "pa.Array":
    """Of each point ok, what it breaks, or why its question has no answer."""
    import numpy as np

    reasons = sorted({each.reason for each in rows.frames if each.reason})
    words = (*rules.NAMES, *IN_WORDS.values(), *reasons)
    codes = rows.broken.copy()
    for place, code in enumerate(IN_WORDS):
        codes[rows.broken == code] = len(rules.NAMES) + place
    lost = rows.broken == NO_FRAME
    place_of = {reason: len(rules.NAMES) + len(IN_WORDS) + place for place, reason in enumerate(reasons)}
    of_frame = np.array([place_of.get(each.reason, 0) for each in rows.frames], np.int64)
    codes[lost] = of_frame[rows.frame_at[lost]]
    return worded(codes, words)


def of_output(output: Output, name: str, rows: Rows, about: str) -> "pa.Array":
    """One output of each point; null where there is none."""
    import numpy as np
    import pyarrow as pa

    values = quantity(output.field, rows, about) * output.factor
    if output.over:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = values / quantity(output.over, rows, about)
    if output.end:
        ends = np.array([interval.around(1.0, each.half_width) for each in rows.frames]).reshape(-1, 2)
        values = values * ends[rows.frame_at, 0 if output.end == "low" else 1]
    known = np.isfinite(values) & (rows.broken == rules.LEGAL)
    if name in OF_MEMORY:
        known |= rows.broken == TOO_LARGE
    if output.field in NEEDS_POWER:
        known &= values > 0.0
    return pa.array(values, mask=~known)


def quantity(field: str, rows: Rows, about: str) -> "np.ndarray":
    """A field of the outcomes, or what follows from plan and question: float64 [n]."""
    import numpy as np

    if field in FIELDS[about]:
        found: np.ndarray = rows.out[:, FIELDS[about].index(field)]
        return found
    made = DERIVED[field]
    derived: np.ndarray = np.asarray(made(rows), float)
    return derived


def _n_chips(rows: Rows) -> Any:
    import numpy as np

    counts = [0 if each.question is None else each.question.n_chips for each in rows.frames]
    return np.array(counts, float)[rows.frame_at]


def _tokens_per_s(rows: Rows) -> Any:
    import numpy as np

    jobs = [None if each.question is None else each.question.job for each in rows.frames]
    tokens = np.array([0.0 if job is None else float(job.seq_len) * job.global_batch for job in jobs])
    with np.errstate(divide="ignore"):
        return tokens[rows.frame_at] / rows.out[:, FIELDS[TRAINING].index("step_s")]


def _n_chips_used(rows: Rows) -> Any:
    return rows.plans[:, [Plan._fields.index(name) for name in ("tp", "pp", "dp", "cp")]].prod(axis=1)


def _n_replicas(rows: Rows) -> Any:
    import numpy as np

    per_replica = rows.plans[:, [ServingPlan._fields.index(name) for name in ("tp", "pp", "attention_dp")]].prod(axis=1)
    return np.floor(_n_chips(rows) / np.maximum(per_replica, 1))


def _batch_per_replica(rows: Rows) -> Any:
    import numpy as np

    return np.ceil(rows.batches / np.maximum(_n_replicas(rows), 1.0))


DERIVED: Final[dict[str, Any]] = {
    "n_chips": _n_chips,
    "tokens_per_s": _tokens_per_s,
    "n_chips_used": _n_chips_used,
    "n_replicas": _n_replicas,
    "batch_per_replica": _batch_per_replica,
}
