"""What a device has to do to be measured: prepare an operation, run it, say how long it took."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

Run = Callable[[], None]  # queues or does one operation whose operands are ready


class Attention(NamedTuple):
    """The shape of one causal attention."""

    batch: int
    heads: int
    kv_heads: int
    length: int
    head_dim: int


class Device(Protocol):
    """One accelerator, or the CPU."""

    @property
    def name(self) -> str:
        """What the device calls itself."""

    @property
    def backend(self) -> str:
        """What drives it: numpy, torch cpu, torch cuda and the like, with the version."""

    @property
    def is_small(self) -> bool:
        """Whether only small sizes are sensible: a CPU."""

    @property
    def memory_bytes(self) -> float | None:
        """Of the device; None where nobody can say."""

    def formats(self) -> Sequence[str]:
        """Number formats that matmuls can run in."""

    def matmul(self, m: int, n: int, k: int, number_format: str) -> Run:
        """[m, k] x [k, n]."""

    def attention(self, shape: Attention) -> tuple[Run, Run | None]:
        """Causal attention forward, and forward with backward where the device can."""

    def copy(self, n_bytes: int) -> Run:
        """Reads and writes so many bytes."""

    def flush(self) -> None:
        """Writes more than the last cache holds."""

    def seconds(self, run: Run, times: int) -> float:
        """Seconds of the device for so many runs in a row, nothing of what was queued before counted."""


class Group(Protocol):
    """The processes of one job that can reach one another; each drives one device."""

    @property
    def rank(self) -> int:
        """Of this process."""

    @property
    def hosts(self) -> Sequence[str]:
        """The host of every rank, in order."""

    @property
    def device_name(self) -> str:
        """Of this process's device."""

    def collective(self, operation: str, n_bytes: int) -> Run:
        """One collective whose whole vector has so many bytes, as nccl-tests count them."""

    def seconds(self, run: Run, times: int) -> float:
        """Seconds of the slowest rank for so many runs in a row."""
