"""The steps that a training tool printed, with their times: Megatron-LM and its kin, torchtitan, NeMo, DeepSpeed."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from clustercast.studies.logs import text as logs
from clustercast.studies.logs.text import NUMBER, Line

MEGATRON: Final = "megatron-lm"
TORCHTITAN: Final = "torchtitan"
NEMO: Final = "nemo"
DEEPSPEED: Final = "deepspeed"
EXPECTED: Final = (
    "lines of Megatron-LM (`elapsed time per iteration (ms): …`), torchtitan (`step: … tps: …`), NeMo "
    "(`train_step_timing in s: …`) or DeepSpeed (`global_step=…, CurrSamplesPerSec=…`)"
)
NO_STEPS: Final = "did it end before its first line? set --log-interval 1, or give the file of the last rank"
MOST_STEPS: Final = 1_000_000
LONGEST_S: Final = 1e7  # of one step; beyond it the number is none
SHORTEST_S: Final = 1e-6

_ITERATION: Final = re.compile(r"\biteration\s{1,12}(\d{1,12})/\s{0,12}(\d{1,12})\s{0,4}\|")
_ELAPSED: Final = re.compile(rf"\belapsed time per iteration \((ms|s)\):\s{{0,8}}({NUMBER})")
_FIELD: Final = re.compile(rf"([A-Za-z][A-Za-z0-9_ /().-]{{0,60}}?):\s{{0,12}}({NUMBER})\s{{0,4}}(?:\||$)")
_STEP: Final = re.compile(r"\bstep:\s{1,12}(\d{1,12})\s")
_PAIR: Final = re.compile(rf"\b([a-z_]{{2,32}}):\s{{0,12}}({NUMBER})\s?(GiB)?(?:\(({NUMBER})%\))?")
_TIMING: Final = re.compile(rf"train_step_timing in s\s{{0,4}}[:=]\s{{0,4}}({NUMBER})")
_GLOBAL_STEP: Final = re.compile(r"\bglobal_step\s{0,4}[:=]\s{0,4}(\d{1,12})")
_NEMO_ITERATION: Final = re.compile(r"\biteration (\d{1,12})/\d")
_NEMO_BATCH: Final = re.compile(r"\bglobal_batch_size\s{0,4}[:=]\s{0,4}(\d{1,9})")
_NEMO_FLOPS: Final = re.compile(rf"TFLOPS_per_GPU\s{{0,4}}[:=]\s{{0,4}}({NUMBER})")
_SAMPLES: Final = re.compile(rf"\bCurrSamplesPerSec=({NUMBER})")
_PIPELINE: Final = re.compile(
    rf"\bsteps: (\d{{1,12}}) .{{0,200}}?iter time \(s\): ({NUMBER}) samples/sec: ({NUMBER})", re.DOTALL
)
# What a line says of the run: words that it holds, the pattern, and what its groups are.
FACTS: Final = (
    ("using world size", re.compile(r"using world size: (\d{1,9})"), ("n_chips",)),
    (
        "Trainer is initialized with",
        re.compile(
            r"local batch size (\d{1,9}), global batch size (\d{1,9}), gradient accumulation steps \d{1,9}, "
            r"sequence length (\d{1,9})"
        ),
        ("micro_batch", "global_batch", "seq_len"),
    ),
    ("Peak FLOPS used", re.compile(rf"Peak FLOPS used for computing MFU: ({NUMBER})"), ("peak_flop_per_s",)),
)
_MESH: Final = re.compile(r"device mesh with \[([a-z_', ]{1,200})\], \[([0-9, ]{1,100})\]")
_DATE: Final = re.compile(r"\b((?:19|20)\d\d-[01]\d)-[0-3]\d[ T]\d\d:\d\d:\d\d")
_DATED: Final = re.compile(r"(datetime: |^\s{0,4}\[|\[)((?:19|20)\d\d-[01]\d)-[0-3]\d[ T]\d\d:\d\d:\d\d")
_ARGUMENT: Final = re.compile(r"^(.{0,80}?)\b([a-z][a-z0-9_]{1,60}) \.{2,60} (.{0,400})$")
_DEEPSPEED_PRINT: Final = re.compile(r"\[config\.py:\d+:print\]\s+([a-z][a-z0-9_]{1,60}) \.{2,60} (.{1,400})$")
_ARGUMENTS_BEGIN: Final = re.compile(r"-{6,} arguments -{6,}")
_ARGUMENTS_END: Final = re.compile(r"-{6,} end of arguments -{6,}")

# What stands between two steps and takes time of its own: words of a line, and what they say.
EVENTS: Final = (
    ("saving checkpoint", "checkpoint"),
    ("saved checkpoint", "checkpoint"),
    ("Saving the checkpoint", "checkpoint"),
    ("Finished saving the checkpoint", "checkpoint"),
    ("validation loss at", "evaluation"),
    ("validate step", "evaluation"),
    ("Validation DataLoader", "evaluation"),
    ("evaluating", "evaluation"),
)


class Step(NamedTuple):
    """One line about a step, or about the mean of several."""

    number: int  # of the step
    line: int
    seconds: float | None  # of one step; None where the tool prints a rate
    tokens_per_s_per_chip: float | None = None
    samples_per_s: float | None = None  # of the whole cluster
    global_batch: int | None = None
    tflop_per_s: float | None = None  # per chip, in the tool's own convention
    mfu_fraction: float | None = None  # likewise
    used_bytes: float | None = None  # peak memory of the chip that printed it
    after: tuple[str, ...] = ()  # what happened since the line before: checkpoint, evaluation, restart
    skipped: bool = False  # the optimizer did not step


class Argument(NamedTuple):
    """One line of the arguments that a tool prints when it starts."""

    value: str
    line: int


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What one log says of steps and of the run itself."""

    tool: str  # megatron-lm, torchtitan, nemo, deepspeed
    file: str
    steps: tuple[Step, ...]
    arguments: dict[str, Argument] = field(default_factory=dict)  # by name, as it is printed
    said: dict[str, Argument] = field(default_factory=dict)  # n_chips, seq_len, global_batch, peak_flop_per_s, tp, …
    date: str = ""  # year and month
    notes: tuple[str, ...] = ()


TELLING: Final = (
    "elapsed time per iteration", "tps:", "wps:", "train_step_timing in s", "CurrSamplesPerSec=", "samples/sec:",
)  # fmt: skip


def looks_like(content: str) -> bool:
    """Whether a text holds steps of a training tool."""
    if not any(words in content for words in TELLING):
        return False
    return any(_reader(line.text) is not None for line in logs.lines_of(content))


def has_arguments(content: str) -> bool:
    """Whether a text holds the list of arguments that Megatron-LM and its kin print when they start."""
    return _ARGUMENTS_BEGIN.search(content) is not None


def read_file(path: Path) -> TrainingLog:
    """The steps of a log. Raises WrongInput where there are none."""
    return read_text(logs.content_of(path), path)


def read_text(content: str, path: Path) -> TrainingLog:
    """The steps of a log's text. Raises WrongInput where there are none.

    >>> line = " iteration  2/ 9 | elapsed time per iteration (ms): 5500.0 | global batch size:   512 |"
    >>> read_text(line, Path("a.log")).steps[0].seconds
    5.5
    """
    from clustercast.catalog import read

    found = _Found()
    for line in logs.lines_of(content):
        found.take(line)
        if len(found.steps) > MOST_STEPS:
            raise read.wrong(path, "", f"holds more than {MOST_STEPS:,} steps", line=line.number)
    if not found.steps:
        if found.n_broken:
            raise read.wrong(path, "", "holds steps, but no time that is a positive number", line=found.broken_line)
        if found.arguments:
            raise read.wrong(path, "", "holds the arguments of a training tool and no steps", hint=NO_STEPS)
        raise logs.nothing_found(path, "training step", EXPECTED)
    tools = sorted(found.tools, key=lambda name: (-found.tools[name], name))
    notes = []
    if len(tools) > 1:
        notes.append(f"lines of {' and '.join(tools)}: those of {tools[0]} are read")
    if found.n_broken:
        notes.append(f"{found.n_broken:,} steps whose time is no positive number are left out")
    steps, repeated = _once(each for tool, each in found.steps if tool == tools[0])
    if repeated:
        notes.append(f"{repeated:,} lines repeat a step, from other ranks: the slowest is taken")
    return TrainingLog(tools[0], read.shown(path), steps, found.arguments, found.said, found.date, tuple(notes))


class _Found:
    """What was found so far, line by line."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Step]] = []
        self.tools: dict[str, int] = {}
        self.arguments: dict[str, Argument] = {}
        self.in_arguments = False
        self.after: list[str] = []
        self.said: dict[str, Argument] = {}
        self.date = ""
        self.n_broken = 0
        self.broken_line = 0

    def take(self, line: Line) -> None:
        """Look at one line."""
        text = line.text
        read = _reader(text)
        if read is not None:
            self._step(read, line)
            return
        if (self.in_arguments or " arguments -" in text or ":print]" in text) and self._argument(line):
            return
        for words, event in EVENTS:
            if words in text and event not in self.after:
                self.after.append(event)
        for words, pattern, names in FACTS:
            said = pattern.search(text) if words in text else None
            for name, value in zip(names, said.groups() if said else (), strict=False):
                self.said.setdefault(name, Argument(value, line.number))
        if "device mesh" in text:
            self.said.update(_mesh(line))
        if not self.date and ":" in text:
            dated = _DATED.search(text)
            self.date = dated[2] if dated else ""

    def _step(self, read: str, line: Line) -> None:
        step = READERS[read](line)
        if step is None:
            return
        if not _sound(step):
            self.n_broken += 1
            self.broken_line = self.broken_line or line.number
            return
        if not self.date:
            dated = _DATE.search(line.text)
            self.date = dated[1] if dated else ""
        before = self.steps[-1][1] if self.steps else None
        if before is not None and step.number < before.number:
            self.after.append("restart")
        self.steps.append((read, step._replace(after=tuple(self.after))))
        self.tools[read] = self.tools.get(read, 0) + 1
        self.after.clear()

    def _argument(self, line: Line) -> bool:
        """Take a line of printed arguments; whether it was one."""
        if _ARGUMENTS_BEGIN.search(line.text):
            self.in_arguments = True
            return True
        if _ARGUMENTS_END.search(line.text):
            self.in_arguments = False
            return True
        found = _DEEPSPEED_PRINT.search(line.text)
        name, value = (found[1], found[2]) if found else ("", "")
        if found is None and self.in_arguments:
            found = _ARGUMENT.search(line.text)
            name, value = (found[2], found[3]) if found else ("", "")
        if found is None:
            return False
        self.arguments.setdefault(name, Argument(value.strip(), line.number))
        return True


def _reader(text: str) -> str | None:
    """Which tool printed a line about a step."""
    if "elapsed time per iteration" in text and _ITERATION.search(text):
        return MEGATRON
    if "step:" in text and (" tps:" in text or " wps:" in text):
        return TORCHTITAN
    if "train_step_timing in s" in text:
        return NEMO
    if "CurrSamplesPerSec=" in text or "samples/sec:" in text:
        return DEEPSPEED
    return None


def _megatron(line: Line) -> Step | None:
    at, took = _ITERATION.search(line.text), _ELAPSED.search(line.text)
    if at is None or took is None:
        return None
    fields = {name.strip().lower(): logs.number_of(value) for name, value in _FIELD.findall(line.text)}
    flops = next((fields[name] for name in ("throughput per gpu (tflop/s/gpu)", "tflops") if name in fields), None)
    return Step(
        int(at[1]),
        line.number,
        logs.number_of(took[2]) * (1e-3 if took[1] == "ms" else 1.0),
        global_batch=_count(fields.get("global batch size")),
        tflop_per_s=_positive(flops),
        skipped=fields.get("number of skipped iterations", 0.0) > 0.0,
    )


def _torchtitan(line: Line) -> Step | None:
    at = _STEP.search(line.text)
    if at is None:
        return None
    pairs = {name: (value, unit, share) for name, value, unit, share in _PAIR.findall(line.text)}
    rate = pairs.get("tps") or pairs.get("wps")
    if rate is None:
        return None
    memory = pairs.get("memory")
    mfu = _positive(logs.number_of(pairs["mfu"][0])) if "mfu" in pairs else None
    return Step(
        int(at[1]),
        line.number,
        None,
        tokens_per_s_per_chip=logs.number_of(rate[0]),
        tflop_per_s=_positive(logs.number_of(pairs["tflops"][0])) if "tflops" in pairs else None,
        mfu_fraction=None if mfu is None else mfu / 100.0,
        used_bytes=_gib(logs.number_of(memory[0])) if memory and memory[1] else None,
    )


MESH_NAMES: Final = {"pp": "pp", "tp": "tp", "cp": "cp", "dp_shard": "dp_shard", "dp_replicate": "dp_replicate"}


def _mesh(line: Line) -> dict[str, Argument]:
    """The dimensions of torchtitan's mesh, and how many chips they make."""
    found = _MESH.search(line.text)
    if found is None:
        return {}
    names = [each.strip(" '") for each in found[1].split(",")]
    sizes = [each.strip() for each in found[2].split(",")]
    if len(names) != len(sizes) or not all(each.isdigit() and 0 < int(each) < 10**7 for each in sizes):
        return {}
    said = {MESH_NAMES[name]: size for name, size in zip(names, sizes, strict=True) if name in MESH_NAMES}
    said["n_chips"] = str(math.prod(map(int, sizes)))
    return {name: Argument(size, line.number) for name, size in said.items()}


def _gib(value: float) -> float | None:
    return value * 2.0**30 if 0.0 < value < 1e6 else None


def _nemo(line: Line) -> Step | None:
    took = _TIMING.search(line.text)
    at = _GLOBAL_STEP.search(line.text) or _NEMO_ITERATION.search(line.text)
    if took is None or at is None:
        return None
    batch, flops = _NEMO_BATCH.search(line.text), _NEMO_FLOPS.search(line.text)
    return Step(
        int(at[1]),
        line.number,
        logs.number_of(took[1]),
        global_batch=int(batch[1]) if batch else None,
        tflop_per_s=_positive(logs.number_of(flops[1])) if flops else None,
    )


def _deepspeed(line: Line) -> Step | None:
    pipeline = _PIPELINE.search(line.text)
    if pipeline is not None:
        return Step(int(pipeline[1]), line.number, logs.number_of(pipeline[2]))
    at, rate = _GLOBAL_STEP.search(line.text), _SAMPLES.search(line.text)
    if at is None or rate is None:
        return None
    return Step(int(at[1]), line.number, None, samples_per_s=logs.number_of(rate[1]))


READERS: Final = {MEGATRON: _megatron, TORCHTITAN: _torchtitan, NEMO: _nemo, DEEPSPEED: _deepspeed}


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0.0 < value < 1e12 else None


def _count(value: float | None) -> int | None:
    return int(value) if value is not None and 1.0 <= value < 1e9 and value == int(value) else None


def _sound(step: Step) -> bool:
    """Whether a step's time or rate is a number that a machine can have."""
    if step.seconds is not None:
        return SHORTEST_S <= step.seconds <= LONGEST_S
    rate = step.tokens_per_s_per_chip if step.tokens_per_s_per_chip is not None else step.samples_per_s
    return rate is not None and math.isfinite(rate) and 1e-9 < rate < 1e12


def _once(steps: Iterator[Step]) -> tuple[tuple[Step, ...], int]:
    """Steps without what other ranks repeat of them; the slowest rank's line stays."""
    kept: list[Step] = []
    repeated = 0
    for step in steps:
        if kept and kept[-1].number == step.number:
            repeated += 1
            before = kept[-1]
            slower = max(before, step, key=_slowness)
            kept[-1] = slower._replace(after=tuple(dict.fromkeys((*before.after, *step.after))))
        else:
            kept.append(step)
    return tuple(kept), repeated


def _slowness(step: Step) -> float:
    if step.seconds is not None:
        return step.seconds
    return 1.0 / (step.tokens_per_s_per_chip or step.samples_per_s or math.inf)
