"""The points of a study, evaluated: ranges of indices to tables of rows, by the compiled formulas.

Points that share names and counts share a frame (`frames.py`), whose numbers are one row of a structured array; an axis
or a sample that moves a number makes further rows. What is left of a point is its plan, a row of whole numbers.
"""

import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from clustercast import records
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates import serving as serving_half
from clustercast.plans import rules, search
from clustercast.records import Plan, ServingPlan
from clustercast.studies.sensitivity import model
from clustercast.studies.sensitivity.model import TRAINING
from clustercast.studies.sweep import drivers, layouts, rows
from clustercast.studies.sweep.frames import NEUTRAL, OF_FRAME, ONE_REPLICA, Frame, frame_of
from clustercast.studies.sweep.outputs import FIELDS
from clustercast.studies.sweep.rows import NO_FRAME, NO_PLAN, TOO_LARGE, Rows
from clustercast.studies.sweep.space import ALL, LEGAL, NUMBER, Axis, Space

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

BLOCK: Final = 16_384  # points whose numbers lie in memory together: 50 MB where every point has a row of its own
FRAMES_KEPT: Final = 4_096
TOKENS: Final = "tokens"
BATCH: Final = "batch"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The kept points of a range, ascending, and how many there were of every kind."""

    table: "pa.Table"
    counts: dict[str, int]


class Evaluator:
    """Evaluates the points of one study, from several threads at once."""

    def __init__(self, space: Space) -> None:
        """Raises WrongInput for what no point can be asked."""
        self.space = space
        self.columns = {each.name: place for place, each in enumerate(space.axes)}
        self.said = frozenset((*self.columns, *space.fixed))
        self.training = space.about == TRAINING
        self.dimensions = Plan._fields if self.training else ServingPlan._fields
        self.frame_axes = [place for place, each in enumerate(space.axes) if each.name in OF_FRAME]
        self.moving = [place for place, each in enumerate(space.axes) if each.kind == NUMBER or each.name == TOKENS]
        if space.samples is not None:
            self.moving.append(len(space.axes))
        drawn = () if space.samples is None else space.samples.axes
        plain = (*OF_FRAME, *self.dimensions, TOKENS, BATCH)
        self.numbers = tuple(
            name for name in (*self.columns, *space.fixed, *(each.name for each in drawn)) if name not in plain
        )
        moved: tuple[Any, ...] = (*space.axes, *drawn)
        self.relative = {each.name for each in moved if each.relative} | space.relative_fixed
        self._check()
        self._frame = lru_cache(FRAMES_KEPT)(self._made_frame)
        self._own = threading.local()

    def _check(self) -> None:
        if self.training:
            return
        if not self.space.optimise and BATCH not in self.said:
            raise WrongInput("batch is missing: expected an axis or a fixed value", hint="or optimise: plan")
        held = [name for name in self.dimensions if name in self.said]
        if self.space.optimise and held:
            raise WrongInput(f"{held[0]}: optimise searches the whole layout", hint=f"leave out optimise or {held[0]}")

    def part(self, first: int, last: int) -> Evaluated:
        """The points from `first` up to `last`."""
        blocks = [self._block(start, min(start + BLOCK, last)) for start in range(first, last, BLOCK)]
        return Evaluated(
            rows.joined([table for table, _ in blocks]),
            {name: sum(counts[name] for _, counts in blocks) for name in blocks[0][1]},
        )

    def _block(self, first: int, last: int) -> "tuple[pa.Table, dict[str, int]]":
        import numpy as np

        points, index = np.arange(first, last, dtype=np.int64), self.space.indices(first, last)
        if self.space.conditions:
            mask = self.space.passes(first, last)
            points, index = points[mask], index[mask]
        found = self._evaluated(index)
        broken = found.broken
        keep: np.ndarray = np.ones(len(points), bool)
        if self.space.keep != ALL:
            keep = (broken == rules.LEGAL) | ((broken == TOO_LARGE) & (self.space.keep == LEGAL))
        counts = {
            "considered": last - first,
            "outside": last - first - len(points),
            "unsupported": int((broken == NO_FRAME).sum()),
            "illegal": int(((broken > rules.LEGAL) | (broken == NO_PLAN)).sum()),
            "too_large": int((broken == TOO_LARGE).sum()),
            "kept": int(keep.sum()),
        }
        if not keep.all():
            points, index, found = points[keep], index[keep], found.taken(keep)
        return rows.table(self.space, points, index, found), counts

    def _evaluated(self, index: "np.ndarray") -> Rows:
        """What points with these indices [n, axes] come to."""
        import numpy as np

        n, shape = len(index), self.space.shape
        distinct, frame_at = layouts.unique_rows(index[:, self.frame_axes], [shape[place] for place in self.frame_axes])
        frames = [self._frame(tuple(key)) for key in distinct.tolist()]
        answered = np.array([each.question is not None for each in frames], bool)[frame_at]
        if answered.all() and n:
            return self._asked(index, frames, frame_at)
        found = Rows(
            broken=np.full(n, NO_FRAME, np.int64),
            plans=np.zeros((n, len(self.dimensions)), np.int64),
            out=np.zeros((n, len(FIELDS[self.space.about]))),
            batches=self._batches(index),
            frames=frames,
            frame_at=frame_at,
        )
        if answered.any():
            part = self._asked(index[answered], frames, frame_at[answered])
            for whole, some in ((found.broken, part.broken), (found.plans, part.plans), (found.out, part.out)):
                whole[answered] = some
            found.batches[answered] = part.batches
        return found

    def _asked(self, index: "np.ndarray", frames: list[Frame], frame_at: "np.ndarray") -> Rows:
        """The same where every question has an answer. The outcomes lie in memory that the next block takes."""
        import numpy as np

        from clustercast.physics import grid

        cases, case_of = self._cases(index, frames, frame_at)
        said = {name: self._whole(name, index) for name in self.dimensions if name in self.said}
        asked = [frames[each] for each in frame_at] if self.space.optimise else []
        points, batches = Points(asked, cases, case_of, said), self._batches(index)
        fields = FIELDS[self.space.about]
        broken, out = np.empty(len(index), np.int64), self._room(len(index), len(fields))
        failed: Any = None
        if self.training:
            plans, failed = searched(points) if self.space.optimise else (training_plans(points), None)
            run = grid.compiled(drivers.run_training, *drivers.TRAINING_HELPERS)
            run(cases, case_of, plans, broken, out)
        else:
            if self.space.optimise:
                plans, batches, failed = laid_out(points, batches)
            else:
                n_experts = cases["setting"]["model"]["n_experts"][case_of]
                plans = layouts.serving_layouts(said, len(index), n_experts)
            run = grid.compiled(drivers.run_serving, *drivers.SERVING_HELPERS)
            run(cases, case_of, plans, batches, broken, out)
            if failed is not None:
                out[failed != rules.LEGAL] = np.nan  # there is no layout to tell of
        held, there = (out[:, fields.index(name)] for name in ("memory_bytes", "capacity_bytes"))
        broken[(broken == rules.LEGAL) & (held > there)] = TOO_LARGE
        if failed is not None:
            broken = np.where(failed != rules.LEGAL, failed, broken)
        return Rows(broken, plans, out, batches, frames, frame_at)

    def _room(self, n: int, n_fields: int) -> "np.ndarray":
        """Memory for the outcomes of a block [n, fields], the same at every call of a thread: fresh pages cost time."""
        import numpy as np

        if not hasattr(self._own, "room"):
            self._own.room = np.zeros((BLOCK, n_fields))
        found: np.ndarray = self._own.room[:n]
        return found

    def _batches(self, index: "np.ndarray") -> "np.ndarray":
        """Sequences in flight on all chips, where the study says it: int64 [n]."""
        import numpy as np

        return self._whole(BATCH, index) if BATCH in self.said else np.zeros(len(index), np.int64)

    def _made_frame(self, key: tuple[int, ...]) -> Frame:
        values: dict[str, Any] = {name: self.space.fixed[name] for name in OF_FRAME if name in self.space.fixed}
        axes = [self.space.axes[place] for place in self.frame_axes]
        values |= {axis.name: axis.values[at] for axis, at in zip(axes, key, strict=True)}
        return frame_of(self.space.about, values, self.numbers)

    def _whole(self, name: str, index: "np.ndarray") -> "np.ndarray":
        """What an axis or a fixed value says of a whole number, for each point: int64 [n]."""
        import numpy as np

        if name not in self.columns:
            return np.full(len(index), self.space.fixed[name], np.int64)
        axis: Axis = self.space.axes[self.columns[name]]
        found: np.ndarray = np.array(axis.values, np.int64)[index[:, self.columns[name]]]
        return found

    def _cases(
        self, index: "np.ndarray", frames: list[Frame], frame_at: "np.ndarray"
    ) -> "tuple[np.ndarray, np.ndarray]":
        """Rows of cases, one for each frame and combination of numbers there is, and which one each point has."""
        import numpy as np

        from clustercast.physics import grid

        kind = model.TrainingCase if self.training else model.ServingCase
        keys = np.column_stack([frame_at, index[:, self.moving]])
        distinct, case_of = layouts.unique_rows(
            keys, [len(frames), *(self.space.shape[place] for place in self.moving)]
        )
        values = self._numbers(distinct[:, 1:])
        cases = np.zeros(len(distinct), grid.row_type(kind))
        for at in np.unique(distinct[:, 0]).tolist():
            frame, mine = frames[at], np.flatnonzero(distinct[:, 0] == at)
            parameters = [frame.parameters[name] for name in self.numbers]
            usual = [each.number.value if each.name in self.relative else 1.0 for each in parameters]
            samples = np.empty((len(mine), len(parameters)))
            for column, (parameter, factor) in enumerate(zip(parameters, usual, strict=True)):
                samples[:, column] = values[parameter.name][mine] * factor
            made = model.table(grid.row(frame.case), parameters, samples)
            if self.training and TOKENS in values:
                made["run"]["tokens"] = values[TOKENS][mine]
            cases[mine] = made
        return cases, case_of

    def _numbers(self, keys: "np.ndarray") -> "dict[str, np.ndarray]":
        """The values of all numbers, and of tokens where they are said, for combinations [m, moving axes]."""
        import numpy as np

        found = {
            name: np.full(len(keys), float(self.space.fixed[name]))
            for name in (*self.numbers, TOKENS)
            if name in self.space.fixed
        }
        for column, place in enumerate(self.moving):
            if place < len(self.space.axes):
                axis = self.space.axes[place]
                found[axis.name] = np.array(axis.values, float)[keys[:, column]]
        if self.space.samples is not None:
            drawn = rows.sampled_at(self.space, keys[:, -1])
            found |= {each.name: drawn[:, at] for at, each in enumerate(self.space.samples.axes)}
        return found


@dataclass(frozen=True, slots=True)
class Points:
    """What the points of a block that have an answer are made of."""

    frames: list[Frame]  # of each point, where it is searched
    cases: "np.ndarray"  # [m] rows
    case_of: "np.ndarray"  # [n]
    said: layouts.Said


def training_plans(points: Points) -> "np.ndarray":
    """The plan of each point [n, plan fields], what nobody says filled in."""
    import numpy as np

    run, job = points.cases["run"], points.cases["setting"]["job"]
    n_chips = run["n_chips"].astype(np.int64)[points.case_of]
    return layouts.training_plans(
        points.said, n_chips, job["seq_len"][points.case_of], job["global_batch"][points.case_of]
    )


def searched(points: Points) -> "tuple[np.ndarray, np.ndarray]":
    """The fastest plan of each point that holds what is said [n, plan fields], and why there is none [n]."""
    import numpy as np

    from clustercast.physics import grid

    n = len(points.case_of)
    plans, failed = np.zeros((n, len(NEUTRAL)), np.int64), np.full(n, rules.LEGAL)
    for i in range(n):
        case = points.cases[points.case_of[i]]
        fixed = {name: int(values[i]) for name, values in points.said.items() if values[i] != layouts.FILL}
        setting = grid.record(records.Setting, case["setting"])
        found = search.fastest(setting, int(case["run"]["n_chips"]), fixed, compiled=True)
        if found.plans:
            plans[i] = found.plans[0]
        else:
            plans[i] = found.least_plan or NEUTRAL
            failed[i] = TOO_LARGE if found.least_plan else NO_PLAN
    return plans, failed


def laid_out(points: Points, batches: "np.ndarray") -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """The layout that `estimate` answers for [n, layout fields], sequences in flight [n], and why there is none [n]."""
    import numpy as np

    from clustercast.physics import grid

    n = len(points.case_of)
    plans, failed, flying = np.tile(ONE_REPLICA, (n, 1)), np.full(n, rules.LEGAL), batches.copy()
    for i in range(n):
        question = points.frames[i].question
        if question is None:
            continue
        setting = grid.record(records.ServingSetting, points.cases[points.case_of[i]]["setting"])
        asked = replace(question.asked, batch=int(batches[i]) or None)
        try:
            plan, size, batch, _ = serving_half.choose(replace(question, asked=asked), setting)
        except NoAnswer:
            failed[i], flying[i] = TOO_LARGE, max(int(batches[i]), 1)
            continue
        plans[i] = plan
        flying[i] = asked.batch or batch * (question.n_chips // size)
    return plans, flying, failed
