"""How fast the page's server answers: many clients at once for a minute, and what a moving slider waits for.

    python bench/ui_rate.py [--clients 50] [--seconds 60] [--keep FILE.json]

A client does what a page does. It asks for two chips, then moves numbers of one: a board with the plan held and the
crossover map at every move, a search when the number rests. Moves follow their answers at once; after a search people
look at it for --pause seconds on average, or not at all. Every answer is checked: the right document, and the same
bytes for the same question.
"""

import asyncio
import hashlib
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from machine import command_line, facts, tell

CHIPS = ("h20-96gb", "h100-sxm5-80gb", "a800-sxm4-80gb", "ascend-910b3", "h800-sxm5-80gb", "h200-sxm-141gb")
MODELS = ("llama-3.1-70b", "deepseek-v3", "gpt-4-1.8t")
COUNT = 2048
MOVES = 12  # of a slider before it rests
MAP = {"batches": [1, 4, 16, 64, 256, 1024], "contexts": [1024, 4096, 16384, 65536], "settled": False}


@dataclass
class Seen:
    """What the clients saw."""

    took_s: dict[str, list[float]] = field(default_factory=lambda: {"search": [], "move": [], "map": [], "rules": []})
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)  # question: hash of its answer

    def judge(self, verb: str, fields: dict[str, Any], reply: httpx.Response) -> dict[str, Any] | None:
        """The document, if it is one; counts what is not as it must be."""
        self.statuses[reply.status_code] += 1
        found: dict[str, Any] = reply.json()
        expected = "clustercast.error/1" if reply.status_code in (400, 422) else f"clustercast.{verb}/1"
        if found.get("schema") != expected or reply.status_code >= 500:
            self.wrong.append(f"{reply.status_code} {verb} {fields}: {str(found)[:200]}")
        if verb in ("map", "rules"):
            digest = hashlib.sha256(reply.content).hexdigest()
            if self.answers.setdefault(json.dumps([verb, fields], sort_keys=True), digest) != digest:
                self.wrong.append(f"{verb} {fields}: another answer than before")
        if verb == "board" and reply.status_code == 200:
            self.wrong += [f"{fields}: {each}" for each in contradictions(fields, found)]
        return found if reply.status_code == 200 else None


def contradictions(fields: dict[str, Any], board: dict[str, Any]) -> list[str]:
    """What of a board cannot be: it must be for the chip, model and plan that were asked for, and add up."""
    found = board["estimate"]
    said = []
    if (found["chip"], found["model"], found["count"]) != (fields["chip"], fields["model"], fields["count"]):
        said.append("of another question")
    training = found["training"]
    if training and "plan" in fields and training["plan_text"] != fields["plan"]:
        said.append("of another plan")
    if training and abs(sum(training["time_s"].values()) / training["step_s"] - 1.0) > 1e-9:
        said.append("terms do not add up to the step")
    for setting in fields["set"]:
        if f"{float(setting.split('=')[1].removesuffix('FLOP/s')):.6g}" != f"{board['numbers']['flops']:.6g}":
            said.append("of another number")
    return said


def held(board: dict[str, Any]) -> dict[str, str]:
    """The plans of a board, as the page holds them."""
    training, serving = board["estimate"]["training"], board["estimate"]["serving"]
    plans = {"plan": training["plan_text"]} if training else {}
    if serving:
        names = ("tp", "pp", "attention_dp", "ep", "etp", "chips")
        plans["serving_plan"] = ",".join(f"{name}={serving['plan'][name]}" for name in names)
    return plans


async def client(number: int, http: httpx.AsyncClient, until: float, seen: Seen, pause_s: float) -> None:
    """One page until the time is over."""
    chance = random.Random(number)

    async def ask(kind: str, verb: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        started = time.perf_counter()
        reply = await http.post(f"/api/1/{verb}", json=fields)
        seen.took_s[kind].append(time.perf_counter() - started)
        return seen.judge(verb, fields, reply)

    await asyncio.sleep(pause_s * chance.random())
    while time.perf_counter() < until:
        chip, other = chance.sample(CHIPS, 2)
        usual = {"model": chance.choice(MODELS), "count": COUNT, "explain": False}
        asked = {"chip": chip, "set": []} | usual
        board = await ask("search", "board", asked)
        await ask("search", "board", asked | {"chip": other})
        if board is None:
            continue
        plans = held(board)
        for _ in range(MOVES):
            flops = board["numbers"]["flops"] * 2.0 ** (
                0.05 * chance.randint(-40, 40)
            )  # the steps of the page's slider
            settings = [f"chip.flops={float(f'{flops:.3g}'):.0f}FLOP/s"]
            await ask("move", "board", asked | plans | {"set": settings})
            if chance.random() < 0.3:
                await ask("map", "map", {"chip": chip, "other": other, "model": asked["model"], "set": settings} | MAP)
            if time.perf_counter() > until:
                return
        await ask("rules", "rules", {"chip": chip, "set": settings})
        await ask("search", "board", asked | {"set": settings})
        await asyncio.sleep(pause_s * chance.random() * 2.0)


async def load(address: str, n_clients: int, seconds: float, pause_s: float) -> Seen:
    """All clients for the time."""
    seen = Seen()
    limits = httpx.Limits(max_connections=n_clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60.0, trust_env=False) as http:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(client(each, http, until, seen, pause_s) for each in range(n_clients)))
    return seen


def summary(took_s: list[float]) -> dict[str, float]:
    """Milliseconds: median, p99, largest."""
    if len(took_s) < 2:
        return {"n": len(took_s)}
    return {
        "n": len(took_s),
        "median_ms": round(1e3 * statistics.median(took_s), 1),
        "p99_ms": round(1e3 * statistics.quantiles(took_s, n=100)[98], 1),
        "max_ms": round(1e3 * max(took_s), 1),
    }


def shown(seen: Seen) -> dict[str, Any]:
    """A load in figures."""
    every = [each for kind in seen.took_s.values() for each in kind]
    return {
        "all": summary(every),
        **{kind: summary(took) for kind, took in seen.took_s.items()},
        "statuses": {str(status): n for status, n in sorted(seen.statuses.items())},
        "wrong": len(seen.wrong),
    }


def main() -> None:
    """Start a server, one client and then many, print and keep the figures."""
    options = command_line(__doc__)
    options.add_argument("--clients", type=int, default=50)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--pause", type=float, default=10.0)
    given = options.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-m", "clustercast", "ui", "--port", "0", "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    try:
        address = server.stderr.readline().split()[0]
        started = time.perf_counter()
        httpx.get(f"{address}api/1/options", timeout=300.0, trust_env=False).raise_for_status()
        ready_s = time.perf_counter() - started
        alone = asyncio.run(load(address, 1, min(10.0, given.seconds), 0.0))
        many = asyncio.run(load(address, given.clients, given.seconds, given.pause))
    finally:
        server.terminate()
        server.wait(20)
    found = {
        "ready_s": round(ready_s, 2), "clients": given.clients, "seconds": given.seconds, "pause_s": given.pause,
        "one_client": shown(alone), "many_clients": shown(many), "machine": facts(),
    }  # fmt: skip
    tell(found, given.keep)
    for each in (alone.wrong + many.wrong)[:10]:
        print(each, file=sys.stderr)
    sys.exit(bool(alone.wrong or many.wrong))


if __name__ == "__main__":
    main()
