"""Whole plans of many points at once: what axes say, what is fixed, and how the rest is filled in."""

from typing import TYPE_CHECKING, Any, Final

from clustercast.plans.search import divisors
from clustercast.records import Plan, ServingPlan
from clustercast.studies.sweep.frames import NEUTRAL, ONE_REPLICA

if TYPE_CHECKING:
    import numpy as np

FILL: Final = -1  # of data parallelism: the most that the chips and the batch allow

Said = dict[str, Any]  # dimension of a plan -> int64 [n]: what axes and `fixed` say


def training_plans(
    said: Said, n_chips: "np.ndarray", seq_len: "np.ndarray", global_batch: "np.ndarray"
) -> "np.ndarray":
    """Plans [n, plan fields] of points.

    Where nobody says it: no parallelism but data parallelism over all the chips, ZeRO-1, sequence parallelism with
    tensor parallelism where the tokens of a chip divide, everything else at its neutral value.
    """
    import numpy as np

    table = np.empty((len(n_chips), len(Plan._fields)), np.int64)
    at = {name: place for place, name in enumerate(Plan._fields)}
    for name, place in at.items():
        table[:, place] = said.get(name, getattr(NEUTRAL, name))
    tp, cp = table[:, at["tp"]], table[:, at["cp"]]
    if "sequence_parallel" not in said:
        per_rank = seq_len // np.maximum(cp, 1)
        table[:, at["sequence_parallel"]] = (tp > 1) & (per_rank % np.maximum(tp, 1) == 0)
    filled = table[:, at["dp"]] == FILL if "dp" in said else np.ones(len(table), bool)
    if filled.any():
        room = n_chips // (tp * table[:, at["pp"]] * cp)
        columns = np.stack([room, global_batch, table[:, at["micro_batch"]]], axis=1)[filled]
        table[filled, at["dp"]] = most_data_parallel(columns)
    return table


def most_data_parallel(columns: "np.ndarray") -> "np.ndarray":
    """The largest data parallelism of rows (room, global batch, micro-batch): at most the room, and it divides.

    1 where there is no room or the micro-batch does not divide: then the plan breaks a rule, which says so.

    >>> import numpy as np
    >>> most_data_parallel(np.array([[24, 512, 2], [7, 512, 2], [0, 8, 1], [8, 9, 2]])).tolist()
    [16, 4, 1, 1]
    """
    import numpy as np

    distinct, where = unique_rows(columns, (columns.max(axis=0, initial=0) + 1).tolist())
    most = np.ones(len(distinct), np.int64)
    for row, (room, batch, micro_batch) in enumerate(distinct.tolist()):
        if room >= 1 and batch % micro_batch == 0:
            most[row] = divisors(batch // micro_batch, room)[-1]
    found: np.ndarray = most[where]
    return found


def serving_layouts(said: Said, n_points: int, n_experts: "np.ndarray") -> "np.ndarray":
    """Layouts of replicas [n, serving plan fields]; experts over as many chips of a replica as divide them.

    n_experts  of each point's model, 0 where it has none
    """
    import numpy as np

    table = np.empty((n_points, len(ServingPlan._fields)), np.int64)
    at = {name: place for place, name in enumerate(ServingPlan._fields)}
    for name, place in at.items():
        table[:, place] = said.get(name, getattr(ONE_REPLICA, name))
    group = table[:, at["tp"]] * table[:, at["attention_dp"]]
    mixture = n_experts > 0
    if "ep" not in said:
        etp = said.get("etp", np.ones(n_points, np.int64))
        table[:, at["ep"]] = np.where(mixture, np.gcd(group // np.maximum(etp, 1), n_experts), 1)
    if "etp" not in said:
        table[:, at["etp"]] = np.where(mixture, group // np.maximum(table[:, at["ep"]], 1), 1)
    return table


def unique_rows(keys: "np.ndarray", radices: list[int]) -> "tuple[np.ndarray, np.ndarray]":
    """The distinct rows of whole numbers [m, columns], ascending, and which one each row is.

    radices  what the numbers of each column stay below

    >>> import numpy as np
    >>> distinct, which = unique_rows(np.array([[1, 0], [0, 2], [1, 0]]), [2, 3])
    >>> distinct.tolist(), which.tolist()
    ([[0, 2], [1, 0]], [1, 0, 1])
    """
    import numpy as np

    if not radices:
        return np.zeros((1, 0), np.int64), np.zeros(len(keys), np.int64)
    flat, which = np.unique(np.ravel_multi_index(tuple(keys.T), radices), return_inverse=True)
    return np.column_stack(np.unravel_index(flat, radices)).astype(np.int64), which.reshape(-1)
