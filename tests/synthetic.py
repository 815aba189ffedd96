"""Measurements that are made up from known constants, in the words of the tools that would have measured them."""

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence

from clustercast import catalog, records
from clustercast.catalog import build, constants
from clustercast.physics import collectives, roofline
from clustercast.physics.training import training_step
from clustercast.studies.record import serving, training

SIZES = tuple(2**power for power in range(10, 33))
OPERATIONS = ("all_reduce", "all_gather", "reduce_scatter", "alltoall", "sendrecv")
Seconds = Callable[[str, float, int], float]


def noisy(seed: int, spread: float) -> Callable[[float], float]:
    """A time with the scatter of a measurement, the same at every run."""
    drawn = random.Random(seed)
    return lambda seconds: seconds * math.exp(drawn.gauss(0.0, spread))


def cluster_with(chip_name: str, n_chips: int, **tier: float) -> records.Cluster:
    """A chip's usual cluster whose scale-up tier has these constants."""
    chip = catalog.find_chip(chip_name)
    cluster = build.cluster(chip, catalog.find_fabric(chip.fabric), n_chips)
    changed: Mapping[str, object] = tier
    return cluster._replace(scale_up=cluster.scale_up._replace(**changed))


def collective_s(cluster: records.Cluster) -> Seconds:
    """The model's time of a collective on neighbouring ranks."""

    def seconds(operation: str, payload_bytes: float, n_ranks: int) -> float:
        where = collectives.spread(n_ranks, 1, cluster)
        if operation == "all_reduce":
            return collectives.all_reduce_s(payload_bytes, where, cluster)
        if operation == "alltoall":
            return collectives.even_all_to_all_s(payload_bytes, where, cluster)
        if operation == "sendrecv":
            return collectives.send_s(payload_bytes, 1, cluster)
        return collectives.shard_exchange_s(payload_bytes, where, cluster)

    return seconds


def bus_share(operation: str, n_ranks: int) -> float:
    """Bus over algorithm bandwidth."""
    share = (n_ranks - 1) / n_ranks
    return {"all_reduce": 2 * share, "sendrecv": 1.0}.get(operation, share)


def nccl_rows(operation: str, n_ranks: int, seconds: Seconds, sizes: Sequence[int] = SIZES) -> list[dict[str, float]]:
    """Size, microseconds, algorithm and bus bandwidth of every message."""
    rows = []
    for size in sizes:
        time = seconds(operation, float(size), n_ranks)
        algbw = size / time / 1e9
        rows.append({"size": size, "us": 1e6 * time, "algbw": algbw, "busbw": algbw * bus_share(operation, n_ranks)})
    return rows


def nccl_text(
    operation: str,
    n_ranks: int,
    seconds: Seconds,
    *,
    sizes: Sequence[int] = SIZES,
    prefix: str = "",
    device: str = "NVIDIA H100 80GB HBM3",
    per_host: int = 8,
    named: bool = True,
) -> str:
    """What nccl-tests 2.17 print, in place as fast as out of place."""
    sums = operation in ("all_reduce", "reduce_scatter")
    lines = ["# nccl-tests version 2.17.6 nccl-headers=22808 nccl-library=22808"]
    if named:
        lines.append(f"# Collective test starting: {operation}_perf")
    lines += [
        f"# nThread 1 nGpus {n_ranks} minBytes {sizes[0]} maxBytes {sizes[-1]} step: 2(factor) iters: 20",
        "#",
        "# Using devices",
    ]
    for rank in range(n_ranks):
        host = f"node-{rank // per_host}"
        lines.append(
            f"#  Rank {rank:2} Group  0 Pid  12345 on {host:>10} device {rank % per_host:2} [0000:0f:00] {device}"
        )
    lines += [
        "#",
        f"#{'out-of-place':>74}{'in-place':>34}",
        "#       size         count      type   redop    root" + 2 * "     time   algbw   busbw  #wrong",
        f"#        (B)    (elements){'':24}" + 2 * "     (us)  (GB/s)  (GB/s)        ",
    ]
    for row in nccl_rows(operation, n_ranks, seconds, sizes):
        half = f"{row['us']:10.3f}  {row['algbw']:6.3f}  {row['busbw']:6.3f}       0"
        redop = "sum" if sums else "none"
        lines.append(f"{row['size']:12.0f}  {row['size'] // 4:12.0f}     float  {redop:>6}      -1  {half}  {half}")
        lines.append("node-0:12345:12350 [3] NCCL INFO Connected all rings")
    lines += ["# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 100.0", "#", ""]
    return "\n".join(prefix + line for line in lines)


def nccl_json(operation: str, n_ranks: int, seconds: Seconds) -> str:
    """What nccl-tests write with -J."""
    results = []
    for row in nccl_rows(operation, n_ranks, seconds):
        run = {"time": row["us"], "alg_bw": row["algbw"], "bus_bw": row["busbw"], "nwrong": 0.0}
        size = int(row["size"])
        results.append({"size": size, "count": size // 4, "type": "float", "redop": "sum", "root": "    -1"})
        results[-1] |= {"out_of_place": run, "in_place": run, "actual_iterations": 20, "experiment_name": ""}
    devices = [{"rank": 0, "group": 0, "pid": 1, "hostname": "node-0", "device": 0, "device_info": "NVIDIA H100"}]
    document = {
        "version": 2,
        "args": [f"./build/{operation}_perf", "-g", str(n_ranks), "-J", "x.json"],
        "env": ["PATH=..."],
        "nccl_version": 22808,
        "config": {"nthreads": 1, "ngpus": n_ranks, "devices": devices},
        "results": results,
        "average_bus_bandwidth": {"bandwidth": 1.0, "okay": "unchecked"},
    }
    return json.dumps(document)


SHAPES = tuple(
    (m, n, k) for m in (1, 16, 64, 256, 1024, 4096, 8192) for n, k in ((4096, 4096), (14336, 4096), (8192, 8192))
)


def matmul_csv(
    chip_name: str, changes: Mapping[str, float], noise: Callable[[float], float], unit: str = "time_us"
) -> str:
    """A sweep of bf16 matmuls on kernels with these constants."""
    chip = catalog.find_chip(chip_name)
    formats = dict.fromkeys(("matmul", "expert", "attention", "head"), "bf16")
    known = constants.kernels(chip.family, chip.name, formats, float(chip.n_cores or 0))
    values: dict[str, float] = {name: known[name].value for name in records.Kernels._fields} | dict(changes)
    kernels = records.as_declared(records.Kernels(**values))
    hbm = chip.value("memory.bandwidth")
    rate = chip.peaks()["bf16"] * constants.clock_fraction(chip.family).value * kernels.matmul_fraction
    lines = [f"m,n,k,dtype,{unit}"]
    for m, n, k in SHAPES:
        traffic = 2.0 * (m * k + k * n + m * n)
        seconds = noise(roofline.matmul_s(float(m), float(n), float(k), traffic, rate, hbm, kernels))
        measured = {"time_us": 1e6 * seconds, "latency_ms": 1e3 * seconds, "tflops": 2.0 * m * n * k / seconds / 1e12}
        lines.append(f"{m},{n},{k},torch.bfloat16,{measured[unit]:.6g}")
    return "\n".join(lines) + "\n"


STEP_COLUMNS = (
    "id", "source", "date", "chip", "n_chips", "gpus_per_node", "inter_node_network", "framework", "model_name",
    "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "experts", "topk", "moe_ffn",
    "shared_experts", "attention", "seq_len", "global_batch", "micro_batch", "TP", "PP", "virtual_pp", "DP", "EP",
    "CP", "SP", "recompute", "dtype", "metric", "value", "zero", "precision", "qk_head_dim", "v_head_dim", "mlp",
    "study", "complete",
)  # fmt: skip


def step_rows() -> list[dict[str, str]]:
    """Twelve plans of two dense models on H100, without their times."""
    rows = []
    for layers, hidden, heads, tp, pp, dp in (
        (32, 4096, 32, 1, 1, 8),
        (32, 4096, 32, 2, 1, 8),
        (32, 4096, 32, 4, 2, 4),
        (48, 6144, 48, 4, 1, 4),
        (48, 6144, 48, 8, 1, 2),
        (48, 6144, 48, 8, 2, 4),
    ):
        for micro_batch in (1, 2):
            row = dict.fromkeys(STEP_COLUMNS, "")
            row |= {
                "id": f"MY-{len(rows)}", "source": "my cluster", "date": "2026-01", "chip": "h100-sxm5-80gb",
                "n_chips": str(tp * pp * dp), "framework": "Megatron-LM core", "layers": str(layers),
                "hidden": str(hidden), "heads": str(heads), "kv_heads": str(heads), "ffn": str(4 * hidden),
                "vocab": "32000", "seq_len": "4096", "global_batch": str(16 * dp), "micro_batch": str(micro_batch),
                "TP": str(tp), "PP": str(pp), "DP": str(dp), "SP": "yes", "recompute": "none", "precision": "bf16",
                "metric": "iteration_s", "mlp": "plain", "complete": "yes",
            }  # fmt: skip
            rows.append(row)
    return rows


def step_csv(
    changes: Mapping[str, float], noise: Callable[[float], float], rows: Sequence[dict[str, str]] | None = None
) -> str:
    """The rows with the times that a stack with these constants gives."""
    lines = [",".join(STEP_COLUMNS)]
    for row in rows or step_rows():
        setting, plan = training.setting_of(row)
        changed: Mapping[str, object] = changes
        setting = setting._replace(stack=setting.stack._replace(**changed))
        seconds = noise(training_step(setting, plan).step_s)
        lines.append(",".join((row | {"value": f"{seconds:.6g}"})[column] for column in STEP_COLUMNS))
    return "\n".join(lines) + "\n"


SERVING_COLUMNS = (
    "id", "source", "date", "chip", "n_chips", "mode", "engine", "model", "weight_dtype", "tp", "pp", "attention_dp",
    "concurrency", "input_len", "output_len", "metric", "value", "complete", "notes", "mtp",
)  # fmt: skip


def serving_csv(changes: Mapping[str, float], noise: Callable[[float], float]) -> str:
    """Tokens and first tokens of an 8B and a 70B model on H100 with the numbers of an engine changed."""
    lines = [",".join(SERVING_COLUMNS)]
    for model, tp in (("llama-3.1-8b", 1), ("llama-3.1-70b", 4)):
        for concurrency in (1, 4, 16, 64):
            for metric in ("tpot_ms", "ttft_ms"):
                row = dict.fromkeys(SERVING_COLUMNS, "")
                row |= {
                    "id": f"MY-{len(lines)}", "date": "2026-01", "chip": "h100-sxm5-80gb", "n_chips": str(tp),
                    "mode": "agg", "engine": "vllm", "model": model, "weight_dtype": "bf16", "tp": str(tp), "pp": "1",
                    "attention_dp": "1", "concurrency": str(concurrency), "input_len": "1024", "output_len": "256",
                    "metric": metric, "complete": "yes",
                }  # fmt: skip
                case = serving.case_of(row)
                changed: Mapping[str, object] = changes
                setting = case.setting._replace(engine=case.setting.engine._replace(**changed))
                value = noise(serving.in_metric(case, serving.LOADS[case.load](setting, case.job, case.plan)))
                lines.append(",".join((row | {"value": f"{value:.6g}"})[column] for column in SERVING_COLUMNS))
    return "\n".join(lines) + "\n"
