"""TensorRT-LLM: `trtllm-serve` with its YAML options, read as a serving setup and written for one.

What the YAML file says goes before the command line. --tp_size is all ranks of a pipeline stage; attention is either
cut over all of them or, with enable_attention_dp, whole on each. --max_batch_size and --max_num_tokens count on one
rank. The fraction of memory is of what the weights leave free. Weights are quantised beforehand: their name says how.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from clustercast.catalog import read as files
from clustercast.studies.launch import commands, scripts
from clustercast.studies.launch.arguments import Options, Word
from clustercast.studies.launch.commands import Command
from clustercast.studies.launch.launch import ServingLaunch

TOOL: Final = "tensorrt-llm"
VERSION: Final = "tensorrt-llm@00209af"  # the source that the options were read in
PROGRAMS: Final = (("trtllm-serve", "serve"), ("trtllm-serve",))
TP: Final = ("--tensor-parallel-size", "--tp-size")
PP: Final = ("--pipeline-parallel-size", "--pp-size")
EP: Final = ("--moe-expert-parallel-size", "--ep-size")
MOE_TP: Final = ("--moe-tensor-parallel-size", "--moe-tp-size")
MEMORY: Final = ("--free-gpu-memory-fraction", "--kv-cache-free-gpu-memory-fraction")
FILE: Final = ("--extra-llm-api-options", "--config")
REFUSED: Final = {
    "--context-parallel-size": "context parallelism of a server",
    "--cp-size": "context parallelism of a server",
    "--moe-cluster-parallel-size": "clusters of experts",
    "--cluster-size": "clusters of experts",
}
QUANTISED: Final = {
    "fp8": "fp8",
    "fp8-per-channel-per-token": "fp8",
    "fp8-block-scales": "fp8-block",
    "nvfp4": "nvfp4",
    "w4a16-awq": "int4-weight-only",
    "w4a16-gptq": "int4-weight-only",
    "w4a16": "int4-weight-only",
    "w4a16-mxfp4": "mxfp4",
}
RUNS: Final = ("bf16", "fp16", "fp8", "fp8-block", "nvfp4", "int4-weight-only", "mxfp4")
DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16"}
CACHES: Final = {"fp8": "fp8", "bfloat16": "bf16", "float16": "fp16"}
OWN_CACHES: Final = {"bf16": "bfloat16", "fp8": "fp8"}
FLAGS: Final = ("trust-remote-code", "enable-chunked-prefill", "fail-fast-on-attention-window-too-large")
NOT_MODELLED: Final = {
    "--enable-min-latency": "a mode for one request at a time",
    "--moe-config.load-balancer": "experts that are copied and moved: --set engine.redundant_experts=N",
    "--sparse-attention-config": "sparse attention that the model itself does not have",
}
OPTIONS_FILE: Final = "trtllm-options.yaml"


def starts(text: str, path: Path) -> bool:
    """Whether a script starts TensorRT-LLM."""
    return bool(commands.commands(text, path, PROGRAMS))


def looks_like(data: Mapping[str, object]) -> bool:
    """Whether a YAML file holds options of `trtllm-serve`.

    >>> looks_like({"tensor_parallel_size": 8}), looks_like({"tp-size": 8})
    (True, False)
    """
    own = {
        "tensor_parallel_size",
        "moe_expert_parallel_size",
        "enable_attention_dp",
        "kv_cache_config",
        "cuda_graph_config",
        "moe_config",
        "max_num_tokens",
        "stream_interval",
    }
    return bool(own & set(data))


def read(text: str, path: Path, model: str | None = None) -> ServingLaunch:
    """The serving setup of a script, a command line, or the YAML options of `--config`.

    model  what the user calls the model, where the launch names weights that the catalogue does not know

    Raises WrongInput with file and line for what cannot be read or is not modelled.
    """
    found = commands.commands(text, path, PROGRAMS)
    notes: list[str] = []
    if not found:
        data = commands.yaml_of(text, path)
        if data is None or not looks_like(data):
            raise files.wrong(path, "", "starts no TensorRT-LLM, expected `trtllm-serve` or a YAML file of its options")
        return launch_of(Options(words_of(data, 1), path), Command((), 1, None, 0, {}), path, model, notes)
    command = found[0]
    given = Options(command.words, path)
    words: tuple[Word, ...] = command.words
    option = given.find(*FILE)
    if option is not None:
        data, shown, _ = commands.option_file(given.text(*FILE) or "", command, option, path)
        words = (*words, *words_of(data, option.line))
        notes.append(f"{shown}: {len(data)} options are read from it and go before the command line")
    notes += commands.others(command, path)
    notes += command.script.notes if command.script else ()
    return launch_of(Options(words, path), command, path, model, notes)


def words_of(data: Mapping[str, Any], line: int) -> list[Word]:
    """YAML options as words: the entries of the groups that matter as options with a dot.

    >>> [word.text for word in words_of({"kv_cache_config": {"dtype": "fp8"}, "x": {"y": 1}}, 1)]
    ['--kv-cache-config.dtype', 'fp8', '--x', '{"y": 1}']
    """
    flat: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict) and key in ("kv_cache_config", "speculative_config", "quant_config", "moe_config"):
            flat |= {f"{key}.{each}": what for each, what in value.items() if not isinstance(what, dict | list)}
            flat |= {f"{key}.{each}": "given" for each, what in value.items() if isinstance(what, dict | list)}
        else:
            flat[key] = value
    return commands.as_words(flat, line)


def launch_of(options: Options, command: Command, path: Path, model: str | None, notes: list[str]) -> ServingLaunch:
    """The setup that the options of one command say."""
    for name, what in REFUSED.items():
        if (options.whole(name, low=0) or 1) > 1:
            raise options.wrong(options.must(name), f"{what} is not modelled")
    named = next((word.text for word in options.positional if word.text != "serve"), None) or options.text("--model")
    found, precision, mixture, said = commands.weights(named, model, path, f"{files.shown(path)}:{command.line}")
    notes += said
    world, pp = options.whole(*TP) or 1, options.whole(*PP) or 1
    ep = _experts(options, world)
    if mixture is None and ep > 1:
        mixture = True
    apart = options.flag("--enable-attention-dp")
    attention_dp = world if apart else 1
    plan = commands.layout(world // attention_dp, pp, attention_dp, ep, scripts.servers(command), mixture=mixture)
    sequences, chunk = options.whole("--max-batch-size"), options.whole("--max-num-tokens")
    reuse = True if options.flag("--kv-cache-config.enable-block-reuse") else None
    if options.flag("--no-kv-cache-config.enable-block-reuse"):
        reuse = False
    return ServingLaunch(
        tool=TOOL,
        file=files.shown(path),
        model=found,
        plan=plan,
        n_chips=commands.chips_of(plan),
        precision=commands.quantised(options, ("--quant-config.quant-algo",), QUANTISED, DTYPES, precision, notes),
        kv_precision=commands.cache(options, ("--kv-cache-config.dtype", "--kv-cache-dtype"), CACHES),
        max_batch=None if sequences is None else sequences * attention_dp,
        chunk_tokens=chunk,
        memory_fraction=commands.share(options, "--kv-cache-config.free-gpu-memory-fraction", *MEMORY),
        max_len=options.whole("--max-seq-len", high=commands.MOST_LENGTH),
        n_drafts=_drafts(options),
        prefix_cache=reuse,
        role={"CONTEXT": "prefill", "GENERATION": "decode"}.get((options.text("--server-role") or "").upper(), ""),
        warnings=commands.not_modelled(options, NOT_MODELLED),
        notes=(*notes, *options.notes()),
        where={
            "tp": options.where(*TP),
            "pp": options.where(*PP),
            "attention_dp": options.where("--enable-attention-dp"),
            "ep": options.where(*EP),
            "etp": options.where(*EP),
            "chunk": options.where("--max-num-tokens"),
            "max_batch": options.where("--max-batch-size"),
            "precision": options.where("--quant-config.quant-algo", "--dtype"),
            "kv_precision": options.where("--kv-cache-config.dtype", "--kv-cache-dtype"),
            "memory_fraction": options.where("--kv-cache-config.free-gpu-memory-fraction", *MEMORY),
            "n_drafts": options.where("--speculative-config.decoding-type"),
            "prefix_cache": options.where("--no-kv-cache-config.enable-block-reuse"),
            "model": f"{files.shown(path)}:{command.line}",
            "n_chips": options.where(*TP),
            "max_len": options.where("--max-seq-len"),
        },
    )


def _experts(options: Options, world: int) -> int:
    """Ranks that experts are spread over: as said, or what slices of them leave, or one."""
    ep, slices = options.whole(*EP, high=world), options.whole(*MOE_TP, high=world)
    if ep is None:
        ep = world // slices if slices else 1
    if world % ep or (slices is not None and ep * slices != world):
        option = options.find(*EP) or options.must(*MOE_TP)
        raise options.wrong(
            option, f"experts over {ep} ranks in {slices or world // ep} slices are not --tp_size {world}"
        )
    return ep


def _drafts(options: Options) -> float | None:
    """Tokens that a step guesses beside the next one."""
    kind = options.text("--speculative-config.decoding-type")
    names = ("--speculative-config.max-draft-len", "--speculative-config.num-nextn-predict-layers")
    text = options.text(*names)
    if kind is None and text is None:
        return None
    found = commands.drafts(text, options, *names)
    return 1.0 if found is None and (kind or "").upper() == "MTP" else found


# -- writing


# What of a serving plan it can run; of a model without experts all.
SPACE: Final = ({"tp": 1}, {"attention_dp": 1})


def write(launch: ServingLaunch, header: Sequence[str] = (), node_chips: int = scripts.NODE_CHIPS) -> str:
    """A script that writes the YAML options and starts TensorRT-LLM with a setup.

    header      lines of the comment at its head
    node_chips  of one node

    Raises WrongInput, with its name, for what TensorRT-LLM has no option for.
    """
    plan, mixture = scripts.whole_plan(launch), scripts.mixture(launch)
    ranks = plan["attention_dp"]
    if ranks > 1 and (plan["tp"] > 1 or not mixture):
        what = f"tp={plan['tp']},attention_dp={ranks}"
        hint = "attention is whole on every rank (tp=1) or cut over all (attention_dp=1)" if mixture else "use replicas"
        scripts.refuse_plan(TOOL, what, hint)
    if launch.role:
        scripts.refuse(TOOL, f"option that makes a server {launch.role} alone", "vllm and sglang have one")
    weights = scripts.weights(launch, TOOL, {}, RUNS)
    server = scripts.server_of(plan, node_chips, own_replicas=False)
    lines: list[tuple[str, object]] = [("--tp_size", plan["tp"] * ranks), ("--pp_size", plan["pp"])]
    if mixture:
        lines.append(("--ep_size", plan["ep"]))
    if launch.max_batch is not None:
        lines.append(("--max_batch_size", math.ceil(launch.max_batch / ranks)))
    if launch.chunk_tokens is not None:
        lines.append(("--max_num_tokens", launch.chunk_tokens))
    if launch.max_len is not None:
        lines.append(("--max_seq_len", launch.max_len))
    if launch.memory_fraction is not None:
        lines.append(("--kv_cache_free_gpu_memory_fraction", f"{launch.memory_fraction:g}"))
    lines.append(("--config", OPTIONS_FILE))
    yaml = _yaml(launch, ranks, dict(weights.options).get("dtype"))
    before = [f"cat > {OPTIONS_FILE} <<'EOF'", *yaml, "EOF"]
    program: tuple[str, ...] = ("trtllm-serve",)
    if server.n_nodes > 1:
        lines.append(("--gpus_per_node", server.node_chips))
        n_ranks = plan["tp"] * plan["pp"] * ranks
        program = ("mpirun", "-n", str(n_ranks), "--map-by", f"ppr:{server.node_chips}:node", "trtllm-llmapi-launch")
        program = (*program, "trtllm-serve")
    return scripts.script(VERSION, header, weights, server, program, lines, (), before)


def _yaml(launch: ServingLaunch, ranks: int, dtype: str | None) -> list[str]:
    """The lines of the option file."""
    lines = ["enable_chunked_prefill: true"]
    if ranks > 1:
        lines.append("enable_attention_dp: true")
    if dtype is not None:
        lines.append(f"dtype: {dtype}")
    cache = []
    if launch.kv_precision is not None:
        cache.append(f"  dtype: {scripts.named(TOOL, 'cache', launch.kv_precision, OWN_CACHES)}")
    if launch.prefix_cache is not None:
        cache.append(f"  enable_block_reuse: {str(launch.prefix_cache).lower()}")
    if cache:
        lines += ["kv_cache_config:", *cache]
    if launch.n_drafts:
        n_drafts = scripts.own_drafts(launch, TOOL)
        lines += ["speculative_config:", "  decoding_type: MTP", f"  num_nextn_predict_layers: {n_drafts}"]
    return lines
