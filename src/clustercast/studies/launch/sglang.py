"""SGLang: `sglang.launch_server` and its YAML option file, read as a serving setup and written for one.

--tp-size is all ranks of a pipeline stage. With --enable-dp-attention its attention is cut into --dp-size groups, and
--max-running-requests and --chunked-prefill-size count on all of them; without, --dp-size is whole replicas. Experts
are spread over --ep-size ranks and sliced over the rest; an all-to-all backend spreads them over all.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read as files
from clustercast.studies.launch import commands, scripts
from clustercast.studies.launch.arguments import Options
from clustercast.studies.launch.commands import Command
from clustercast.studies.launch.launch import ServingLaunch

TOOL: Final = "sglang"
VERSION: Final = "sglang@001067f"  # the source that the options were read in
PROGRAMS: Final = (("-m", "sglang.launch_server"), ("sglang", "serve"), ("sglang", "launch_server"))
TP: Final = ("--tp-size", "--tensor-parallel-size", "--tp")
PP: Final = ("--pp-size", "--pipeline-parallel-size", "--pp")
DP: Final = ("--dp-size", "--data-parallel-size", "--dp")
EP: Final = ("--ep-size", "--expert-parallel-size", "--ep")
A2A: Final = "--moe-a2a-backend"
OLD_A2A: Final = ("--enable-deepep-moe", "--enable-ep-moe")
STEPS: Final = ("--speculative-num-steps",)

# --quantization as a recipe of the catalogue; what only the weights know is left open.
PRECISIONS: Final = {
    "fp8": "fp8",
    "w8a8-fp8": "fp8",
    "modelopt": "fp8",
    "modelopt-fp8": "fp8",
    "modelopt-fp4": "nvfp4",
    "petit-nvfp4": "nvfp4",
    "nvfp4-online": "nvfp4",
    "mxfp4": "mxfp4",
    "mxfp8": "mxfp8",
    "awq": "int4-weight-only",
    "awq-marlin": "int4-weight-only",
    "gptq": "int4-weight-only",
    "gptq-marlin": "int4-weight-only",
    "moe-wna16": "int4-weight-only",
    "w8a8-int8": "int8",
    "blockwise-int8": "int8",
}
WRITTEN: Final = {"fp8": "fp8", "mxfp8": "mxfp8"}  # quantised from 16 bits when the weights are loaded
RUNS: Final = ("bf16", "fp16", "fp8", "fp8-block", "mxfp8", "nvfp4", "int8", "int4-weight-only", "mxfp4")
DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
CACHES: Final = {"fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "bf16": "bf16", "bfloat16": "bf16"}
OWN_CACHES: Final = {"bf16": "bf16", "fp8": "fp8_e4m3"}
DEFAULT_STEPS: Final = (
    3  # --speculative-num-steps where EAGLE is asked for and nothing else, for models with such layers
)
GRAPHLESS: Final = "--disable-cuda-graph"
NOT_MODELLED: Final = {
    "--cpu-offload-gb": "weights in host memory",
    GRAPHLESS: "steps without captured graphs, which are slower",
    "--enable-lora": "adapters beside the model",
    "--lora-paths": "adapters beside the model",
    "--enable-hierarchical-cache": "a cache in host memory",
    "--enable-mixed-chunk": "prefill that rides on decode steps: --set engine.mixed_share=1",
    "--ep-num-redundant-experts": "copies of experts: --set engine.redundant_experts=N",
}


def starts(text: str, path: Path) -> bool:
    """Whether a script starts SGLang."""
    return bool(commands.commands(text, path, PROGRAMS))


def looks_like(data: Mapping[str, object]) -> bool:
    """Whether a YAML file holds options of SGLang's server.

    >>> looks_like({"model-path": "m", "tp-size": 8}), looks_like({"tp_size": 8})
    (True, False)
    """
    own = {"model-path", "tp-size", "mem-fraction-static", "chunked-prefill-size", "enable-dp-attention", "dp-size"}
    return bool(own & set(data))


def read(text: str, path: Path, model: str | None = None) -> ServingLaunch:
    """The serving setup of a script, a command line, or an option file of `--config`.

    model  what the user calls the model, where the launch names weights that the catalogue does not know

    Raises WrongInput with file and line for what cannot be read or is not modelled.
    """
    return commands.read_with(text, path, PROGRAMS, ("--config",), looks_like, "SGLang", launch_of, model)


def launch_of(options: Options, command: Command, path: Path, model: str | None, notes: list[str]) -> ServingLaunch:
    """The setup that the options of one command say."""
    name = options.text("--model-path", "--model") or next((word.text for word in options.positional), None)
    found, precision, mixture, said = commands.weights(name, model, path, f"{files.shown(path)}:{command.line}")
    notes += said
    world, pp, dp = options.whole(*TP) or 1, options.whole(*PP) or 1, options.whole(*DP) or 1
    ep, all_to_all = _experts(options, world)
    if mixture is None and ep > 1:
        mixture = True
    attention_dp = dp if options.flag("--enable-dp-attention") else 1
    if world % attention_dp:
        raise options.wrong(options.must(*DP), f"{attention_dp} does not divide --tp-size {world}")
    if world % ep:
        raise options.wrong(options.find(*EP) or A2A, f"{ep} does not divide --tp-size {world}")
    plan = commands.layout(
        world // attention_dp,
        pp,
        attention_dp,
        ep,
        (1 if attention_dp > 1 else dp) * scripts.servers(command),
        mixture=mixture,
    )
    sequences = options.whole("--max-running-requests")
    chunk = _chunk(options, attention_dp, notes)
    return ServingLaunch(
        tool=TOOL,
        file=files.shown(path),
        model=found,
        plan=plan,
        n_chips=commands.chips_of(plan),
        precision=commands.quantised(options, ("--quantization",), PRECISIONS, DTYPES, precision, notes),
        kv_precision=commands.cache(options, ("--kv-cache-dtype",), CACHES),
        max_batch=sequences,
        chunk_tokens=chunk,
        memory_fraction=commands.share(options, "--mem-fraction-static"),
        max_len=commands.length(options, "--context-length"),
        n_drafts=_drafts(options),
        prefix_cache=False if options.flag("--disable-radix-cache") else None,
        engine=_engine(options, attention_dp) if all_to_all else None,
        role=(options.one_of(("null", "prefill", "decode"), "--disaggregation-mode") or "").replace("null", ""),
        eager=options.where(GRAPHLESS) + f": {GRAPHLESS}" if options.flag(GRAPHLESS) else "",
        warnings=commands.not_modelled(options, NOT_MODELLED),
        notes=(*notes, *options.notes()),
        where={
            "tp": options.where(*TP),
            "pp": options.where(*PP),
            "attention_dp": options.where(*DP),
            "replicas": options.where(*DP),
            "ep": options.where(*EP, A2A, *OLD_A2A),
            "etp": options.where(*EP, A2A, *OLD_A2A),
            "chunk": options.where("--chunked-prefill-size"),
            "max_batch": options.where("--max-running-requests"),
            "precision": options.where("--quantization", "--dtype"),
            "kv_precision": options.where("--kv-cache-dtype"),
            "memory_fraction": options.where("--mem-fraction-static"),
            "n_drafts": options.where("--speculative-algorithm", *STEPS),
            "prefix_cache": options.where("--disable-radix-cache"),
            "model": options.where("--model-path", "--model"),
            "n_chips": options.where(*TP),
            "max_len": options.where("--context-length"),
        },
    )


def _experts(options: Options, world: int) -> tuple[int, bool]:
    """Ranks that experts are spread over, and whether tokens reach them by an all-to-all."""
    backend = (options.text(A2A) or "none").lower()
    old = options.flag(*OLD_A2A)
    all_to_all = backend != "none" or options.flag("--enable-deepep-moe")
    ep = options.whole(*EP) or 1
    return (world if all_to_all or (old and ep == 1) else ep), all_to_all


def _engine(options: Options, attention_dp: int) -> str | None:
    """The catalogue's engine for DeepEP between attention ranks: with two batches that overlap, or one."""
    backend = (options.text(A2A) or "deepep").lower()
    overlaps = options.flag("--enable-two-batch-overlap")
    if attention_dp == 1 or not backend.startswith("deepep"):
        return None
    return "sglang-deepep" if overlaps else "sglang-deepep-one-batch"


def _chunk(options: Options, attention_dp: int, notes: list[str]) -> int | None:
    """Prompt tokens of one step of an attention rank."""
    text = options.text("--chunked-prefill-size")
    if text is None or text.startswith("-"):
        if text is not None:
            notes.append(
                f"{options.where('--chunked-prefill-size')}: prompts are not cut: the engine's usual chunk is taken"
            )
        return None
    return max(1, (options.whole("--chunked-prefill-size") or 1) // attention_dp)


def _drafts(options: Options) -> float | None:
    """Tokens that a step guesses beside the next one: a chain of draft steps, or a tree."""
    if options.text("--speculative-algorithm") is None:
        return None
    most = commands.MOST_DRAFTS
    tokens = options.whole("--speculative-num-draft-tokens", high=most + 1)
    steps = options.whole(*STEPS, high=most)
    wide = options.whole("--speculative-eagle-topk", high=most) or 1
    if tokens is not None and (wide > 1 or steps is None):
        return float(tokens - 1)
    return float(steps or DEFAULT_STEPS)


# -- writing


def write(launch: ServingLaunch, header: Sequence[str] = (), node_chips: int = scripts.NODE_CHIPS) -> str:
    """A script that starts SGLang with a setup.

    header      lines of the comment at its head
    node_chips  of one node

    Raises WrongInput, with its name, for what SGLang has no option for.
    """
    plan, mixture = scripts.whole_plan(launch), scripts.mixture(launch)
    ranks = plan["attention_dp"]
    if not mixture and ranks > 1:
        scripts.refuse(TOOL, f"attention_dp={ranks} without experts", "use replicas")
    weights = scripts.weights(launch, TOOL, WRITTEN, RUNS)
    server = scripts.server_of(plan, node_chips, own_replicas=ranks == 1)
    lines: list[tuple[str, object]] = [
        ("--model-path", weights.name),
        ("--tp-size", plan["tp"] * ranks),
        ("--pp-size", plan["pp"]),
    ]
    if ranks * server.inside > 1:
        lines.append(("--dp-size", ranks * server.inside))
    if ranks > 1:
        lines.append(("--enable-dp-attention", ""))
    if mixture:
        lines.append(("--ep-size", plan["ep"]))
    lines += [(f"--{name}", value) for name, value in weights.options]
    lines += _limits(launch, ranks)
    raw = []
    if server.n_nodes > 1:
        raw = [f"--nnodes {server.n_nodes}", '--node-rank "$NODE_RANK"', '--dist-init-addr "$MASTER_ADDR:20000"']
    program = ("python3", "-m", "sglang.launch_server")
    return scripts.script(VERSION, header, weights._replace(name=""), server, program, lines, raw)


def _limits(launch: ServingLaunch, ranks: int) -> list[tuple[str, object]]:
    """The options about memory, batches and guessed tokens."""
    lines: list[tuple[str, Any]] = []
    if launch.kv_precision is not None:
        lines.append(("--kv-cache-dtype", scripts.named(TOOL, "cache", launch.kv_precision, OWN_CACHES)))
    if launch.max_batch is not None:
        lines.append(("--max-running-requests", launch.max_batch))
    if launch.chunk_tokens is not None:
        lines.append(("--chunked-prefill-size", launch.chunk_tokens * ranks))
    if launch.max_len is not None:
        lines.append(("--context-length", launch.max_len))
    if launch.memory_fraction is not None:
        lines.append(("--mem-fraction-static", f"{launch.memory_fraction:g}"))
    if launch.role:
        lines.append(("--disaggregation-mode", launch.role))
    if launch.prefix_cache is False:
        lines.append(("--disable-radix-cache", ""))
    if launch.n_drafts:
        n_drafts = scripts.own_drafts(launch, TOOL)
        lines += [
            ("--speculative-algorithm", "EAGLE"),
            (*STEPS, n_drafts),
            ("--speculative-eagle-topk", 1),
            ("--speculative-num-draft-tokens", n_drafts + 1),
        ]
    return lines
