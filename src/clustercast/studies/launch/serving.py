"""Launch files of serving tools: which tool, what a file asks of `serve`, a file for the setup that `serve` chose."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from clustercast import catalog, units
from clustercast.catalog import constants
from clustercast.catalog import read as files
from clustercast.catalog import serving as engines
from clustercast.catalog.find import user_file
from clustercast.errors import NoAnswer, WrongInput
from clustercast.estimates.result import Assumption
from clustercast.physics.serving import serving_weights_bytes
from clustercast.records import ServingPlan
from clustercast.studies.launch import commands, scripts, sglang, trtllm, vllm
from clustercast.studies.launch.launch import PlanRefused, ServingLaunch
from clustercast.studies.serving.pools import Pool, Pools, pools
from clustercast.studies.serving.question import ServeAsked, fill_serve, parse_plan
from clustercast.studies.serving.result import ServeResult, serve
from clustercast.studies.serving.split import PoolsAsked, Side


class Tool(NamedTuple):
    """What is known of one serving tool."""

    starts: Callable[[str, Path], bool]  # whether a script starts it
    looks_like: Callable[[Mapping[str, object]], bool]  # whether a YAML file holds its options
    read: Callable[[str, Path, str | None], ServingLaunch]
    write: Callable[[ServingLaunch, Sequence[str], int], str]
    space: tuple[Mapping[str, int], ...] = ({},)  # what to hold of the plan of a mixture of experts, each a choice
    drafting: Mapping[str, int] = {}  # what to hold where tokens are guessed


TOOLS: Final = {
    vllm.TOOL: Tool(vllm.starts, vllm.looks_like, vllm.read, vllm.write, vllm.SPACE, vllm.DRAFTING),
    sglang.TOOL: Tool(sglang.starts, sglang.looks_like, sglang.read, sglang.write),
    trtllm.TOOL: Tool(trtllm.starts, trtllm.looks_like, trtllm.read, trtllm.write, trtllm.SPACE),
}
ENGINES: Final = {"vllm": "vllm", "sglang": "sglang", "tensorrt-llm": "trtllm"}
ALIASES: Final = {"trtllm": "tensorrt-llm", "trt-llm": "tensorrt-llm"}


def tool_named(name: str, option: str = "--export") -> str:
    """The serving tool of that name. Raises WrongInput with the nearest."""
    import difflib

    found = ALIASES.get(name.lower(), name.lower())
    if found in TOOLS:
        return found
    near = difflib.get_close_matches(found, TOOLS, 1)
    raise WrongInput(
        f"{option}: unknown serving tool {name[:64]!r}",
        hint=f"did you mean {near[0]}?" if near else f"there are {', '.join(TOOLS)}",
    )


# -- reading


def read_serving(path: str | Path, model: str | None = None) -> ServingLaunch:
    """What a launch file says: a script, a command line, or an option file in YAML of vLLM, SGLang or TensorRT-LLM.

    model  what the user calls the model, for weights that the catalogue does not know

    Raises WrongInput with file and line for what is none of these, or cannot be read.
    """
    place = Path(path)
    return read_text(files.text_of(files.read_bytes(place), place), place, model)


def read_text(text: str, path: Path, model: str | None = None) -> ServingLaunch:
    """The same of a text that is read already. Raises WrongInput."""
    if path.suffix.lower() not in (".yaml", ".yml"):
        for tool in TOOLS.values():
            if tool.starts(text, path):
                return tool.read(text, path, model)
    data = commands.mapping(text.encode(), path) if path.suffix.lower() in (".yaml", ".yml") else None
    for tool in TOOLS.values():
        if data is not None and tool.looks_like(data):
            return tool.read(text, path, model)
    raise files.wrong(
        path,
        "",
        "starts no serving tool that is known",
        hint=_trains(text, path)
        or "expected `vllm serve`, `python -m sglang.launch_server`, `trtllm-serve`, or a YAML file of their options",
    )


def _trains(text: str, path: Path) -> str | None:
    """The hint where a file is one of a training tool."""
    from clustercast.studies.launch import training

    try:
        found = training.read_text(text, path)
    except WrongInput:
        return None
    return f"it trains with {found.tool}: clustercast estimate --launch {files.shown(path)}"


def tool_started(text: str, path: Path) -> str | None:
    """The serving tool that a text starts or holds options of; None where it is none."""
    try:
        found = next((name for name, tool in TOOLS.items() if tool.starts(text, path)), None)
    except WrongInput:
        return None
    if found is None and path.suffix.lower() in (".yaml", ".yml"):
        data = commands.yaml_of(text, path)
        found = next((name for name, tool in TOOLS.items() if data is not None and tool.looks_like(data)), None)
    return found


# -- asking


def asked_with(launch: ServingLaunch, asked: ServeAsked, *, own_engine: bool = True) -> ServeAsked:
    """The question of `serve` with what a launch file says put in.

    own_engine  nobody named an engine

    Raises WrongInput, naming both, where the file and an option contradict one another.
    """
    said = replace(asked, model=_model(launch, asked), n_chips=_chips(launch, asked))
    own = launch.engine or ENGINES[launch.tool]
    if not own_engine and asked.engine.partition("-")[0] != ENGINES[launch.tool].partition("-")[0]:
        raise contradiction(launch, "--engine", asked.engine, "tool", launch.tool)
    said = replace(
        said,
        engine=own if own_engine else asked.engine,
        precision=_same(launch, "--precision", _recipe(asked.precision), "precision", launch.precision),
        kv_precision=_same(launch, "--kv-precision", asked.kv_precision, "kv_precision", launch.kv_precision),
        plan=_plan(launch, asked),
        n_drafts=_same(launch, "--draft", asked.n_drafts, "n_drafts", launch.n_drafts or None),
    )
    if said.n_drafts and asked.accepted_tokens is None:
        raise WrongInput(
            f"{launch.where.get('n_drafts', launch.file)}: a step guesses {said.n_drafts:g} tokens: say how many it "
            "yields",
            hint="--accept 1.8",
        )
    if asked.hit_fraction > 0.0 and launch.prefix_cache is False:
        raise contradiction(launch, "--prefix-hit", f"{asked.hit_fraction:g}", "prefix_cache", "no prefix cache")
    return replace(said, settings=_settings(launch, said))


def contradiction(launch: ServingLaunch, option: str, value: object, name: str, stated: object) -> WrongInput:
    """The error for an option and a launch file that say different things."""
    where = launch.where.get(name, launch.file)
    return WrongInput(f"{option} {value} contradicts {where}, which says {stated}", hint=f"leave out {option}")


def _same(launch: ServingLaunch, option: str, asked: Any, name: str, stated: Any) -> Any:
    """What the user or the file says. Raises WrongInput where both do, and differ."""
    if asked is not None and stated is not None and asked != stated:
        raise contradiction(launch, option, asked, name, stated)
    return stated if asked is None else asked


def _recipe(precision: str | None) -> str | None:
    return None if precision is None else constants.recipe(precision).name


def _model(launch: ServingLaunch, asked: ServeAsked) -> str:
    """The model of the question. Raises WrongInput where nobody says it."""
    stated = launch.model if isinstance(launch.model, str) or launch.model is None else launch.model.name
    if asked.model and stated and catalog.find_model(asked.model).name != catalog.find_model(stated).name:
        raise contradiction(launch, "--model", asked.model, "model", stated)
    if not asked.model and not stated:
        said = next((note for note in launch.notes if "--model" in note), f"{launch.file}: no model is said")
        raise WrongInput(said, hint="--model NAME")
    return asked.model or stated or ""


def _chips(launch: ServingLaunch, asked: ServeAsked) -> int | None:
    return _same(launch, "--count", asked.n_chips, "n_chips", launch.n_chips)  # type: ignore[no-any-return]


def _plan(launch: ServingLaunch, asked: ServeAsked) -> str:
    """What is fixed of the plan by either."""
    fixed = parse_plan(asked.plan)
    stated = dict(launch.plan)
    if launch.chunk_tokens is not None:
        stated["chunk"] = launch.chunk_tokens
    for name, value in stated.items():
        if fixed.get(name, value) != value:
            raise contradiction(launch, "--plan", f"{name}={fixed[name]}", name, f"{name}={value}")
    return ",".join(f"{name}={value}" for name, value in (stated | fixed).items())


def _settings(launch: ServingLaunch, said: ServeAsked) -> tuple[str, ...]:
    """The settings of the engine that the file's limits are, after those that the user gave."""
    own: dict[str, str] = {}
    if launch.max_batch is not None:
        own["engine.max_batch"] = str(max(1, launch.max_batch // launch.plan.get("attention_dp", 1)))
    if launch.memory_fraction is not None:
        own["engine.memory_fraction"] = f"{_of_memory(launch, said):.6g}"
    settings = list(said.settings)
    for setting in said.settings:
        target, _, text = setting.partition("=")
        name = target.strip()
        if name in own and units.parse(text, "count") != float(own[name]):
            field = name.partition(".")[2]
            raise contradiction(launch, "--set", setting, field, f"{field} {own[name]}")
        own.pop(name, None)
    return (*settings, *(f"{name}={value}" for name, value in own.items()))


def _of_memory(launch: ServingLaunch, said: ServeAsked) -> float:
    """The share of a chip's memory that the engine takes; a share of what the weights leave is one of it with them."""
    share = launch.memory_fraction or 1.0
    if launch.tool != trtllm.TOOL:
        return share
    question = fill_serve(said)
    fixed, setting = question.fixed, question.setting
    plan = ServingPlan(*(fixed.get(name, 1) for name in ServingPlan._fields))
    capacity = setting.chip.hbm_bytes - setting.chip.reserved_bytes
    held = min((serving_weights_bytes(setting, plan) + setting.engine.workspace_bytes) / capacity, 1.0)
    return held + share * (1.0 - held)


def answered(launch: ServingLaunch, done: ServeResult) -> ServeResult:
    """The answer with what the file says beside it. Raises WrongInput where the server takes no such long requests."""
    longest = done.lengths["input"]["longest"] + done.lengths["output"]["longest"]
    if launch.max_len is not None and longest > launch.max_len:
        where = launch.where.get("max_len", launch.file)
        raise WrongInput(
            f"prompts and answers of {longest:,.0f} tokens are longer than {where} allows ({launch.max_len:,})",
            hint="give --isl and --osl",
        )
    said = Assumption("launch", launch.file, "given", f"read as a {launch.tool} launch file")
    notes = tuple(Assumption("launch", note, "given", launch.file) for note in launch.notes)
    warnings = [*launch.warnings]
    if launch.role:
        warnings.append(f"{launch.file}: it starts the {launch.role} half of two pools: answered as if it did both")
    return replace(done, assumptions=(*done.assumptions, said, *notes), warnings=(*done.warnings, *warnings))


def served(
    asked: ServeAsked,
    launch: str | Path | None,
    export: str | None,
    *,
    own_engine: bool,
    frontier: bool = False,
    n_simulated: int = 0,
    seed: int = 0,
) -> ServeResult:
    """The answer of `serve` for a launch file, with a launch file for its setup, or both.

    own_engine  nobody named an engine: the launch file's, or that of the tool to export to

    Raises WrongInput for files and options that are wrong; NoAnswer as `serve` does.
    """
    tool = None if export is None else tool_named(export)
    if tool is not None:
        asked = replace(asked, engine=ENGINES[tool] if own_engine else asked.engine)
        _check_engine(tool, asked.engine)
    read = None if launch is None else read_serving(launch, asked.model or None)
    if read is not None:
        asked = asked_with(read, asked, own_engine=own_engine)
    done = serve(asked, frontier=frontier, n_simulated=n_simulated, seed=seed)
    if read is not None:
        done = answered(read, done)
    if tool is None:
        return done
    try:
        return replace(done, export=tool, launch=export_serving(tool, asked, done))
    except PlanRefused as refused:
        options: dict[str, Any] = {"frontier": frontier, "n_simulated": n_simulated, "seed": seed}
        return _own(tool, asked, done, refused, lambda own: serve(own, **options))


def _own(
    tool: str, asked: ServeAsked, done: ServeResult, refused: PlanRefused, ask: Callable[[ServeAsked], ServeResult]
) -> ServeResult:
    """The best answer that a tool can run, where it lacks the plan of the best of all.

    Raises PlanRefused where the user fixed what it lacks, or no answer of its own is there.
    """
    fixed = parse_plan(asked.plan)
    mixture = catalog.find_model(asked.model).record().n_moe_layers > 0
    held = TOOLS[tool].drafting if done.n_drafts else {}
    found: list[tuple[ServeResult, str]] = []
    for box in TOOLS[tool].space if mixture else ({},):
        plan = {**box, **held, **fixed}
        own = replace(asked, plan=",".join(f"{name}={value}" for name, value in plan.items()))
        try:
            answer = ask(own)
            found.append((answer, export_serving(tool, asked, answer)))
        except (PlanRefused, NoAnswer):
            continue
    if not found:
        raise refused
    best, _ = min(found, key=lambda pair: _rank(asked, pair[0]))
    if _rank(asked, best) <= _rank(asked, done):
        return replace(best, export=tool, launch=export_serving(tool, asked, best))
    said = (
        f"the best that {tool} can run; the best of all gives {done.output_tokens_per_s:,.4g} output tokens/s at TPOT "
        f"{done.tpot_ms:.4g} ms with {done.plan_text}"
    )
    text = export_serving(tool, asked, best, (said,))
    return replace(best, export=tool, launch=text, warnings=(*best.warnings, f"--export {tool}: {said}"))


def _rank(asked: ServeAsked, done: ServeResult) -> tuple[float, ...]:
    """What `serve` puts first: throughput without a load, else the fewest chips within objectives, or latency."""
    if done.load == "full":
        return (-done.output_tokens_per_s,)
    latency_ms = done.ttft_ms + done.tpot_ms * max(done.output_len - 1, 0)
    within = asked.ttft_s is not None or asked.tpot_s is not None
    return (float(done.plan["chips"] * done.replicas), latency_ms) if within else (latency_ms,)


# -- writing


def launch_of(tool: str, asked: ServeAsked, done: ServeResult) -> ServingLaunch:
    """The setup of an answer as a launch of a tool, before anything is refused."""
    _check_engine(tool, done.engine)
    record = engines.with_settings(engines.engine(done.engine), asked.settings).record
    plan = {name: int(done.plan[name]) for name in (*ServingPlan._fields, "replicas")}
    ranks = plan["attention_dp"]
    batch = math.ceil(done.batch_per_replica / ranks) * ranks
    if done.load == "rate":
        batch = max(batch, done.max_batch // done.replicas)
    usual = constants.recipe(done.precision).parts[2]
    kv: str | None = asked.kv_precision or usual
    if kv == usual and usual in scripts.SIXTEEN_BITS:
        kv = None
    share = record.memory_fraction
    if tool == trtllm.TOOL:
        memory = done.memory_bytes
        held = memory.weights + memory.workspace
        whole = memory.capacity / record.memory_fraction
        share = max(memory.capacity - held, 0.0) / max(whole - held, 1.0)
    return ServingLaunch(
        tool=tool,
        file="the answer of serve",
        model=asked.model if user_file(asked.model) else done.model,
        plan=plan,
        n_chips=done.count,
        precision=done.precision,
        kv_precision=kv,
        max_batch=batch,
        chunk_tokens=done.chunk_tokens,
        memory_fraction=round(share, 3),
        max_len=math.ceil(done.lengths["input"]["longest"] + done.lengths["output"]["longest"]),
        n_drafts=done.n_drafts or None,
        accepted_tokens=done.accepted_tokens,
        prefix_cache=True if done.prefix_hit > 0.0 else None,
    )


def export_serving(tool: str, asked: ServeAsked, done: ServeResult, said: Sequence[str] = ()) -> str:
    """A launch file of a tool for the setup of an answer; `said` goes into its head.

    Raises WrongInput, by its name, for what the tool lacks.
    """
    launch = launch_of(tool, asked, done)
    domain = catalog.find_fabric(done.fabric).scale_up.n_chips
    return TOOLS[tool].write(launch, (*header(tool, asked, done), *said), min(domain, scripts.NODE_CHIPS))


def header(tool: str, asked: ServeAsked, done: ServeResult) -> tuple[str, ...]:
    """The question, the command and what to expect, for the comment at the head of a file."""
    load = {"full": "as many requests as hold the objectives", "rate": f"{done.rate or 0:g} requests/s"}
    under = load.get(done.load, f"{done.concurrency or 0:g} requests in flight")
    return (
        f"question: {done.model_name} in {done.precision} on {done.count:,} x {done.chip_name}, prompts of "
        f"{done.lengths['input']['said']} tokens, answers of {done.lengths['output']['said']}, {under}",
        f"command: {command(tool, asked)}",
        f"plan: {done.plan_text}",
        f"expected: TTFT {done.ttft_ms:.0f} ms ({done.ttft_ms_low:.0f} to {done.ttft_ms_high:.0f}), TPOT "
        f"{done.tpot_ms:.2f} ms ({done.tpot_ms_low:.2f} to {done.tpot_ms_high:.2f}), "
        f"{done.output_tokens_per_s:,.0f} output tokens/s with {done.batch:,.0f} requests in flight",
    )


def pools_apart(
    asked: PoolsAsked, export: str, *, own_engines: bool, compare: bool = True, frontier: bool = False
) -> Pools:
    """The answer of pools apart with a launch file for each of them.

    own_engines  nobody named an engine for either pool

    Raises WrongInput, by its name, for what the tool lacks.
    """
    tool = tool_named(export)
    if tool == trtllm.TOOL:
        scripts.refuse(tool, "option that makes a server one of two pools", "vllm and sglang have one")
    if own_engines:
        engine = ENGINES[tool]
        prefill, decode = replace(asked.prefill, engine=engine), replace(asked.decode, engine=engine)
        asked = replace(asked, prefill=prefill, decode=decode)
    for side in (asked.prefill, asked.decode):
        _check_engine(tool, side.engine)
    done = pools(asked, compare=compare, frontier=frontier)
    both = {"prefill": (asked.prefill, done.prefill), "decode": (asked.decode, done.decode)}
    texts = {role: _pool_file(tool, asked, done, role, *each) for role, each in both.items()}
    return replace(done, export=tool, launch=texts)


def _pool_file(tool: str, asked: PoolsAsked, done: Pools, role: str, side: Side, pool: Pool) -> str:
    """The launch file of one pool."""
    record = engines.with_settings(engines.engine(pool.engine), side.settings).record
    ranks = pool.plan["attention_dp"]
    launch = ServingLaunch(
        tool=tool,
        file="the answer of serve",
        model=asked.model if user_file(asked.model) else done.model,
        plan={name: int(pool.plan[name]) for name in ServingPlan._fields} | {"replicas": pool.replicas},
        n_chips=pool.count,
        precision=pool.precision,
        max_batch=max(1, int(pool.slots_per_replica) // ranks) * ranks,
        chunk_tokens=pool.plan.get("chunk"),
        memory_fraction=round(record.memory_fraction, 3),
        n_drafts=asked.n_drafts,
        prefix_cache=True if asked.hit_fraction > 0.0 else None,
        role=role,
    )
    head = (
        f"question: the {role} pool of {done.model_name} in {pool.precision}, {done.input_len:,} tokens in and "
        f"{done.output_len:,} out, {done.requests_per_s:.4g} requests/s",
        f"command: {_pools_command(tool, asked)}",
        f"plan: {pool.plan_text}; {pool.replicas} of them",
        f"expected of both pools: TTFT {done.ttft_ms:.0f} ms ({done.ttft_ms_low:.0f} to {done.ttft_ms_high:.0f}), TPOT "
        f"{done.tpot_ms:.2f} ms ({done.tpot_ms_low:.2f} to {done.tpot_ms_high:.2f}), "
        f"{done.output_tokens_per_s:,.0f} output tokens/s",
        f"a router that sends a prompt to a prefill server and its cache to a decode server is {tool}'s own",
    )
    domain = catalog.find_fabric(pool.fabric).scale_up.n_chips
    return TOOLS[tool].write(launch, head, min(domain, scripts.NODE_CHIPS))


def _check_engine(tool: str, engine: str) -> None:
    """Refuse to write a file of a tool for what another engine was asked for. Raises WrongInput."""
    if engine.partition("-")[0] != ENGINES[tool]:
        raise WrongInput(f"--export {tool}: the answer is for {engine}", hint=f"--engine {ENGINES[tool]}")


# Fields of a question and the options that give them.
_OPTIONS: Final = {
    "chip": "--chip", "model": "--model", "n_chips": "--count", "input_len": "--isl", "output_len": "--osl",
    "lengths": "--lengths", "engine": "--engine", "precision": "--precision", "fabric": "--fabric",
    "concurrency": "--concurrency", "rate": "--rate", "percentile": "--percentile", "plan": "--plan",
    "n_drafts": "--draft", "accepted_tokens": "--accept",
}  # fmt: skip


def command(tool: str, asked: ServeAsked) -> str:
    """The command line that makes a file again.

    >>> command("vllm", ServeAsked("h100", "llama-3.1-8b", 8, input_len="4k", tpot_s=0.05))
    'clustercast serve --chip h100 --model llama-3.1-8b --count 8 --isl 4k --engine vllm --tpot 50ms --export vllm'
    """
    words = _words(_OPTIONS, asked) + _objectives(asked)
    for setting in asked.settings:
        words += ["--set", setting]
    return shlex.join(["clustercast", "serve", *words, "--export", tool])


def _pools_command(tool: str, asked: PoolsAsked) -> str:
    """The same of pools apart."""
    words = []
    for role, side in (("prefill", asked.prefill), ("decode", asked.decode)):
        words += _words({name: f"--{role}-{name}" for name in _OF_SIDE}, side)
    words += _words(_OPTIONS | {"count": "--count"}, asked) + _objectives(asked)
    for role, side in (("prefill", asked.prefill), ("decode", asked.decode)):
        for setting in side.settings:
            words += ["--set", f"{role}-{setting}" if setting.startswith("chip.") else setting]
    return shlex.join(["clustercast", "serve", *words, "--export", tool])


_OF_SIDE: Final = ("chip", "count", "plan", "precision", "engine", "fabric")


def _words(named: Mapping[str, str], asked: object) -> list[str]:
    """The options of the fields that are given."""
    words = []
    for name, option in named.items():
        value = getattr(asked, name, None)
        if value not in (None, ""):
            words += [option, f"{value:.15g}" if isinstance(value, float) else str(value)]
    return words


def _objectives(asked: ServeAsked | PoolsAsked) -> list[str]:
    """The options with a unit."""
    words = []
    for option, seconds in (("--ttft", asked.ttft_s), ("--tpot", asked.tpot_s)):
        words += [] if seconds is None else [option, f"{1e3 * seconds:.15g}ms"]
    return words + (["--prefix-hit", f"{asked.hit_fraction:.15g}"] if asked.hit_fraction > 0.0 else [])
