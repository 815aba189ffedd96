"""vLLM: `vllm serve` and its YAML option file, read as a serving setup and written for one.

Data parallelism of a mixture of experts is of its attention: the experts are spread over tensor x data parallel ranks
with --enable-expert-parallel, and each is sliced over all of them without. Of a dense model it is whole replicas.
--max-num-seqs and --max-num-batched-tokens count on one data parallel rank.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clustercast.catalog import read as files
from clustercast.studies.launch import commands, scripts
from clustercast.studies.launch.arguments import Options
from clustercast.studies.launch.commands import Command
from clustercast.studies.launch.launch import ServingLaunch

TOOL: Final = "vllm"
VERSION: Final = "vllm@99d7eb5"  # the source that the options were read in
PROGRAMS: Final = (
    ("vllm", "serve"),
    ("-m", "vllm.entrypoints.openai.api_server"),
    ("-m", "vllm.entrypoints.cli.main", "serve"),
    ("vllm-openai",),
)
TP: Final = ("--tensor-parallel-size", "-tp", "--tp")
PP: Final = ("--pipeline-parallel-size", "-pp", "--pp")
DP: Final = ("--data-parallel-size", "-dp", "--dp")
SPECULATION: Final = ("--speculative-config", "-sc")

# --quantization as a recipe of the catalogue; what only the checkpoint knows is left open.
PRECISIONS: Final = {
    "fp8": "fp8",
    "ptpc-fp8": "fp8",
    "fbgemm-fp8": "fp8",
    "modelopt": "fp8",
    "modelopt-fp4": "nvfp4",
    "mxfp4": "mxfp4",
    "gpt-oss-mxfp4": "mxfp4",
    "awq": "int4-weight-only",
    "awq-marlin": "int4-weight-only",
    "gptq": "int4-weight-only",
    "gptq-marlin": "int4-weight-only",
    "int8": "int8",
    "mxfp8": "mxfp8",
}
WRITTEN: Final = {"fp8": "fp8"}  # quantised from 16 bits when the weights are loaded
DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
CACHES: Final = {"fp8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "bfloat16": "bf16", "float16": "fp16"}
NOT_MODELLED: Final = {
    "--cpu-offload-gb": "weights in host memory",
    "--enforce-eager": "steps without captured graphs, which are slower",
    "--enable-lora": "adapters beside the model",
    "--enable-dbo": "two micro-batches that overlap",
    "--enable-eplb": "experts that move between ranks",
}
# vLLM issues 44697, 49355 and 57755 (open in 2026): it does not start, or other stages lose count of the tokens
PIPELINED: Final = "its stages do not share what was accepted (vLLM issues 49355, 57755)"
# What of a serving plan it can run; of a model without experts all.
SPACE: Final = ({"ep": 1}, {"etp": 1})
DRAFTING: Final = {"pp": 1}
ROLES: Final = {"prefill": "kv_producer", "decode": "kv_consumer"}
REFUSED: Final = ("--decode-context-parallel-size", "-dcp", "--prefill-context-parallel-size", "-pcp")


def starts(text: str, path: Path) -> bool:
    """Whether a script starts vLLM."""
    return bool(commands.commands(text, path, PROGRAMS))


def read(text: str, path: Path, model: str | None = None) -> ServingLaunch:
    """The serving setup of a script, a command line, or an option file of `vllm serve --config`.

    model  what the user calls the model, where the launch names weights that the catalogue does not know

    Raises WrongInput with file and line for what cannot be read or is not modelled.
    """
    return commands.read_with(text, path, PROGRAMS, ("--config",), looks_like, "vLLM", launch_of, model)


def looks_like(data: Mapping[str, object]) -> bool:
    """Whether a YAML file holds options of `vllm serve`.

    >>> looks_like({"model": "m", "tensor-parallel-size": 8}), looks_like({"tensor_parallel_size": 8})
    (True, False)
    """
    own = {
        "tensor-parallel-size",
        "max-num-seqs",
        "max-num-batched-tokens",
        "gpu-memory-utilization",
        "max-model-len",
        "enable-expert-parallel",
        "no-enable-prefix-caching",
        "async-scheduling",
    }
    return bool(own & set(data))


def launch_of(options: Options, command: Command, path: Path, model: str | None, notes: list[str]) -> ServingLaunch:
    """The setup that the options of one command say."""
    refused = next((name for name in REFUSED if (options.whole(name, low=0) or 1) > 1), None)
    if refused:
        raise options.wrong(options.must(refused), "context parallelism of a server is not modelled")
    name = options.text("--model") or next((word.text for word in options.positional), None)
    found, precision, mixture, said = commands.weights(name, model, path, f"{files.shown(path)}:{command.line}")
    notes += said
    tp, pp, dp = options.whole(*TP) or 1, options.whole(*PP) or 1, options.whole(*DP) or 1
    spread = options.flag("--enable-expert-parallel", "-ep") and not options.flag("--no-enable-expert-parallel")
    if mixture is None and spread:
        mixture = True
    if mixture is None and dp > 1:
        notes.append(f"{options.where(*DP)}: replicas are assumed, as for a model without experts")
    attention_dp = dp if mixture else 1
    replicas = (1 if mixture else dp) * scripts.servers(command)
    plan = commands.layout(tp, pp, attention_dp, tp * attention_dp if spread else 1, replicas, mixture=mixture)
    sequences = options.whole("--max-num-seqs")
    prefix = None
    if options.flag("--enable-prefix-caching"):
        prefix = True
    if options.flag("--no-enable-prefix-caching"):
        prefix = False
    return ServingLaunch(
        tool=TOOL,
        file=files.shown(path),
        model=found,
        plan=plan,
        n_chips=commands.chips_of(plan),
        precision=commands.quantised(options, ("--quantization", "-q"), PRECISIONS, DTYPES, precision, notes),
        kv_precision=commands.cache(options, ("--kv-cache-dtype",), CACHES),
        max_batch=None if sequences is None else sequences * attention_dp,
        chunk_tokens=options.whole("--max-num-batched-tokens"),
        memory_fraction=commands.share(options, "--gpu-memory-utilization"),
        max_len=commands.length(options, "--max-model-len"),
        n_drafts=_drafts(options),
        prefix_cache=prefix,
        role=_role(options),
        eager=options.where("--enforce-eager") + ": --enforce-eager" if options.flag("--enforce-eager") else "",
        warnings=(*commands.not_modelled(options, NOT_MODELLED), *_pipelined(options, pp)),
        notes=(*notes, *options.notes()),
        where={
            "tp": options.where(*TP),
            "pp": options.where(*PP),
            "attention_dp": options.where(*DP),
            "replicas": options.where(*DP),
            "ep": options.where("--enable-expert-parallel"),
            "etp": options.where("--enable-expert-parallel", *TP),
            "chunk": options.where("--max-num-batched-tokens"),
            "max_batch": options.where("--max-num-seqs"),
            "precision": options.where("--quantization", "-q", "--dtype"),
            "kv_precision": options.where("--kv-cache-dtype"),
            "memory_fraction": options.where("--gpu-memory-utilization"),
            "n_drafts": options.where(*SPECULATION),
            "prefix_cache": options.where("--no-enable-prefix-caching", "--enable-prefix-caching"),
            "model": f"{files.shown(path)}:{command.line}",
            "n_chips": options.where(*TP),
            "max_len": options.where("--max-model-len"),
        },
    )


def _role(options: Options) -> str:
    """Whether the server only makes caches or only takes them; those that do both are one pool."""
    transfer = commands.json_of(options, "--kv-transfer-config") or {}
    return {role: name for name, role in ROLES.items()}.get(str(transfer.get("kv_role")), "")


def _pipelined(options: Options, pp: int) -> list[str]:
    """A warning where tokens are guessed over a pipeline."""
    if pp == 1 or not _drafts(options):
        return []
    return [f"{options.where(*SPECULATION)}: tokens are guessed over a pipeline: {PIPELINED}"]


def _drafts(options: Options) -> float | None:
    """Tokens that a step guesses beside the next one."""
    spec = commands.json_of(options, *SPECULATION)
    if spec is None:
        old = options.whole("--num-speculative-tokens", low=0, high=commands.MOST_DRAFTS)
        return None if old is None else float(old)
    method = str(spec.get("method", ""))
    n_drafts = commands.drafts(spec.get("num_speculative_tokens"), options, *SPECULATION)
    if n_drafts is None and "mtp" in method:
        n_drafts = 1.0
    return n_drafts


# -- writing

RUNS: Final = (
    "bf16", "fp16", "fp8", "fp8-block", "mxfp8", "nvfp4", "int8", "int8-weight-only", "int4-weight-only",
    "fp8-weight-only", "mxfp4",
)  # fmt: skip
OWN_CACHES: Final = {"bf16": "bfloat16", "fp8": "fp8"}


def write(launch: ServingLaunch, header: Sequence[str] = (), node_chips: int = scripts.NODE_CHIPS) -> str:
    """A script that starts vLLM with a setup.

    header      lines of the comment at its head
    node_chips  of one node

    Raises WrongInput, with its name, for what vLLM has no option for.
    """
    plan, mixture = scripts.whole_plan(launch), scripts.mixture(launch)
    group = plan["tp"] * plan["attention_dp"]
    if mixture and plan["ep"] not in (1, group):
        what = f"ep={plan['ep']},etp={plan['etp']}"
        scripts.refuse_plan(TOOL, f"{what}: experts are spread over all {group} ranks, or each is sliced over all")
    if launch.n_drafts and plan["pp"] > 1:
        scripts.refuse_plan(TOOL, f"guessed tokens over a pipeline (pp={plan['pp']}): {PIPELINED}", "--plan pp=1")
    if not mixture and plan["attention_dp"] > 1:
        scripts.refuse(TOOL, f"attention_dp={plan['attention_dp']} without experts", "use replicas")
    weights = scripts.weights(launch, TOOL, WRITTEN, RUNS)
    server = scripts.server_of(plan, node_chips, own_replicas=not mixture)
    lines: list[tuple[str, object]] = [("--tensor-parallel-size", plan["tp"]), ("--pipeline-parallel-size", plan["pp"])]
    ranks = plan["attention_dp"] * server.inside
    if ranks > 1:
        lines.append(("--data-parallel-size", ranks))
    if mixture and plan["ep"] > 1:
        lines.append(("--enable-expert-parallel", ""))
    lines += [(f"--{name}", value) for name, value in weights.options]
    lines += _limits(launch, plan["attention_dp"])
    raw, before = _nodes(plan, server)
    return scripts.script(VERSION, header, weights, server, ("vllm", "serve"), lines, raw, before)


def _limits(launch: ServingLaunch, attention_dp: int) -> list[tuple[str, object]]:
    """The options about memory, batches and guessed tokens."""
    lines: list[tuple[str, object]] = []
    if launch.kv_precision is not None:
        lines.append(("--kv-cache-dtype", scripts.named(TOOL, "cache", launch.kv_precision, OWN_CACHES)))
    if launch.max_batch is not None:
        lines.append(("--max-num-seqs", math.ceil(launch.max_batch / attention_dp)))
    if launch.chunk_tokens is not None:
        lines.append(("--max-num-batched-tokens", launch.chunk_tokens))
    if launch.max_len is not None:
        lines.append(("--max-model-len", launch.max_len))
    if launch.memory_fraction is not None:
        lines.append(("--gpu-memory-utilization", f"{launch.memory_fraction:g}"))
    if launch.prefix_cache is not None:
        lines.append(("--enable-prefix-caching" if launch.prefix_cache else "--no-enable-prefix-caching", ""))
    if launch.role:
        lines.append(
            ("--kv-transfer-config", json.dumps({"kv_connector": "NixlConnector", "kv_role": ROLES[launch.role]}))
        )
    if launch.n_drafts:
        spec = {"method": "mtp", "num_speculative_tokens": scripts.own_drafts(launch, TOOL)}
        lines.append(("--speculative-config", json.dumps(spec)))
    return lines


def _nodes(plan: Mapping[str, int], server: scripts.Server) -> tuple[list[str], list[str]]:
    """The words and lines that join several nodes: data parallel ranks whole on a node, or one rank over all."""
    if server.n_nodes == 1:
        return [], []
    rank_chips, ranks = plan["tp"] * plan["pp"], plan["attention_dp"]
    first_serves = ["HEADLESS=()", 'if [ "$NODE_RANK" -gt 0 ]; then HEADLESS=(--headless); fi']
    if ranks == 1:  # vLLM, docs/serving/parallelism_scaling.md at 096bd6a: the other nodes are headless
        raw = [f"--nnodes {server.n_nodes}", '--node-rank "$NODE_RANK"', '--master-addr "$MASTER_ADDR"']
        return [*raw, '"${HEADLESS[@]}"'], first_serves
    if server.node_chips % rank_chips:
        scripts.refuse(
            TOOL, f"data parallel ranks of {rank_chips} chips over nodes of {server.node_chips}", "let tp x pp divide 8"
        )
    local = server.node_chips // rank_chips
    raw = [
        f"--data-parallel-size-local {local}",
        f"--data-parallel-start-rank $((NODE_RANK * {local}))",
        '--data-parallel-address "$MASTER_ADDR"',
        '"${HEADLESS[@]}"',
    ]
    return raw, first_serves
