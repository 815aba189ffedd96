"""`check`: what a file holds, and the model's word on it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked
from clustercast.studies.check.result import Check
from clustercast.studies.logs import text as logs
from clustercast.studies.logs import training

EXPECTED: Final = (
    f"expected {training.EXPECTED}; the text or JSON of nccl-tests; the JSON of vllm bench serve, SGLang or AIPerf"
)


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
    content = logs.content_of(path)
    if training.looks_like(content):
        from clustercast.studies.check.training import check_training

        found = training.read_text(content, path)
        return check_training(found, path, _training(asked), asked.launch)
    raise logs.nothing_found(path, "measurement that is known", EXPECTED)


def _training(asked: CheckAsked) -> Asked:
    if asked.engine is not None:
        raise WrongInput("--engine is for serving results, this is a training log", hint="--stack names the stack")
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
