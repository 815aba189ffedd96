"""Any accelerator that PyTorch drives, timed by its own events; and the process group under torchrun.

PyTorch is an extra and is imported by name, so that this file can be read where it is not installed.
"""

import contextlib
import importlib
import os
import time
from collections.abc import Sequence
from typing import Any, Final

from clustercast.errors import WrongInput
from clustercast.studies.measure.device import Attention, Run
from clustercast.studies.measure.timing import setting

BACKENDS: Final = {"cuda": "nccl", "npu": "hccl", "xpu": "ccl", "cpu": "gloo"}
TYPES: Final = {"bf16": "bfloat16", "fp16": "float16", "tf32": "float32", "fp32": "float32", "fp64": "float64"}
FP8_CAPABILITY: Final = (8, 9)
HINT: Final = 'pip install "clustercast[torch]"'


def torch_module() -> Any:
    """PyTorch. Raises WrongInput where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        raise WrongInput("measuring an accelerator needs PyTorch", hint=HINT) from None


def accelerator() -> str | None:
    """The kind of accelerator that PyTorch sees: cuda (also ROCm), npu, xpu; None without one, or without PyTorch."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return None
    with contextlib.suppress(ImportError):
        importlib.import_module("torch_npu")
    for kind in ("cuda", "npu", "xpu"):
        module = getattr(torch, kind, None)
        if module is not None and module.is_available():
            return kind
    return None


class TorchDevice:
    """One device of PyTorch; its matmuls and attention are what frameworks call."""

    def __init__(self, kind: str) -> None:
        torch = torch_module()
        self.torch = torch
        self.kind = kind
        if kind != "cpu" and (not hasattr(torch, kind) or not getattr(torch, kind).is_available()):
            raise WrongInput(f"--device {kind}: PyTorch sees no such device", hint="--device cpu measures this machine")
        self.module: Any = getattr(torch, kind)
        self.is_small = kind == "cpu"
        self.memory_bytes: float | None = None
        self.name = "CPU"
        cache_bytes = 64 * 2**20
        if kind != "cpu":
            place = int(os.environ.get("LOCAL_RANK", "0")) % self.module.device_count()
            self.module.set_device(place)
            self.name = str(self.module.get_device_name(place))
            properties = self.module.get_device_properties(place)
            self.memory_bytes = float(properties.total_memory)
            cache_bytes = int(getattr(properties, "L2_cache_size", 0) or cache_bytes)
        self.backend = f"torch {torch.__version__} {kind}"
        self._cache = self._empty(int(cache_bytes * setting("cache_times")) // 4, number_format="fp32")

    def _empty(self, *shape: int, number_format: str) -> Any:
        kind = getattr(self.torch, TYPES[number_format])
        return self.torch.empty(shape, dtype=kind, device=self.kind).normal_()

    def formats(self) -> Sequence[str]:
        """What the silicon has, as PyTorch says."""
        if self.kind == "cpu":
            return ("fp32", "bf16")
        found = ["fp16", "fp32"]
        if self.kind != "cuda":
            return (*found, "bf16")
        capability = self.module.get_device_capability() if not self.torch.version.hip else (9, 4)
        if capability >= (8, 0):
            found += ["bf16", "tf32"]
        if capability >= FP8_CAPABILITY and hasattr(self.torch, "_scaled_mm"):
            found.append("fp8")
        return found

    def matmul(self, m: int, n: int, k: int, number_format: str) -> Run:
        """[m, k] x [k, n], the second operand as a linear layer stores it."""
        torch = self.torch
        if number_format == "fp8":
            return self._scaled(m, n, k)
        left, right = self._empty(m, k, number_format=number_format), self._empty(n, k, number_format=number_format)
        weight, out = right.t(), self._empty(m, n, number_format=number_format)

        def run() -> None:
            torch.matmul(left, weight, out=out)

        if self.kind != "cuda" or number_format not in ("tf32", "fp32"):
            return run

        def in_its_format() -> None:
            torch.backends.cuda.matmul.allow_tf32 = number_format == "tf32"
            run()

        return in_its_format

    def _scaled(self, m: int, n: int, k: int) -> Run:
        torch = self.torch
        kind = torch.float8_e4m3fn
        left = self._empty(m, k, number_format="bf16").to(kind)
        right = self._empty(n, k, number_format="bf16").to(kind).t()
        one = torch.ones((), device=self.kind)

        def run() -> None:
            torch._scaled_mm(left, right, scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=True)

        return run

    def attention(self, shape: Attention) -> tuple[Run, Run | None]:
        """The fused attention that PyTorch chooses, causal, in BF16 (FP16 where there is none)."""
        torch = self.torch
        number_format = "bf16" if "bf16" in self.formats() else "fp16"
        query = self._empty(shape.batch, shape.heads, shape.length, shape.head_dim, number_format=number_format)
        key, value = (
            self._empty(shape.batch, shape.kv_heads, shape.length, shape.head_dim, number_format=number_format)
            for _ in range(2)
        )
        attend = torch.nn.functional.scaled_dot_product_attention
        grouped = {"enable_gqa": True} if shape.kv_heads != shape.heads else {}
        gradient = torch.ones_like(query)

        def forward() -> None:
            with torch.no_grad():
                attend(query, key, value, is_causal=True, **grouped)

        def both() -> None:
            operands = [each.detach().requires_grad_() for each in (query, key, value)]
            torch.autograd.backward(attend(*operands, is_causal=True, **grouped), gradient)

        return forward, both

    def copy(self, n_bytes: int) -> Run:
        """Reads and writes so many bytes: half of them each."""
        source = self._empty(n_bytes // 8, number_format="fp32")
        target = self.torch.empty_like(source)

        def run() -> None:
            target.copy_(source)

        return run

    def flush(self) -> None:
        """Writes more than the last cache holds."""
        self._cache.zero_()

    def seconds(self, run: Run, times: int) -> float:
        """By the device's own events; by the clock on a CPU."""
        if self.kind == "cpu":
            started = time.perf_counter()
            for _ in range(times):
                run()
            return time.perf_counter() - started
        begin, end = (self.module.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(times):
            run()
        end.record()
        self.module.synchronize()
        return float(begin.elapsed_time(end)) / 1e3


def is_distributed() -> bool:
    """Whether torchrun (or what sets the same variables) has started several processes."""
    size = os.environ.get("WORLD_SIZE", "1")
    return size.isascii() and size.isdigit() and int(size) > 1


class TorchGroup:
    """The processes that torchrun has started."""

    def __init__(self, device: TorchDevice) -> None:
        import socket

        self.device = device
        self.torch = device.torch
        self.distributed = importlib.import_module("torch.distributed")
        if not self.distributed.is_initialized():
            self.distributed.init_process_group(BACKENDS.get(device.kind, "gloo"))
        self.rank = int(self.distributed.get_rank())
        self.size = int(self.distributed.get_world_size())
        hosts: list[str] = [""] * self.size
        self.distributed.all_gather_object(hosts, socket.gethostname())
        self.hosts = hosts
        self.device_name = device.name

    def collective(self, operation: str, n_bytes: int) -> Run:
        """One collective; n_bytes is the whole vector, shared out over the ranks where the operation does so."""
        torch, distributed = self.torch, self.distributed
        n = max(1, n_bytes // 2 // self.size) * self.size
        whole = torch.zeros(n, dtype=torch.bfloat16, device=self.device.kind)
        part = torch.zeros(n // self.size, dtype=torch.bfloat16, device=self.device.kind)
        other = torch.empty_like(whole)
        runs = {
            "all_reduce": lambda: distributed.all_reduce(whole),
            "all_gather": lambda: distributed.all_gather_into_tensor(whole, part),
            "reduce_scatter": lambda: distributed.reduce_scatter_tensor(part, whole),
            "alltoall": lambda: distributed.all_to_all_single(other, whole),
        }
        return runs[operation]

    def seconds(self, run: Run, times: int) -> float:
        """Of the slowest rank."""
        self.distributed.barrier()
        mine = self.torch.tensor([self.device.seconds(run, times)], device=self.device.kind)
        self.distributed.all_reduce(mine, op=self.distributed.ReduceOp.MAX)
        return float(mine.item())

    def close(self) -> None:
        """Leave the group."""
        self.distributed.destroy_process_group()
