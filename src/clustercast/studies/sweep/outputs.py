"""What a study may ask of each point: columns, their units, and where in an outcome they come from."""

from typing import Final, NamedTuple

from clustercast.records import Serving, Step
from clustercast.studies.sensitivity.model import SERVING, TRAINING, ServingOutcome, TrainingOutcome

DAY_S: Final = 86400.0


class Output(NamedTuple):
    """One column: a field of an outcome in some unit, or a quotient of two."""

    half: str
    title: str
    unit: str
    field: str
    factor: float = 1.0
    over: str = ""  # the field that it is divided by
    end: str = ""  # low or high: that end of the 80 % interval


FIELDS: Final = {
    TRAINING: TrainingOutcome._fields + Step._fields,
    SERVING: ServingOutcome._fields + Serving._fields,
}  # some fields stand twice, with the same value
# What holds for a plan that does not fit, too.
OF_MEMORY: Final = ("memory_bytes", "capacity_bytes", "memory_fraction")

TERMS: Final = (
    "compute_s", "tp_comm_s", "cp_comm_s", "ep_comm_s", "pp_comm_s", "dp_comm_s", "bubble_s", "optimizer_s", "host_s",
    "straggler_s",
)  # fmt: skip


def _own(half: str, names: tuple[str, ...]) -> dict[str, Output]:
    units = {"_s": "s", "_bytes": "B", "_flop": "FLOP"}
    found = {}
    for name in names:
        unit = next((unit for ending, unit in units.items() if name.endswith(ending)), "1")
        found[name] = Output(half, name.removesuffix(f"_{unit.lower()}").replace("_", " "), unit, name)
    return found


OUTPUTS: Final = {
    TRAINING: {
        "days": Output(TRAINING, "training days", "days", "total_s", 1.0 / DAY_S),
        "days_low": Output(TRAINING, "training days, low end", "days", "total_s", 1.0 / DAY_S, end="low"),
        "days_high": Output(TRAINING, "training days, high end", "days", "total_s", 1.0 / DAY_S, end="high"),
        "step_s": Output(TRAINING, "step time", "s", "step_s"),
        "step_s_low": Output(TRAINING, "step time, low end", "s", "step_s", end="low"),
        "step_s_high": Output(TRAINING, "step time, high end", "s", "step_s", end="high"),
        "tokens_per_s": Output(TRAINING, "tokens per second", "tokens/s", "tokens_per_s"),
        "tokens_per_s_per_chip": Output(
            TRAINING, "tokens per second per chip", "tokens/s", "tokens_per_s", over="n_chips"
        ),
        "mfu_fraction": Output(TRAINING, "model FLOP utilisation", "share", "mfu_fraction"),
        "goodput_fraction": Output(TRAINING, "goodput", "share", "goodput_fraction"),
        "rent_usd": Output(TRAINING, "cost, rented", "USD", "rent_usd"),
        "own_usd": Output(TRAINING, "cost, own chips", "USD", "own_usd"),
        "energy_mwh": Output(TRAINING, "energy", "MWh", "energy_j", 1.0 / 3.6e9),
        "carbon_t": Output(TRAINING, "carbon dioxide", "t", "carbon_kg", 1e-3),
        "memory_bytes": Output(TRAINING, "memory of the fullest chip", "B", "memory_bytes"),
        "capacity_bytes": Output(TRAINING, "memory that there is", "B", "capacity_bytes"),
        "memory_fraction": Output(TRAINING, "memory, of what there is", "share", "memory_bytes", over="capacity_bytes"),
        "n_chips_used": Output(TRAINING, "chips that the plan uses", "1", "n_chips_used"),
    }
    | _own(TRAINING, tuple(name for name in FIELDS[TRAINING] if name in Step._fields and name not in (
        "step_s", "memory_bytes", "capacity_bytes"))),
    SERVING: {
        "tpot_ms": Output(SERVING, "time per output token", "ms", "tpot_s", 1e3),
        "ttft_ms": Output(SERVING, "time to first token, alone", "ms", "ttft_s", 1e3),
        "output_tokens_per_s_per_chip": Output(
            SERVING, "output tokens per second per chip", "tokens/s", "output_tokens_per_s_per_chip"
        ),
        "prefill_tokens_per_s_per_chip": Output(
            SERVING, "prompt tokens per second per chip", "tokens/s", "prefill_tokens_per_s_per_chip"
        ),
        "rent_usd_per_mtok": Output(SERVING, "cost of a million output tokens, rented", "USD", "rent_usd_per_token",
                                    1e6),
        "own_usd_per_mtok": Output(SERVING, "cost of a million output tokens, own chips", "USD", "own_usd_per_token",
                                   1e6),
        "memory_bytes": Output(SERVING, "memory of a chip", "B", "memory_bytes"),
        "capacity_bytes": Output(SERVING, "memory that there is", "B", "capacity_bytes"),
        "memory_fraction": Output(SERVING, "memory, of what there is", "share", "memory_bytes", over="capacity_bytes"),
        "n_replicas": Output(SERVING, "replicas", "1", "n_replicas"),
        "batch_per_replica": Output(SERVING, "sequences in flight on a replica", "1", "batch_per_replica"),
    }
    | _own(SERVING, tuple(name for name in FIELDS[SERVING] if name in Serving._fields and name not in (
        "memory_bytes", "capacity_bytes"))),
}  # fmt: skip
USUAL: Final = {
    TRAINING: ("days", "step_s", "mfu_fraction", "rent_usd", "memory_bytes"),
    SERVING: ("tpot_ms", "ttft_ms", "output_tokens_per_s_per_chip", "rent_usd_per_mtok", "memory_bytes"),
}
