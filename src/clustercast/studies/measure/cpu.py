"""The CPU by NumPy: the device that is always there."""

import platform
import time
from collections.abc import Sequence
from typing import Any

from clustercast.studies.measure.device import Attention, Run
from clustercast.studies.measure.timing import setting

CACHE_BYTES = 64 * 2**20  # more than the last cache of most CPUs
FORMATS = ("fp32", "fp64")


class NumpyDevice:
    """One CPU with the threads that NumPy's library takes."""

    is_small = True
    memory_bytes: float | None = None

    def __init__(self) -> None:
        import numpy as np

        self.np = np
        self.name = platform.processor() or platform.machine() or "CPU"
        self.backend = f"numpy {np.__version__}"
        self._cache = np.zeros(int(CACHE_BYTES * setting("cache_times")) // 8)
        self._random = np.random.default_rng(0)

    def formats(self) -> Sequence[str]:
        """32 and 64 bit."""
        return FORMATS

    def _array(self, *shape: int, number_format: str = "fp32") -> Any:
        kind = self.np.float64 if number_format == "fp64" else self.np.float32
        return self._random.standard_normal(shape, dtype=kind)

    def matmul(self, m: int, n: int, k: int, number_format: str) -> Run:
        """[m, k] x [k, n]."""
        left, right = self._array(m, k, number_format=number_format), self._array(k, n, number_format=number_format)
        out = self.np.empty((m, n), dtype=left.dtype)

        def run() -> None:
            self.np.matmul(left, right, out=out)

        return run

    def attention(self, shape: Attention) -> tuple[Run, Run | None]:
        """Causal attention whose scores lie in memory; NumPy has no backward pass."""
        np = self.np
        query = self._array(shape.batch, shape.heads, shape.length, shape.head_dim)
        key = self._array(shape.batch, shape.kv_heads, shape.length, shape.head_dim)
        repeats = shape.heads // shape.kv_heads
        key, value = np.repeat(key, repeats, axis=1), np.repeat(key, repeats, axis=1)
        mask = np.triu(np.full((shape.length, shape.length), -np.inf, dtype=np.float32), 1)

        def run() -> None:
            scores = np.matmul(query, key.swapaxes(-1, -2)) * np.float32(shape.head_dim**-0.5) + mask
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            np.matmul(scores / scores.sum(axis=-1, keepdims=True), value)

        return run, None

    def copy(self, n_bytes: int) -> Run:
        """Reads and writes so many bytes."""
        source = self.np.zeros(n_bytes // 16)
        target = self.np.empty_like(source)

        def run() -> None:
            self.np.copyto(target, source)

        return run

    def flush(self) -> None:
        """Writes more than the last cache holds."""
        self._cache += 1.0

    def seconds(self, run: Run, times: int) -> float:
        """By the clock: NumPy returns when it is done."""
        started = time.perf_counter()
        for _ in range(times):
            run()
        return time.perf_counter() - started
