"""Coroutines in a thread of their own: a browser test before may have left a loop running in this one."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_alone(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end and raise what it raised."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
