"""Logs of training tools, written from the facts of published runs: what each prints, in its own form."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 48  # of the dots after an argument's name


def arguments_block(values: Mapping[str, Any]) -> list[str]:
    """The arguments as Megatron-LM prints them."""
    lines = [f"  {name} {'.' * (WIDTH - len(name))} {value}" for name, value in sorted(values.items())]
    return [f"{'-' * 24} arguments {'-' * 24}", *lines, f"{'-' * 20} end of arguments {'-' * 21}"]


def megatron_arguments(row: Mapping[str, str], **others: Any) -> dict[str, Any]:
    """What Megatron-LM would print for a row of the record; most of its arguments stand at their defaults."""
    recompute = row["recompute"] or "none"
    experts = row["experts"] not in ("", "0")
    values: dict[str, Any] = {
        "num_layers": row["layers"],
        "hidden_size": row["hidden"],
        "num_attention_heads": row["heads"],
        "ffn_hidden_size": row["ffn"] or 4 * int(row["hidden"]),
        "kv_channels": row["head_dim"] or int(row["hidden"]) // int(row["heads"]),
        "seq_length": row["seq_len"],
        "max_position_embeddings": row["seq_len"],
        "micro_batch_size": row["micro_batch"] or 1,
        "global_batch_size": row["global_batch"],
        "tensor_model_parallel_size": row["TP"],
        "pipeline_model_parallel_size": row["PP"],
        "virtual_pipeline_model_parallel_size": row["virtual_pp"] if row["virtual_pp"] not in ("", "1") else None,
        "context_parallel_size": row["CP"] or 1,
        "expert_model_parallel_size": row["EP"] or 1,
        "num_experts": row["experts"] if experts else None,
        "moe_router_topk": row["topk"] if experts else 2,
        "world_size": row["n_chips"],
        "data_parallel_size": row["DP"],
        "bf16": row["precision"] == "bf16",
        "fp16": row["precision"] == "fp16",
        "padded_vocab_size": row["vocab"] or 51200,
        "vocab_size": None,
        "sequence_parallel": row["SP"].startswith("yes"),
        "recompute_granularity": None if recompute == "none" else recompute,
        "recompute_method": "uniform" if recompute == "full" else None,
        "recompute_num_layers": 1,
        "group_query_attention": False,
        "num_query_groups": 1,
        "swiglu": row["mlp"] == "gated",
        "add_bias_linear": True,
        "use_distributed_optimizer": row["zero"] == "1",
        "overlap_grad_reduce": False,
        "tp_comm_overlap": False,
        "cp_comm_type": "['p2p']",
        "fp8_recipe": "delayed",
        "train_iters": 1000,
        "train_samples": None,
        "lr": 0.0001,
    }
    return values | others


def step_lines(
    seconds: Sequence[float], batch: int, *, first: int = 1, before: Mapping[int, str] | None = None, prefix: str = ""
) -> list[str]:
    """One line of Megatron-LM for each step; `before` puts a line before a step."""
    lines = []
    for number, step_s in enumerate(seconds, first):
        if before and number in before:
            lines.append(before[number])
        lines.append(
            f"{prefix} iteration {number:8d}/    1000 | consumed samples: {number * batch:12d} | elapsed time per "
            f"iteration (ms): {1e3 * step_s:.1f} | learning rate: 1.000E-04 | global batch size: {batch:5d} | lm loss: "
            f"2.382640E+00 | loss scale: 1.0 | grad norm: 0.227 | number of skipped iterations:   0 | number of nan "
            f"iterations:   0 |"
        )
    return lines


def steps_like(step_s: float, n: int = 24, *, noise: float = 0.01, warm_up: float = 4.0, seed: int = 0) -> list[float]:
    """Steps of a healthy run: the first is slow, the others scatter by a little."""
    draw = random.Random(seed)
    return [step_s * (warm_up if place == 0 else 1.0 + noise * draw.uniform(-1.0, 1.0)) for place in range(n)]


def megatron_log(row: Mapping[str, str], *, arguments: bool = True, **others: Any) -> str:
    """A log of a row of the record."""
    head = [f"[after dataloaders are built] datetime: {row['date'][:7]}-05 10:00:00 "] if row["date"] else []
    head += [f"using world size: {row['n_chips']}, data-parallel-size: {row['DP']}"]
    if arguments:
        head += arguments_block(megatron_arguments(row, **others))
    return "\n".join([*head, *step_lines(steps_like(float(row["value"])), int(row["global_batch"]))]) + "\n"


def titan_log(
    tokens_per_s: Sequence[float], *, chips: int, batch: int, seq_len: int, token_tflop: float = 0.0, peak: float = 0.0
) -> str:
    """A log of torchtitan with fully sharded data parallelism.

    token_tflop  10^12 FLOP that the tool counts for a token; 0: it prints no rate
    peak         10^12 FLOP/s that it divides by; 0: it prints no MFU
    """
    head = "[rank0]:[titan] 2025-03-06 15:42:14,411 - root - INFO - "
    lines = [
        f"{head}Building 1-D device mesh with ['dp_shard'], [{chips}]",
        f"{head}Trainer is initialized with local batch size {batch // chips}, global batch size {batch}, gradient "
        f"accumulation steps 1, sequence length {seq_len}, total steps 1000 (warmup 200)",
    ]
    for place, rate in enumerate(tokens_per_s):
        number = 10 * place if place else 1
        flops = rate * token_tflop
        more = f"  tflops: {flops:,.2f}" if token_tflop else ""
        more += f"  mfu: {100.0 * flops / peak:.2f}%" if peak else ""
        lines.append(
            f"{head}\x1b[31mstep: {number:2d}  \x1b[32mloss: 12.2392  \x1b[33mmemory: 47.61GiB(60.15%)  \x1b[34mtps: "
            f"{rate:,.0f}{more}\x1b[39m"
        )
    return "\n".join(lines) + "\n"
