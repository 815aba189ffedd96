"""`measure`: which sizes, on which device, into which file."""

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from clustercast import __version__
from clustercast.catalog import constants
from clustercast.errors import NoAnswer, WrongInput
from clustercast.studies.measure import torch_device
from clustercast.studies.measure.cpu import NumpyDevice
from clustercast.studies.measure.device import Attention, Device, Group, Run
from clustercast.studies.measure.result import Measurement, Point
from clustercast.studies.measure.timing import Budget, Taken, setting, taken, taken_together

DEVICES: Final = ("auto", "cpu", "cuda", "npu", "xpu")
BYTES: Final = {"fp8": 1, "int8": 1, "bf16": 2, "fp16": 2, "tf32": 4, "fp32": 4, "fp64": 8}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MeasureAsked:
    """The question as the user put it."""

    device: str = "auto"
    quick: bool = False


def measure(asked: MeasureAsked, progress: Progress = lambda _: None) -> Measurement | None:
    """Run everything that the device can, in five minutes (quick: one). None on all ranks but the first.

    Raises WrongInput for a device that is not there, NoAnswer where nothing could be measured.
    """
    device = device_of(asked.device)
    group: torch_device.TorchGroup | None = None
    if isinstance(device, torch_device.TorchDevice) and torch_device.is_distributed():
        group = torch_device.TorchGroup(device)
    try:
        found = measured(device, group, quick=asked.quick, progress=progress)
    finally:
        if group is not None:
            group.close()
    return found if group is None or group.rank == 0 else None


def device_of(name: str) -> Device:
    """The device of that name; auto: an accelerator that PyTorch sees, else the CPU.

    The CPU by NumPy; under torchrun by PyTorch, whose ranks then speak to one another.
    """
    if name not in DEVICES:
        raise WrongInput(f"--device: unknown device {name[:40]!r}", hint=f"there are {', '.join(DEVICES)}")
    kind = torch_device.accelerator() if name == "auto" else name
    if kind in (None, "cpu"):
        return torch_device.TorchDevice("cpu") if torch_device.is_distributed() else NumpyDevice()
    return torch_device.TorchDevice(kind)


def measured(device: Device, group: Group | None, *, quick: bool, progress: Progress = lambda _: None) -> Measurement:
    """All points of a device, and of its group where there is one. Raises NoAnswer where there are none."""
    budget = Budget(setting("quick_budget_s" if quick else "budget_s"))
    sweep = _Sweep(device, budget, int(setting("quick_repeats" if quick else "repeats")), quick=quick)
    parts = [("memory", sweep.memory), ("matmuls", sweep.matmuls), ("attention", sweep.attention)]
    points: list[Point] = []
    if group is not None:
        progress(f"collectives over {len(group.hosts)} ranks")
        points += sweep.collectives(group)
    if group is None or group.rank == 0:
        for name, run in parts:
            progress(f"{name} on {device.name}")
            points += run()
    if not points and (group is None or group.rank == 0):
        raise NoAnswer("nothing could be measured", hint="; ".join(sweep.left_out[:3]) or None)
    hosts = [device.name] if group is None else list(group.hosts)
    numbered = {host: f"host-{place}" for place, host in enumerate(dict.fromkeys(hosts))}
    return Measurement(
        device=device.name,
        backend=device.backend,
        hosts=tuple(numbered[host] for host in hosts),
        points=tuple(points),
        left_out=tuple(sweep.left_out),
        quick=quick,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        clustercast=__version__,
    )


class _Sweep:
    """Sizes of one run, with what was left out of it."""

    def __init__(self, device: Device, budget: Budget, repeats: int, *, quick: bool) -> None:
        self.device = device
        self.budget = budget
        self.repeats = repeats
        self.kind = "small_" if device.is_small else "quick_" if quick else ""
        self.left_out: list[str] = []

    def _sizes(self, section: str, name: str) -> list[Any]:
        data = constants.table("measure")[section]
        found: list[Any] = data[f"{self.kind}{name}"]
        return found

    def _fits(self, n_bytes: float) -> bool:
        held = self.device.memory_bytes
        return held is None or n_bytes <= setting("memory_share") * held

    def _one(self, what: str, n_bytes: float, prepare: Callable[[], Run]) -> Taken | None:
        """The time of one size; nothing, with the reason noted, where it cannot be taken."""
        if not self._fits(n_bytes):
            self.left_out.append(f"{what}: larger than the device's memory allows")
            return None
        if self.budget.left_s() <= 0.0:
            self.left_out.append(f"{what}: the time is up")
            return None
        try:
            found = taken(self.device, prepare(), self.repeats)
        except (RuntimeError, MemoryError, ValueError, TypeError, NotImplementedError) as error:
            self.left_out.append(f"{what}: {str(error).splitlines()[0][:120] if str(error) else type(error).__name__}")
            return None
        if found is None:
            self.left_out.append(f"{what}: takes too long")
        return found

    def memory(self) -> Iterator[Point]:
        """Bandwidth of the device's memory."""
        for size in self._sizes("memory", "sizes"):
            found = self._one(f"memory of {size} bytes", float(size), partial(self.device.copy, size))
            if found is not None:
                yield _point("memory", {"bytes": size}, "", found, moved_bytes=float(size))

    def matmuls(self) -> Iterator[Point]:
        """Matmuls of language models in every format."""
        wanted = constants.table("measure")["matmuls"]["formats"]
        formats = [each for each in wanted if each in self.device.formats()] or list(self.device.formats())[:1]
        for number_format in formats:
            for n, k in self._sizes("matmuls", "weights"):
                for m in self._sizes("matmuls", "rows"):
                    found = self._matmul(m, n, k, number_format)
                    if found is not None:
                        yield found

    def _matmul(self, m: int, n: int, k: int, number_format: str) -> Point | None:
        held = float(BYTES[number_format]) * (m * k + k * n + m * n)
        found = self._one(
            f"{number_format} matmul {m} x {n} x {k}",
            held,
            partial(self.device.matmul, m, n, k, number_format),
        )
        if found is None:
            return None
        return _point("matmul", {"m": m, "n": n, "k": k}, number_format, found, flop=2.0 * m * n * k)

    def attention(self) -> Iterator[Point]:
        """Causal attention, forward and with its backward pass."""
        for numbers in self._sizes("attention", "shapes"):
            shape = Attention(*numbers)
            # two matmuls of the forward pass over half of the scores; five in the backward pass
            flop = 2.0 * shape.batch * shape.heads * shape.length * shape.length * shape.head_dim
            what = f"attention {'x'.join(map(str, shape))}"
            held = 2.0 * shape.batch * shape.heads * shape.length * shape.head_dim * 8.0
            for place, (kind, times) in enumerate((("attention_forward", 1.0), ("attention_both", 3.5))):
                found = self._one(what, held, partial(self._attention, shape, place))
                if found is not None:
                    yield _point(kind, dict(shape._asdict()), "", found, flop=times * flop)

    def _attention(self, shape: Attention, place: int) -> Run:
        run = self.device.attention(shape)[place]
        if run is None:
            raise NotImplementedError("the device has no backward pass of attention")
        return run

    def collectives(self, group: Group) -> list[Point]:
        """Every collective at every size; all ranks do the same, so nothing is decided by one of them alone."""
        points = []
        for operation in constants.table("measure")["collectives"]["operations"]:
            for size in self._sizes("collectives", "sizes"):
                if not self._fits(3.0 * size):
                    continue
                found = taken_together(group, group.collective(operation, size), self.repeats)
                if found is not None:
                    points.append(_point(operation, {"bytes": size}, "", found, moved_bytes=float(size)))
        return points


def _point(
    kind: str, shape: dict[str, int], number_format: str, found: Taken, *, flop: float = 0.0, moved_bytes: float = 0.0
) -> Point:
    return Point(
        kind,
        shape,
        number_format,
        found.seconds,
        found.low_s,
        found.high_s,
        found.n,
        flop=flop,
        moved_bytes=moved_bytes,
    )
