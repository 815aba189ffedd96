"""Exact plan search: the best plan of a stated space, with everything else counted by reason.

What one layer costs depends on few of a plan's dimensions (tp, cp, ep, etp, micro-batch, recompute:
the key); pipeline, data parallelism and sharding only decide how often it runs. So a layer is costed
once per key, and since the slowest stage alone bounds a step from below,

    step >= ((global batch / (dp micro-batch) * ceil(L / pp) + (L - ceil(L / pp)) / vpp) * layer + host) * straggler,

keys, pipelines and data-parallel degrees that cannot beat the best so far are never costed. Nothing
else is left out: the answer equals brute force over the space, and a test says so.
"""

import itertools
import math
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clustercast.physics.layer import ends, layer
from clustercast.physics.training import memory, n_microbatches, n_slots, step_of
from clustercast.plans import rules, text
from clustercast.records import (
    CP_ALL_TO_ALL,
    RECOMPUTE_BLOCK,
    RECOMPUTE_FULL,
    RECOMPUTE_NONE,
    RECOMPUTE_SELECTIVE,
    SCHEDULE_1F1B,
    SCHEDULE_DUALPIPE,
    SCHEDULE_NAMES,
    Plan,
    Setting,
    Step,
)

if TYPE_CHECKING:
    from clustercast.records import Job, Model

__all__ = ["Found", "Space", "brute_force", "fastest", "pareto", "space_of", "spaces_of"]

KEY_FIELDS = ("tp", "cp", "ep", "etp", "micro_batch", "recompute", "sequence_parallel")
MOST_TP = 64
ZERO_3 = 3
MOST_CP = 64
MOST_MICRO_BATCH = 16
MOST_ETP = 8
LEAST_CP_TOKENS = 1024  # a context-parallel rank with fewer tokens has nothing to overlap with
FREED = dict(
    zip(text.FREED, (tuple(range(len(SCHEDULE_NAMES))), (0, 1), (1, 0), (0, 1), (1, 0), (1, 0)), strict=True)
)  # what a search may be told to try, the usual first
ROUNDING = 1.0 - 1e-12  # a bound may be a rounding above what it bounds
COMPILED_ABOVE = 1_000_000  # plans considered; below it plain Python is done before numba is loaded: bench/results
COMPILED_COSTS = 20_000  # plans costed whole; the same


class Space(NamedTuple):
    """The plans that a search considers: every combination that is legal."""

    keys: list[tuple[int, ...]]  # KEY_FIELDS
    pps: list[int]
    vpps: list[list[int]]  # for each pp
    dps: list[int]  # descending
    zeros: list[int]
    base: Plan  # what is fixed

    @property
    def n_considered(self) -> int:
        """Every combination, legal or not."""
        return len(self.keys) * sum(map(len, self.vpps)) * len(self.dps) * len(self.zeros)


class Found(NamedTuple):
    """What a search found: the best plans in order, how many it looked at, why the others are not there."""

    plans: list[Plan]
    steps_s: list[float]
    n_considered: int
    n_feasible: int  # costed whole and fitting
    rejected: dict[str, int]
    least_bytes: float  # needed by the plan that needs least, where none fits
    least_plan: Plan | None


def divisors(number: int, most: int) -> list[int]:
    """The divisors of `number` up to `most`, ascending.

    >>> divisors(12, 6)
    [1, 2, 3, 4, 6]
    """
    return [d for d in range(1, min(number, most) + 1) if number % d == 0]


def powers_of_two(most: int) -> list[int]:
    """1, 2, 4 ... up to `most`."""
    return [1 << i for i in range(max(most, 1).bit_length()) if 1 << i <= most]


def space_of(setting: Setting, n_chips: int, fixed: dict[str, int]) -> Space:
    """Every plan for up to `n_chips`, with the dimensions in `fixed` held.

    tp: divisors of the heads, up to twice the scale-up domain and 64. cp: powers of two that leave a rank
    1,024 tokens. ep: divisors of the experts; etp: 1, 2, 4, 8. micro-batch: divisors of the global batch
    up to 16. dp: divisors of the global batch. pp: 1 to the number of layers, uneven stages included;
    vpp: for each number of layers in a chunk the most chunks
    that leaves, an end counted as a layer. zero: 0 to 3. recompute: none, selective, full.
    """
    model, job = setting.model, setting.job
    most_tp = min(MOST_TP, n_chips, 2 * max(setting.cluster.scale_up.n_chips, MOST_TP // 8))

    def choices(name: str, free: Sequence[int]) -> list[int]:
        return [fixed[name]] if name in fixed else list(free)

    tps = choices("tp", [tp for tp in range(1, most_tp + 1) if not rules.tp_rule(tp, model)])
    free_cps = [cp for cp in powers_of_two(MOST_CP) if job.seq_len % cp == 0 and job.seq_len // cp >= LEAST_CP_TOKENS]
    cps = choices("cp", free_cps or [1])
    moe = model.n_moe_layers > 0
    eps = choices("ep", divisors(model.n_experts, n_chips) if moe else [1])
    etps = choices("etp", [etp for etp in powers_of_two(MOST_ETP) if model.expert_ffn % etp == 0] if moe else [1])
    batches = choices("micro_batch", divisors(job.global_batch, MOST_MICRO_BATCH))
    recomputes = choices("recompute", [RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL])
    pairs = [
        (tp, cp, fixed.get("sequence_parallel", _sequence_parallel(tp, cp, job)))
        for tp in tps
        for cp in cps
        if tp * cp <= n_chips and _key_is_legal(tp, cp, fixed, model, job)
    ]
    keys: list[tuple[int, ...]] = [
        (tp, cp, ep, etp, micro_batch, recompute, sequence_parallel)
        for tp, cp, sequence_parallel in pairs
        for ep in eps
        for etp in etps
        for micro_batch in batches
        for recompute in recomputes
    ]
    most_pp = max(1, min(model.n_layers, n_chips // max(1, min(tps, default=1) * min(cps))))
    pps = choices("pp", range(1, most_pp + 1))
    vpps = [_vpps(pp, model, fixed) for pp in pps]
    dps = sorted(choices("dp", divisors(job.global_batch, n_chips)), reverse=True)
    zeros = [zero for zero in choices("zero", [0, 1, 2, 3]) if zero == ZERO_3 or not fixed.get("shard")]
    names = {"shard", "recompute_layers", "schedule", "cp_kind", "offload", "tp_overlap", "dp_overlap"}
    held = {name: code for name, code in fixed.items() if name in names}
    base = Plan(1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)._replace(**held)
    return Space(keys, pps, vpps, dps, zeros, base)


def spaces_of(setting: Setting, n_chips: int, fixed: dict[str, int]) -> list[Space]:
    """The spaces that are searched together: one for each choice of what `fixed` frees by the code ANY.

    What a space holds at one value unless it is freed (FREED): the schedule, how context parallelism sends, sequence
    parallelism, offloading, and whether communication overlaps.
    """
    freed = [name for name, code in fixed.items() if code == text.ANY]
    held = {name: code for name, code in fixed.items() if code != text.ANY}
    choices = itertools.product(*(FREED[name] for name in freed))
    return [space_of(setting, n_chips, held | dict(zip(freed, codes, strict=True))) for codes in choices]


def _key_is_legal(tp: int, cp: int, fixed: dict[str, int], model: "Model", job: "Job") -> bool:
    if fixed.get("sequence_parallel") and (job.seq_len // cp) % tp:
        return False
    return fixed.get("cp_kind") != CP_ALL_TO_ALL or model.n_heads % (tp * cp) == 0


def _sequence_parallel(tp: int, cp: int, job: "Job") -> int:
    return int(tp > 1 and job.seq_len // cp % tp == 0)


def _vpps(pp: int, model: "Model", fixed: dict[str, int]) -> list[int]:
    free = [1]
    if pp > 1 and fixed.get("schedule", SCHEDULE_1F1B) == SCHEDULE_1F1B:
        most = max(1, rules.most_chunks(model) // pp)
        free = sorted({most // layers for layers in range(1, most + 1)}, reverse=True)
        if "vpp" in fixed and fixed["vpp"] <= most:
            free = [fixed["vpp"]]
    return [vpp for vpp in free if vpp == fixed.get("vpp", vpp)]


def make_plan(key: Any, pp: int, vpp: int, dp: int, zero: int, base: Plan) -> Plan:
    """A whole plan from a key and the dimensions outside it. Compiled as it stands."""
    return Plan(
        key[0], pp, vpp, dp, key[1], key[2], key[3], zero,
        base.shard, key[4], key[5], base.recompute_layers, base.schedule, key[6], base.cp_kind, base.offload,
        base.tp_overlap, base.dp_overlap,
    )  # fmt: skip


def fits_together(key: Any, pp: int, dp: int, base: Plan, global_batch: int) -> bool:
    """Whether what a key leaves open divides: the rules of `rules.first_broken` that join it with pp and dp."""
    if (key[0] * key[1] * dp) % (key[2] * key[3]) != 0 or global_batch % (dp * key[4]) != 0:
        return False
    if base.shard > 0 and (dp * key[1]) % base.shard != 0:
        return False
    if base.schedule == SCHEDULE_DUALPIPE:
        return pp % 2 == 0 and global_batch // (dp * key[4]) >= 2 * pp
    return True


def left_share(base: Plan, vpp: int) -> float:
    """The least share of fill and drain that the schedule leaves: what a bound may count on."""
    if base.schedule == SCHEDULE_1F1B:
        return 1.0 / vpp
    return 0.0


def sort_by(order: Any, values: Any) -> None:
    """Sort the indices in `order` by `values`, in place: a shell sort, which runs plain and compiled alike."""
    gap = len(order) // 2
    while gap > 0:
        for i in range(gap, len(order)):
            moving = order[i]
            at = i
            while at >= gap and values[order[at - gap]] > values[moving]:
                order[at] = order[at - gap]
                at -= gap
            order[at] = moving
        gap //= 2


def search_keys(
    setting: Setting,
    keys: Any,
    pps: Any,
    vpps: Any,
    n_vpps: Any,
    dps: Any,
    zeros: Any,
    base: Plan,
    n_chips: int,
    cap_bytes: float,
    bounds: Any,
    order: Any,
    best_s: Any,
    best_plans: Any,
    counts: Any,
) -> None:
    """Fill `best_s` and `best_plans` with the fastest plans that fit, in order. Runs plain or compiled.

      bounds, order  [keys] scratch, order counts up from 0;  best_s [top] starts at infinity
      best_plans     [top + 1][plan fields], the last row takes the plan that needs least memory
    counts: chips, divisibility, memory, costed whole, least bytes
    """
    top = len(best_s)
    stack = setting.stack
    n_layers = n_slots(setting.model)
    global_batch = float(setting.job.global_batch)
    for i in range(len(keys)):
        one = layer(setting, make_plan(keys[i], 1, 1, 1, 0, base))
        kernels_s = one.forward_s + one.backward_s + one.recompute_s + one.slowdown_s
        layer_s = kernels_s + one.tp_exposed_s + one.cp_exposed_s + one.ep_exposed_s + one.host_s
        bounds[i] = global_batch * n_layers * layer_s * keys[i][0] * keys[i][1] / (keys[i][4] * float(n_chips))
    sort_by(order, bounds)
    for place_of_key in range(len(keys)):
        at = order[place_of_key]
        if bounds[at] >= best_s[top - 1]:
            return
        key = keys[at]
        one = layer(setting, make_plan(key, 1, 1, 1, 0, base))
        end = ends(setting, make_plan(key, 1, 1, 1, 0, base))
        kernels_s = one.forward_s + one.backward_s + one.recompute_s + one.slowdown_s
        layer_s = kernels_s + one.tp_exposed_s + one.cp_exposed_s + one.ep_exposed_s + one.host_s
        inner = key[0] * key[1]
        first = 0  # in dps: the chips allow it, and as pp grows never one before it
        for a in range(len(pps)):
            pp = pps[a]
            n_most = math.ceil(n_layers / pp)
            per_dp = len(zeros)
            while first < len(dps) and inner * pp * dps[first] > n_chips:
                first += 1
            counts[0] += first * per_dp * n_vpps[a]
            if (
                first < len(dps)
                and n_vpps[a] > 0
                and fits_together(key, pp, dps[first], base, setting.job.global_batch)
            ):
                # the most chips and sharding in whole stages need the least memory: where that fails, all does
                vpp = vpps[a][n_vpps[a] - 1]
                leanest = make_plan(key, pp, vpp, dps[first], zeros[len(zeros) - 1], base)
                n_batches = n_microbatches(setting.job, leanest)
                least_bytes = memory(setting, leanest, one, end, n_batches).total_bytes
                if least_bytes > cap_bytes:
                    counts[2] += (len(dps) - first) * per_dp * n_vpps[a]
                    if least_bytes < counts[4] and (vpp == 1 or int(n_batches) % pp == 0):
                        counts[4] = least_bytes
                        for f in range(len(leanest)):
                            best_plans[top][f] = leanest[f]
                    continue
            for b in range(first, len(dps)):
                dp = dps[b]
                n_batches = global_batch / (dp * float(key[4]))
                if n_batches * n_most * layer_s >= best_s[top - 1]:
                    break
                if not fits_together(key, pp, dp, base, setting.job.global_batch):
                    counts[1] += per_dp * n_vpps[a]
                    continue
                slack = ROUNDING * (1.0 + stack.straggler_per_doubling * math.log2(float(inner * pp * dp)))
                for c in range(n_vpps[a]):
                    vpp = vpps[a][c]
                    flow_s = (n_batches * n_most + left_share(base, vpp) * (n_layers - n_most)) * layer_s
                    if (flow_s + n_batches * stack.host_microbatch_s + stack.host_step_s) * slack >= best_s[top - 1]:
                        continue
                    if vpp > 1 and int(n_batches) % pp != 0:
                        counts[1] += per_dp
                        continue
                    # more sharding never needs more memory: where the most does not fit, none does
                    most = make_plan(key, pp, vpp, dp, zeros[len(zeros) - 1], base)
                    least = memory(setting, most, one, end, n_microbatches(setting.job, most))
                    if least.total_bytes > cap_bytes:
                        counts[2] += per_dp
                        if least.total_bytes < counts[4]:
                            counts[4] = least.total_bytes
                            for f in range(len(most)):
                                best_plans[top][f] = most[f]
                        continue
                    for d in range(len(zeros)):
                        plan = make_plan(key, pp, vpp, dp, zeros[d], base)
                        held = memory(setting, plan, one, end, n_microbatches(setting.job, plan))
                        if held.total_bytes > cap_bytes:
                            counts[2] += 1
                            continue
                        counts[3] += 1
                        step_s = step_of(setting, plan, one, end).step_s
                        if step_s < best_s[top - 1]:
                            place = top - 1
                            while place > 0 and step_s < best_s[place - 1]:
                                best_s[place] = best_s[place - 1]
                                for f in range(len(plan)):
                                    best_plans[place][f] = best_plans[place - 1][f]
                                place -= 1
                            best_s[place] = step_s
                            for f in range(len(plan)):
                                best_plans[place][f] = plan[f]


class Best:
    """The best plans so far, in the form that `search_keys` fills: lists for plain Python, arrays for compiled code."""

    def __init__(self, top: int, n_fields: int, *, compiled: bool) -> None:
        self.steps_s: Any = [math.inf] * top
        self.plans: Any = [[0] * n_fields for _ in range(top + 1)]
        self.counts: Any = [0, 0, 0, 0, math.inf]
        if compiled:
            self.steps_s, self.counts = array("d", self.steps_s), array("d", self.counts)
            self.plans = numbers(self.plans)

    def found(self, n_considered: int) -> Found:
        """What the search says in the end."""
        steps = [float(step_s) for step_s in self.steps_s if step_s < math.inf]
        rows = self.plans if isinstance(self.plans, list) else self.plans.tolist()
        chips, divisibility, memory_, costed = (int(x) for x in self.counts[:4])
        least_bytes = float(self.counts[4])
        rejected = {
            "more chips than there are": chips,
            "divisibility": divisibility,
            "memory": memory_,
            "slower, proved by a bound": max(0, n_considered - chips - divisibility - memory_ - costed),
        }
        least = Plan(*rows[-1]) if least_bytes < math.inf else None
        return Found(
            [Plan(*row) for row in rows[: len(steps)]], steps, n_considered, costed, rejected, least_bytes, least
        )


def fastest(
    setting: Setting,
    n_chips: int,
    fixed: dict[str, int],
    top: int = 1,
    cap_bytes: float = math.inf,
    *,
    compiled: bool | None = None,
) -> Found:
    """The `top` fastest plans that fit the chip and `cap_bytes`, exactly, over `spaces_of`.

    compiled  None: plain Python for small spaces, numba for large ones; the answer is the same bit for bit
    """
    spaces = [space for space in spaces_of(setting, n_chips, fixed) if space.keys and space.zeros]
    if not spaces:
        return Found([], [], 0, 0, {"divisibility": 1}, math.inf, None)
    if RECOMPUTE_BLOCK in {key[5] for space in spaces for key in space.keys}:
        return brute_force(setting, n_chips, fixed, top, cap_bytes)
    n_considered = sum(space.n_considered for space in spaces)
    if compiled is None:
        compiled = n_considered > COMPILED_ABOVE
    capacity_bytes = min(cap_bytes, setting.chip.hbm_bytes - setting.chip.reserved_bytes)
    best = Best(top, len(Plan._fields), compiled=compiled)
    look = look_compiled if compiled else look_plain
    for space in spaces:
        look(setting, space, n_chips, capacity_bytes, best)
    return best.found(n_considered)


def look_plain(setting: Setting, space: Space, n_chips: int, cap_bytes: float, best: Best) -> None:
    """Search one space by the plain formulas."""
    n_vpps = [len(vpps) for vpps in space.vpps]
    bounds, order = [0.0] * len(space.keys), list(range(len(space.keys)))
    search_keys(
        setting, space.keys, space.pps, space.vpps, n_vpps, space.dps, space.zeros, space.base, n_chips, cap_bytes,
        bounds, order, best.steps_s, best.plans, best.counts,
    )  # fmt: skip


def look_compiled(setting: Setting, space: Space, n_chips: int, cap_bytes: float, best: Best) -> None:
    """The same, compiled."""
    from clustercast.physics import grid

    run = grid.compiled(search_keys, make_plan, sort_by, fits_together, left_share)
    n_vpps = [len(vpps) for vpps in space.vpps]
    most = max(1, *n_vpps)
    padded = [[*vpps, *([0] * (most - len(vpps)))] for vpps in space.vpps]
    n_keys = len(space.keys)
    run(
        setting, numbers(space.keys), array("q", space.pps), numbers(padded), array("q", n_vpps),
        array("q", space.dps), array("q", space.zeros), space.base, n_chips, float(cap_bytes),
        array("d", bytes(8 * n_keys)), array("q", range(n_keys)), best.steps_s, best.plans, best.counts,
    )  # fmt: skip


def numbers(rows: Sequence[Sequence[int]]) -> memoryview:
    """Rows of whole numbers of one length as a table that compiled code reads and writes; NumPy would take longer."""
    flat = array("q", itertools.chain.from_iterable(rows))
    return memoryview(flat).cast("B").cast("q", (len(rows), len(rows[0])))


def every(space: Space) -> Iterator[Plan]:
    """Every plan of a space, legal or not."""
    for key in space.keys:
        for pp, vpps in zip(space.pps, space.vpps, strict=True):
            for dp in space.dps:
                for vpp in vpps:
                    for zero in space.zeros:
                        yield make_plan(key, pp, vpp, dp, zero, space.base)


def brute_force(
    setting: Setting,
    n_chips: int,
    fixed: dict[str, int],
    top: int = 1,
    cap_bytes: float = math.inf,
    *,
    compiled: bool | None = None,
) -> Found:
    """The same answer by costing every plan of the space whole: slow, obvious, the judge of `fastest`.

    compiled  None: by the number of legal plans; the answer is the same bit for bit
    """
    n_considered, n_beyond = 0, 0
    legal: list[Plan] = []
    for plan in (plan for space in spaces_of(setting, n_chips, fixed) for plan in every(space)):
        n_considered += 1
        if plan.tp * plan.pp * plan.cp * plan.dp > n_chips:
            n_beyond += 1
        elif not rules.broken_rule(plan, setting.model, setting.job, n_chips):
            legal.append(plan)
    capacity_bytes = min(cap_bytes, setting.chip.hbm_bytes - setting.chip.reserved_bytes)
    fitting: list[tuple[float, Plan]] = []
    least_bytes, least_plan = math.inf, None
    for plan, (step_s, held_bytes) in zip(legal, costs_of(setting, legal, compiled=compiled), strict=True):
        if held_bytes <= capacity_bytes:
            fitting.append((step_s, plan))
        elif held_bytes < least_bytes:
            least_bytes, least_plan = held_bytes, plan
    fitting.sort(key=lambda pair: pair[0])
    best = fitting[:top]
    rejected = {
        "more chips than there are": n_beyond,
        "divisibility": n_considered - n_beyond - len(legal),
        "memory": len(legal) - len(fitting),
    }
    steps = [step_s for step_s, _ in best]
    return Found([plan for _, plan in best], steps, n_considered, len(fitting), rejected, least_bytes, least_plan)


def costs_of(setting: Setting, plans: list[Plan], *, compiled: bool | None = None) -> list[tuple[float, float]]:
    """Step seconds and bytes of each plan."""
    from clustercast.physics.training import training_step

    if compiled is None:
        compiled = len(plans) > COMPILED_COSTS
    if not compiled:
        steps = (training_step(setting, plan) for plan in plans)
        return [(step.step_s, step.memory_bytes) for step in steps]
    from clustercast.physics import grid

    rows = grid.steps(setting, plans)
    places = [Step._fields.index(name) for name in ("step_s", "memory_bytes")]
    return [(step_s, held_bytes) for step_s, held_bytes in rows[:, places].tolist()]


def pareto(setting: Setting, n_chips: int, fixed: dict[str, int], most: int = 12) -> list[tuple[float, float, Plan]]:
    """The exact Pareto set of speed against memory, fastest first: (step seconds, bytes, plan).

    Each next plan is the fastest of those that need less memory than the last.
    """
    from clustercast.physics.training import training_step

    points: list[tuple[float, float, Plan]] = []
    cap_bytes = math.inf
    while len(points) < most:
        found = fastest(setting, n_chips, fixed, 1, cap_bytes)
        if not found.plans:
            break
        step = training_step(setting, found.plans[0])
        points.append((step.step_s, step.memory_bytes, found.plans[0]))
        cap_bytes = step.memory_bytes * (1.0 - 1e-3)
    return points
