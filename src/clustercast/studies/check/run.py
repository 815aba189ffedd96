"""`check`: what a file holds, and the model's word on it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked
from clustercast.studies.calibrate.nccl import Stated
from clustercast.studies.check.result import Check
from clustercast.studies.logs import nccl, results, training
from clustercast.studies.logs import text as logs

EXPECTED: Final = f"{training.EXPECTED}; the text or JSON of nccl-tests; the JSON of vllm bench serve, SGLang or AIPerf"


@dataclass(frozen=True, slots=True)
class CheckAsked:
    """The question as the user put it."""

    log: str
    chip: str
    model: str = ""
    n_chips: int | None = None
    global_batch: int | None = None
    seq_len: int | None = None
    precision: str | None = None
    plan: str = ""
    fabric: str | None = None
    stack: str | None = None
    engine: str | None = None
    launch: str | None = None
    n_hosts: int | None = None  # of nccl-tests
    operation: str | None = None
    settings: tuple[str, ...] = ()


def check(asked: CheckAsked) -> Check:
    """Whether what a log says is normal on that chip, and what would explain it where it is not.

    Raises WrongInput for a file that holds nothing that is known, and for options that contradict it.
    """
    path = Path(asked.log)
    result = results.text_of(path)
    if result is not None:
        from clustercast.studies.check.serving import check_serving

        _only(asked, "a serving result", ("model", "n_chips", "precision", "plan", "engine", "launch"))
        return check_serving(
            path, result, asked.chip, model=asked.model, n_chips=asked.n_chips, plan=asked.plan,
            precision=asked.precision, engine=asked.engine, launch=asked.launch,
        )  # fmt: skip
    content = logs.content_of(path)
    if training.looks_like(content) or training.has_arguments(content):
        from clustercast.studies.check.training import check_training

        found = training.read_text(content, path)
        return check_training(found, path, _training(asked), asked.launch)
    if nccl.looks_like(content):
        from clustercast.studies.check.collectives import check_collectives

        _only(asked, "nccl-tests output", ("fabric", "n_hosts", "operation", "n_chips"))
        stated = Stated(asked.n_chips, asked.n_hosts, asked.operation)
        return check_collectives(content, path, asked.chip, asked.fabric, asked.settings, stated)
    raise logs.nothing_found(path, "measurement that is known", EXPECTED)


# Fields of the question beside the chip, and the options that give them.
OPTIONS: Final = {
    "model": "--model", "n_chips": "--count", "global_batch": "--gbs", "seq_len": "--seq", "precision": "--precision",
    "plan": "--plan", "fabric": "--fabric", "stack": "--stack", "engine": "--engine", "launch": "--launch",
    "n_hosts": "--hosts", "operation": "--operation",
}  # fmt: skip


def _only(asked: CheckAsked, what: str, allowed: tuple[str, ...]) -> None:
    """Raise WrongInput for an option that this kind of file does not take."""
    for name, option in OPTIONS.items():
        if name not in allowed and getattr(asked, name):
            takes = ", ".join(OPTIONS[each] for each in allowed)
            raise WrongInput(f"{option} does not go with {what}", hint=f"it takes {takes}")


def _training(asked: CheckAsked) -> Asked:
    _only(asked, "a training log", tuple(name for name in OPTIONS if name not in ("engine", "n_hosts", "operation")))
    return replace(
        Asked(asked.chip, asked.model),
        n_chips=asked.n_chips,
        global_batch=asked.global_batch,
        seq_len=asked.seq_len,
        precision=asked.precision,
        plan=asked.plan,
        fabric=asked.fabric,
        stack=asked.stack,
        settings=asked.settings,
    )
