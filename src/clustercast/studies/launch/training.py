"""Training launch files: which tool one is for, what it asks, and one written for a plan.

A launch file stands for a question: what it says goes before defaults, and what the user says beside it must agree.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Protocol

from clustercast import catalog, records
from clustercast.catalog import ModelProfile, constants
from clustercast.catalog import read as files
from clustercast.errors import WrongInput
from clustercast.estimates.question import Asked, Question, fill
from clustercast.estimates.result import Assumption, Estimate
from clustercast.plans import text as plan_text
from clustercast.studies.launch import exported, shapes, space
from clustercast.studies.launch.launch import TrainingLaunch
from clustercast.studies.launch.space import Box
from clustercast.studies.plan import PlanRanking

MOST_BYTES: Final = 2**17  # of a launch file; YAML is read slowly, so half of it
MOST_YAML_BYTES: Final = 2**16

Reader = Callable[[str, Path], TrainingLaunch]


class Writer(Protocol):
    """Writes a launch file of one tool."""

    def __call__(self, question: Question, plan: records.Plan, header: Sequence[str]) -> str: ...


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool: its reader, its writer, the version that its options were read at."""

    name: str
    version: str
    read: Reader
    write: Writer
    space: tuple[Box, ...]  # the plans that it can run
    stacks: dict[str, str]  # the usual stack of a chip: the one that this tool stands for there


def tools() -> dict[str, Tool]:
    """The training tools by name."""
    from clustercast.studies.launch import bridge, deepspeed, megatron, mindspeed, plan_options, torchtitan

    # "nemo" and "megatron-core" run the same kernels: which overlaps are on is the plan's matter
    stacks: dict[str, dict[str, str]] = {
        megatron.TOOL: {"nemo": "megatron-core"},
        torchtitan.TOOL: {"nemo": "pytorch-fsdp"},
        deepspeed.TOOL: {"nemo": "deepspeed"},
    }
    made = (megatron, bridge, torchtitan, deepspeed, mindspeed)
    spaces: dict[str, tuple[Box, ...]] = {
        torchtitan.TOOL: torchtitan.SPACE,
        deepspeed.TOOL: deepspeed.SPACE,
        mindspeed.TOOL: mindspeed.SPACE,
    }
    return {
        each.TOOL: Tool(
            each.TOOL, each.VERSION, each.read, each.write, spaces.get(each.TOOL, plan_options.SPACE),
            stacks.get(each.TOOL, {}),
        )
        for each in made
    }  # fmt: skip


def tool_of(option: str, name: str) -> Tool:
    """The tool of this name. Raises WrongInput with the nearest one."""
    import difflib

    known = tools()
    found = known.get(name.strip().lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), known, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        raise WrongInput(f"{option}: unknown tool {name[:64]!r}", hint=hint)
    return found


# -- in


def read_training(path: str | Path) -> TrainingLaunch:
    """What a training launch file says, whatever tool it is for.

    path  of the file; of a Python file that holds several configurations, "<file>::<name>"

    Raises WrongInput with file and line for a file that is none, is broken or contradicts itself.
    """
    name, place = "", Path(path)
    if "::" in str(path) and not place.exists():
        file, _, name = str(path).partition("::")
        place = Path(file)
    content = files.read_bytes(place)
    if len(content) > MOST_BYTES:
        raise files.wrong(place, "", f"is larger than {MOST_BYTES // 1024} KiB, expected a launch file")
    text = files.text_of(content, place)
    try:
        return read_text(text, place, name)
    except WrongInput as error:
        from clustercast.studies.launch import serving

        serves = serving.tool_started(text, place)
        if serves is None:
            raise
        hint = f"it serves with {serves}: clustercast serve --launch {files.shown(place)}"
        raise WrongInput(error.message, hint=hint) from None


def read_text(text: str, path: Path, name: str = "") -> TrainingLaunch:
    """The same of a text that is read already. Raises WrongInput."""
    from clustercast.studies.launch import bridge, torchtitan

    kind = kind_of(text)
    if kind == bridge.TOOL:
        return bridge.read(text, path, name)
    if kind == torchtitan.TOOL:
        return torchtitan.read(text, path, name)
    return tools()[kind].read(text, path)


def kind_of(text: str) -> str:
    """The tool that a file is for, told by what it holds, never by its name.

    >>> kind_of("torchrun pretrain_gpt.py --num-layers 2"), kind_of('{"train_batch_size": 8}')
    ('megatron-lm', 'deepspeed')
    >>> kind_of("[parallelism]\\ntensor_parallel_degree = 8"), kind_of("cfg.model.tensor_model_parallel_size = 8")
    ('torchtitan', 'megatron-bridge')
    """
    from clustercast.studies.launch import bridge, deepspeed, megatron, mindspeed, torchtitan

    if text.lstrip()[:1] == "{":
        return deepspeed.TOOL
    dotted = len(_DOTTED.findall(text))
    if dotted >= 2 or _TITAN.search(text):
        return torchtitan.TOOL
    if len(_SHELL.findall(text)) >= 2 and not _PYTHON.search(text):
        return mindspeed.TOOL if any(word in text for word in mindspeed.TELLING) else megatron.TOOL
    if _PYTHON.search(text) or bridge.looks_like_yaml(text) or "model_parallel_size" in text:
        return bridge.TOOL
    return megatron.TOOL


_DOTTED: Final = re.compile(r"--(?:parallelism|training|activation_checkpoint)\.[a-z]")
_TITAN: Final = re.compile(
    r"\btorchtitan\.|^\[(?:parallelism|activation_checkpoint)\]|ParallelismConfig\(", re.MULTILINE
)
_SHELL: Final = re.compile(r"(?:^|[\s\"'(])--[a-z][a-z0-9]*[-_=][a-z0-9]", re.MULTILINE)
_PYTHON: Final = re.compile(r"^(?:from|import) [a-z]|^def [a-z_]|^[a-z_]+(?:\.[a-z_]+)+ *= ", re.MULTILINE)


def asked_with(asked: Asked, launch: TrainingLaunch) -> Asked:
    """The question with what a launch file says in it.

    Raises WrongInput where the user says otherwise than the file, and where neither names a model.
    """
    said = {
        "n_chips": ("--count", asked.n_chips, launch.n_chips),
        "global_batch": ("--gbs", asked.global_batch, launch.global_batch),
        "seq_len": ("--seq", asked.seq_len, launch.seq_len),
        "precision": ("--precision", _recipe(asked.precision), launch.precision),
    }
    changed: dict[str, int | str | None] = {}
    for name, (option, given, read) in said.items():
        if given is not None and read is not None and given != read:
            raise contradiction(option, given, launch, name, read)
        changed[name] = given if given is not None else read
    n_chips = changed["n_chips"] if isinstance(changed["n_chips"], int) else None
    plan = _plan(asked, launch, n_chips)
    if changed["global_batch"] is None:
        changed["global_batch"] = _following_batch(launch, plan)
    tokens = asked.tokens if asked.tokens is not None else _tokens(launch, changed)
    return replace(asked, **changed, model=_model(asked, launch), plan=plan, tokens=tokens)  # type: ignore[arg-type]


def _following_batch(launch: TrainingLaunch, plan: str) -> int | None:
    """The global batch of a launch that leaves it to the number of replicas, as its tool takes it."""
    dp = plan_text.parse(plan).get("dp")
    return None if dp is None or launch.replica_batch is None else dp * launch.replica_batch


def _tokens(launch: TrainingLaunch, said: dict[str, int | str | None]) -> float | None:
    """The tokens of a run, also where the file says steps and the batch became known only now."""
    batch, seq_len = said["global_batch"], said["seq_len"]
    if launch.tokens is None and launch.steps and isinstance(batch, int) and isinstance(seq_len, int):
        return float(launch.steps) * batch * seq_len
    return launch.tokens


def _recipe(name: str | None) -> str | None:
    return None if name is None else constants.recipe(name).name


def contradiction(option: str, given: object, launch: TrainingLaunch, name: str, read: object) -> WrongInput:
    """The error for what the command line and the launch file say differently."""
    where = launch.where.get(name, launch.file)
    return WrongInput(f"{option} {given} contradicts {where}, which says {name} {read}", hint=f"leave out {option}")


def _model(asked: Asked, launch: TrainingLaunch) -> ModelProfile | str:
    """The model: what the user names goes before a shape that it agrees with."""
    if not asked.model:
        if launch.model is None:
            raise WrongInput(f"{launch.file}: the shape of the model is not said", hint="give --model too")
        return launch.model
    if isinstance(launch.model, ModelProfile) and isinstance(asked.model, str):
        named = catalog.find_model(asked.model)
        name = shapes.differing(records.as_declared(named.record()), records.as_declared(launch.model.record()))
        if name:
            ours, theirs = getattr(named.record(), name), getattr(launch.model.record(), name)
            where = launch.where.get("model", launch.file)
            raise WrongInput(
                f"--model {asked.model} contradicts {where}: {name} is {ours} in the one and {theirs} in the other",
                hint="leave out --model",
            )
    if isinstance(launch.model, str) and isinstance(asked.model, str):
        ours, theirs = catalog.find_model(asked.model).name, catalog.find_model(launch.model).name
        if ours != theirs:
            raise contradiction("--model", ours, launch, "model", theirs)
    return asked.model


def _plan(asked: Asked, launch: TrainingLaunch, n_chips: int | None) -> str:
    """The plan of both; where the file leaves the chips open, data parallelism follows from the count."""
    mine, plan = plan_text.parse(asked.plan), dict(launch.plan)
    for name, code in mine.items():
        if name in plan and plan[name] != code:
            words = plan_text.in_words({name: code}), plan_text.in_words({name: plan[name]})
            raise contradiction(f"--plan {name}", words[0][name], launch, name, words[1][name])
    plan |= mine
    used = plan.get("tp", 1) * plan.get("pp", 1) * plan.get("cp", 1)
    if "dp" not in plan and n_chips is not None and {"tp", "pp"} <= plan.keys():
        if n_chips % used:
            raise WrongInput(f"--count {n_chips}: tp x pp x cp is {used} in {launch.file}, which does not divide it")
        plan["dp"] = n_chips // used
    return ",".join(f"{name}={word}" for name, word in plan_text.in_words(plan).items())


def stack_of(asked: Asked, tool: Tool) -> str | None:
    """The software stack that a tool stands for on this chip, where the user names none."""
    if asked.stack is not None:
        return asked.stack
    return tool.stacks.get(constants.default_stack(catalog.find_chip(asked.chip).family))


def question_of(asked: Asked, path: str | Path) -> tuple[Asked, TrainingLaunch]:
    """The question that a launch file and the user's own options make together."""
    launch = read_training(path)
    both = asked_with(asked, launch)
    if launch.open_chips and both.n_chips is None:
        raise WrongInput(f"{launch.open_chips}: how many chips it runs on is not said", hint="give --count too")
    if launch.replica_batch is not None and both.n_chips is None and both.global_batch is None:
        raise WrongInput(
            f"{launch.file}: neither the chips nor the global batch are said, and one follows from the other",
            hint="give --count too",
        )
    return replace(both, stack=stack_of(asked, tools()[launch.tool])), launch


def with_launch(estimate: Estimate, launch: TrainingLaunch) -> Estimate:
    """The estimate with what its launch file left to say."""
    said = Assumption("launch", launch.file, "given", f"read as a {launch.tool} launch file")
    notes = tuple(Assumption("launch", note, "given", launch.file) for note in launch.notes)
    return replace(
        estimate,
        assumptions=(*estimate.assumptions, said, *notes),
        warnings=(*estimate.warnings, *launch.warnings),
    )


# -- out


def ranked_with_export(tool: str, asked: Asked, top: int) -> PlanRanking:
    """The ranking of `plan` among the plans that a tool can run, with a launch file for the best of them.

    Raises WrongInput for an unknown tool, and for what the user fixed and the tool lacks; NoAnswer where nothing that
    it can run fits.
    """
    chosen = tool_of("--export", tool)
    space.refuse(chosen.name, chosen.space, plan_text.parse(asked.plan))
    ranking = exported.ranking(chosen, replace(asked, stack=stack_of(asked, chosen)), top)
    return replace(ranking, export=chosen.name, launch=export_training(chosen.name, asked, ranking))


def export_training(tool: str, asked: Asked, ranking: PlanRanking) -> str:
    """A launch file for the best plan of a ranking.

    Raises WrongInput for an unknown tool, and for what the tool lacks, with the field of the plan.
    """
    chosen = tool_of("--export", tool)
    question = fill(replace(asked, stack=stack_of(asked, chosen)))
    best = ranking.plans[0]
    lines = header(chosen, asked, question, best.plan_text, best.days)
    said = [f"calibrated with {each}" for each in ranking.calibration]
    if ranking.fastest is not None:
        said.insert(0, exported.slower_than(chosen.name, ranking.fastest))
    return chosen.write(question, plan_of(best.plan_text), [*lines, *map(_one_line, said)])


def plan_of(said: str) -> records.Plan:
    """The whole plan of a text that `plans.text.as_text` wrote.

    >>> plan_of("tp=2,pp=1,dp=4,micro_batch=1,recompute=none").cp
    1
    """
    neutral = records.Plan(1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    return neutral._replace(**plan_text.parse(said))


def header(tool: Tool, asked: Asked, question: Question, said: str, days: float) -> list[str]:
    """What a launch file begins with: for which version, which question it answers, which command made it."""
    from clustercast import __version__

    lines = [
        f"{tool.name}@{tool.version}, written by clustercast {__version__}",
        f"question: {question.model.name} on {question.n_chips} x {question.chip.name}, {question.tokens:.6g} tokens "
        f"in batches of {question.job.global_batch} x {question.job.seq_len}, {question.precision}, "
        f"software {question.stack.name}",
        f"plan: {said}",
        f"expected: {days:.4g} days",
        f"command: {command(asked, tool.name)}",
    ]
    return [_one_line(line) for line in lines]


def _one_line(text: str) -> str:
    """Text without anything that ends a comment or moves a cursor."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


# Fields of a question and the options that give them.
_OPTIONS: Final = {
    "chip": "--chip", "model": "--model", "n_chips": "--count", "tokens": "--tokens", "global_batch": "--gbs",
    "seq_len": "--seq", "precision": "--precision", "plan": "--plan", "fabric": "--fabric", "stack": "--stack",
}  # fmt: skip


def command(asked: Asked, tool: str) -> str:
    """The command line that makes this file again."""
    words = ["clustercast", "plan"]
    for each in fields(asked):
        value = getattr(asked, each.name)
        if each.name in _OPTIONS and value not in (None, ""):
            named = value.name if isinstance(value, ModelProfile) else value
            words += [_OPTIONS[each.name], f"{named:.15g}" if isinstance(named, float) else str(named)]
    for setting in asked.settings:
        words += ["--set", setting]
    return shlex.join([*words, "--export", tool])
