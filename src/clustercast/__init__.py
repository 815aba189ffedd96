"""How long any LLM trains and how fast it serves on a cluster of any chip.

>>> import clustercast
>>> clustercast.chip("h20").full_name
'NVIDIA H20 96GB (HGX)'

Importing this package is cheap: every function below brings what it needs when it is called.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from clustercast.catalog import ChipProfile, FabricProfile, ModelProfile
    from clustercast.estimates.result import Estimate
    from clustercast.studies.calibrate import Calibrated
    from clustercast.studies.check import Check
    from clustercast.studies.compare import Comparison
    from clustercast.studies.design import Design
    from clustercast.studies.fleet import Fleet
    from clustercast.studies.measure import Measurement
    from clustercast.studies.plan import PlanRanking
    from clustercast.studies.query.result import QueryResult, Questions, Sink
    from clustercast.studies.report import Report
    from clustercast.studies.rules import RulesHistory, RulesResult, RulesTable
    from clustercast.studies.saved import SweepReport
    from clustercast.studies.sensitivity import Sensitivity
    from clustercast.studies.serving.crossover import Crossover
    from clustercast.studies.serving.pools import Pools
    from clustercast.studies.serving.result import ServeResult
    from clustercast.studies.size import Size
    from clustercast.studies.sweep.result import Progress, SweepResult
    from clustercast.studies.validate import Validation
    from clustercast.studies.why import Why

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "calibrate",
    "check",
    "chip",
    "chips",
    "compare",
    "crossover",
    "design",
    "estimate",
    "fabric",
    "fabrics",
    "fleet",
    "measure",
    "model",
    "models",
    "plan",
    "pools",
    "query",
    "questions",
    "report_of",
    "report_on",
    "rules",
    "rules_history",
    "rules_table",
    "sensitivity",
    "serve",
    "size_serve",
    "size_train",
    "sweep",
    "validate",
    "why",
]


def estimate(
    chip: str,
    model: str = "",
    *,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    price: str = "rent",
    launch: "str | Path | None" = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Estimate":
    """How long a model trains and how fast it serves on a cluster of one chip.

    What is left open is filled with the workload's own figures, and `assumptions` of the answer says with which.

    chip, model   name, alias or path; a model also a size ("70B") or a Hugging Face config.json
    n_chips       chips of the cluster
    tokens        training tokens
    global_batch  sequences per optimizer step, of seq_len tokens each
    plan          what is fixed of the parallel plan: "tp=8,pp=16"; the rest is searched
    input_len     tokens of a prompt; output_len of an answer
    batch         sequences in flight on all chips
    settings      "chip.hbm_bandwidth=6TB/s", "job.pue=1.1" and the like
    price         what cost_usd is: "rent", or "buy" for one's own chips
    launch        a training launch file (Megatron-LM, Megatron-Bridge, torchtitan, DeepSpeed, MindSpeed-LLM): model,
                  plan, batch, lengths and precision are read from it; what is also given here must agree
    calibration   files that `calibrate` wrote: their constants go before the catalogue's

    Raises errors.WrongInput (exit status 2 of the command line) and errors.NoAnswer (3).

    >>> est = estimate("h100", "llama-3.1-8b", n_chips=64, tokens=1e12, plan="tp=1,pp=1,dp=64,zero=3")
    >>> est.training.step_s_low <= est.step_s <= est.training.step_s_high
    True
    """
    from clustercast.catalog import constants
    from clustercast.estimates.answer import estimate as answer
    from clustercast.estimates.question import Asked

    asked = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        input_len, output_len, batch, fabric, stack, engine, tuple(settings), price,
    )  # fmt: skip
    with constants.using(calibration, settings):
        if launch is None:
            return answer(asked)
        from clustercast.studies.launch import training

        asked, read = training.question_of(asked, launch)
        return training.with_launch(answer(asked), read)


def plan(
    chip: str,
    model: str,
    *,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    fabric: str | None = None,
    stack: str | None = None,
    settings: tuple[str, ...] = (),
    top: int = 10,
    export: str | None = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "PlanRanking":
    """The fastest training plans that fit, in order, and the exact Pareto set of speed against memory.

    The arguments are those of `estimate`; what `plan` fixes is held.

    export  also a launch file for the fastest plan, in `launch` of the answer: "megatron-lm", "megatron-bridge",
            "torchtitan", "deepspeed" or "mindspeed-llm": the fastest that the tool can run; where `plan` fixes what it
            lacks, WrongInput

    >>> found = plan("h100", "llama-3.1-8b", n_chips=8, plan="pp=1,micro_batch=1,recompute=none", top=2)
    >>> found.plans[0].step_s <= found.plans[1].step_s
    True
    """
    from clustercast.catalog import constants
    from clustercast.estimates.question import Asked
    from clustercast.studies.plan import rank

    asked = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        fabric=fabric, stack=stack, settings=tuple(settings),
    )  # fmt: skip
    with constants.using(calibration, settings):
        if export is None:
            return rank(asked, top)
        from clustercast.studies.launch import training

        return training.ranked_with_export(export, asked, top)


def serve(
    chip: str,
    model: str = "",
    *,
    n_chips: int | None = None,
    input_len: int | str | None = None,
    output_len: int | str | None = None,
    lengths: "str | Path | None" = None,
    concurrency: int | None = None,
    rate: float | None = None,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    percentile: float | None = None,
    engine: str | None = None,
    precision: str | None = None,
    plan: str = "",
    hit_fraction: float = 0.0,
    n_drafts: float | None = None,
    accepted_tokens: float | None = None,
    frontier: bool = False,
    n_simulated: int = 0,
    seed: int = 0,
    fabric: str | None = None,
    settings: tuple[str, ...] = (),
    launch: "str | Path | None" = None,
    export: str | None = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "ServeResult":
    """How fast a model serves under a load or objectives, and with which plan.

    Without a load: the plan and batch with the most tokens per second under the objectives (TPOT 50 ms if none).
    With one: the plan with the fewest chips that meets the objectives, or the fastest where there is none.

    input_len        tokens of a prompt, or its percentiles: "p50=1k,p90=8k"; likewise output_len
    lengths          instead of both, a CSV file with the columns input, output and, if need be, weight
    concurrency      load: requests in flight on all chips, each that ends replaced at once
    rate             load: requests per second at random times; only then are there percentiles
    percentile       of requests that meet the objectives, like 90 or 99.5; None: their mean does
    plan             what is fixed: "tp=8,dp=4,ep=32,replicas=2,batch=96,chunk=8192"; the rest is searched
    hit_fraction     share of a prompt that the prefix cache holds
    accepted_tokens  that a step yields per sequence when it guesses n_drafts
    frontier         also the Pareto set of throughput per chip against speed per user
    n_simulated      requests of an event simulation of the plan beside the formulas, drawn by `seed`; 0: none
    launch           a launch file of vLLM, SGLang or TensorRT-LLM: model, plan, chips, precision, engine and limits are
                     read from it; what is also given here must agree
    export           "vllm", "sglang" or "tensorrt-llm": `launch` of the answer is a launch file for its setup

    Raises errors.WrongInput (exit status 2 of the command line) and errors.NoAnswer (3), with the nearest there is.

    >>> done = serve("h100", "llama-3.1-8b", n_chips=1, input_len=1024, output_len=128, plan="tp=1,pp=1,dp=1,batch=32")
    >>> done.batch, done.ttft_ms_low < done.ttft_ms < done.ttft_ms_high
    (32.0, True)
    """
    import os

    from clustercast.catalog import constants
    from clustercast.studies.serving.question import ServeAsked
    from clustercast.studies.serving.result import serve as answer

    asked = ServeAsked(
        chip, model, n_chips, input_len, output_len, None if lengths is None else os.fspath(lengths), engine or "vllm",
        precision, fabric, concurrency, rate, ttft_s, tpot_s, percentile, plan, hit_fraction, n_drafts,
        accepted_tokens, tuple(settings),
    )  # fmt: skip
    with constants.using(calibration, settings):
        if launch is None and export is None:
            return answer(asked, frontier=frontier, n_simulated=n_simulated, seed=seed)
        from clustercast.studies.launch.serving import served

        return served(
            asked, launch, export, own_engine=engine is None, frontier=frontier, n_simulated=n_simulated, seed=seed
        )


def compare(
    chips: "Sequence[str]",
    models: "Sequence[str]",
    *,
    n_chips: int | None = None,
    equal: str = "cards",
    reference: str | None = None,
    price: str = "rent",
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Comparison":
    """The same models on several chips: training, prefill and decode, with money, energy and what limits.

    equal      what is held equal: "cards", "dollars" (of an hour), "megawatts" (at the meter, full load), "tpp"
    n_chips    cards of the reference; the others get as many dollars, megawatts or TPP
    reference  the chip in which others are counted; None: the first
    price      "rent" or "buy"
    settings   "h20.hbm_bandwidth=6TB/s" for one chip as it was named, "chip.", "fabric." and "job." for all

    Raises errors.WrongInput; what one chip cannot do is said in its row.

    >>> found = compare(["h100", "h20"], ["llama-3.1-8b"], n_chips=64, tokens=1e12)
    >>> [row.jobs["training"].equals_reference > 4.0 for row in found.rows]
    [False, True]
    """
    from clustercast.catalog import constants
    from clustercast.studies.compare import CompareAsked
    from clustercast.studies.compare import compare as answer
    from clustercast.studies.serving.split import settings_of

    asked = CompareAsked(
        tuple(chips), tuple(models), n_chips, equal, reference, price, precision, tokens, global_batch, seq_len,
        input_len, output_len, batch, engine, tuple(settings_of(tuple(settings), tuple(chips))),
    )  # fmt: skip
    with constants.using(calibration, settings):
        return answer(asked)


def why(
    chip: str,
    model: str,
    *,
    other: str | None = None,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Why":
    """The shortest plank: what ten per cent more of each resource buys, at the same plan and at the best one.

    other  another chip: which of its properties explains how much of the difference (Shapley's values)

    The other arguments are those of `estimate`. Raises errors.WrongInput and errors.NoAnswer.

    >>> found = why("h20", "llama-3.1-8b", other="h100", n_chips=8, plan="tp=1,pp=1,dp=8")
    >>> [one.limiting for one in found.jobs][:2]
    ['compute', 'compute']
    """
    from clustercast.catalog import constants
    from clustercast.estimates.question import Asked
    from clustercast.studies.why import why as answer

    asked = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        input_len, output_len, batch, fabric, stack, engine, tuple(settings),
    )  # fmt: skip
    with constants.using(calibration, settings):
        return answer(asked, other)


def calibrate(
    files: "str | Path | Sequence[str | Path]",
    *,
    chip: str | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str | None = None,
    n_ranks: int | None = None,
    n_hosts: int | None = None,
    operation: str | None = None,
    output: "str | Path" = "calibration.yaml",
    force: bool = False,
    keep_anyway: bool = False,
    given: "Sequence[str]" = (),
    launch: "str | Path | None" = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Calibrated":
    """Fit the constants that a user's own measurements identify, and write them as an overlay for `calibration=`.

    files        measured training steps or serving points (CSV), results of serving benchmarks (vLLM, SGLang, AIPerf),
                 nccl-tests output (text or JSON), sweeps of matmuls
    chip         what was measured, for files that do not say; likewise fabric, stack, engine, n_ranks, n_hosts
    operation    all-reduce, all-gather, reduce-scatter, all-to-all or send, where nccl-tests output does not say
    output       the overlay; a file that is there and is none is kept unless `force`
    keep_anyway  write it even where the model describes the measurements worse than before
    given        "column=value" of what results of serving benchmarks do not say: "n_chips=8"
    launch       the launch file of the server that was measured, which says more of it
    calibration  overlays to start from

    Raises errors.WrongInput for files and options that are wrong; errors.NoAnswer for too little, contradictory or
    impossible measurements.
    """
    import os

    from clustercast.catalog import constants
    from clustercast.studies.calibrate import Options
    from clustercast.studies.calibrate import calibrate as run

    options = Options(
        chip, fabric, stack, engine, n_ranks, n_hosts, operation, str(output), force, keep_anyway,
        tuple(given), None if launch is None else os.fspath(launch),
    )  # fmt: skip
    with constants.using(calibration):
        return run([files] if isinstance(files, (str, os.PathLike)) else files, options)


def check(
    log: "str | Path",
    chip: str,
    *,
    model: str = "",
    n_chips: int | None = None,
    plan: str = "",
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    launch: "str | Path | None" = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str | None = None,
    n_hosts: int | None = None,
    operation: str | None = None,
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Check":
    """Is a measured number normal? What a log says against what is expected, and the likeliest cause of a difference.

    log        a training log (Megatron-LM, torchtitan, NeMo, DeepSpeed), nccl-tests output, or a load test's result
    model      where neither log nor launch file says it; likewise n_chips, plan, global_batch, seq_len, precision
    launch     the run's launch file; what it and the others say differently is an error
    stack      training stack; None: by the log's tool and date. engine: the same for serving
    n_hosts    of nccl-tests whose header is lost; operation: which collective, where the file does not say

    Raises errors.WrongInput for a file that holds nothing that is known, and for what contradicts it.
    """
    import os

    from clustercast.catalog import constants
    from clustercast.studies.check import CheckAsked
    from clustercast.studies.check import check as answer

    asked = CheckAsked(
        os.fspath(log), chip, model, n_chips, global_batch, seq_len, precision, plan, fabric, stack, engine,
        None if launch is None else os.fspath(launch), n_hosts, operation, tuple(settings),
    )  # fmt: skip
    with constants.using(calibration, settings):
        return answer(asked)


def measure(
    output: "str | Path | None" = None,
    *,
    device: str = "auto",
    quick: bool = False,
    force: bool = False,
    progress: "Callable[[str], None] | None" = None,
) -> "Measurement | None":
    """Matmuls, attention and memory of this machine, and under torchrun its collectives: five minutes.

    output    a file that `calibrate` takes; None: none is written
    device    auto (an accelerator that PyTorch sees, else the CPU by NumPy), cuda, npu, xpu, cpu
    quick     one minute
    force     replace a file that is no measurement
    progress  called with a line about what comes next

    None on every rank but the first. Raises errors.WrongInput for a device or a path that cannot be, errors.NoAnswer
    where nothing could be measured.
    """
    from dataclasses import replace

    from clustercast.studies.measure import MeasureAsked, files
    from clustercast.studies.measure import measure as run

    place = None if output is None else files.check(output, force=force)
    found = run(MeasureAsked(device, quick), progress or (lambda _: None))
    if found is None or place is None:
        return found
    found = replace(found, output=str(place))
    files.write(found, place)
    return found


def pools(
    prefill_chip: str,
    decode_chip: str,
    model: str,
    *,
    n_chips: int | None = None,
    prefill_count: int | None = None,
    decode_count: int | None = None,
    input_len: int | str | None = None,
    output_len: int | str | None = None,
    lengths: str | None = None,
    rate: float | None = None,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    percentile: float | None = None,
    precision: str | None = None,
    prefill_precision: str | None = None,
    decode_precision: str | None = None,
    prefill_plan: str = "",
    decode_plan: str = "",
    engine: str | None = None,
    prefill_engine: str | None = None,
    decode_engine: str | None = None,
    fabric: str | None = None,
    prefill_fabric: str | None = None,
    decode_fabric: str | None = None,
    hit_fraction: float = 0.0,
    n_drafts: float | None = None,
    accepted_tokens: float | None = None,
    settings: tuple[str, ...] = (),
    compare: bool = True,
    frontier: bool = False,
    export: str | None = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Pools":
    """Prefill and decode in pools of their own, each on its own chip: the best split, and whether it pays.

    n_chips     of both pools, split so that a token costs least; or prefill_count and decode_count
    rate        requests per second: the least rent that takes them, of n_chips at most; None: all chips, the most that
                hold the objectives
    ttft_s      objective on time to first token, tpot_s on each further one: on their means, or with percentile for
                so many requests in a hundred
    precision, engine, fabric  of both pools, or of one with prefill_ or decode_ before it
    settings    "prefill-chip.hbm_bandwidth=6TB/s", "decode-chip.price_rent=1.1USD/h", "fabric.oversubscription=2"
    compare     judge either chip alone too, in one pool and in two
    frontier    also the Pareto set of throughput per chip against speed per user
    export      "vllm" or "sglang": `launch` of the answer is a launch file for either pool

    Raises errors.WrongInput and errors.NoAnswer.

    >>> found = pools("h100", "h20", "llama-3.1-70b", n_chips=32, compare=False)
    >>> found.prefill.count + found.decode.count, found.tpot_ms <= 50.0
    (32, True)
    """
    from clustercast.catalog import constants
    from clustercast.studies.serving.pools import pools as apart
    from clustercast.studies.serving.split import PoolsAsked, Side, settings_of

    usual = engine or "vllm"
    own = settings_of(tuple(settings), ("prefill-chip", "decode-chip"))
    asked = PoolsAsked(
        model=model,
        prefill=Side(
            prefill_chip, prefill_count, prefill_plan, prefill_precision or precision, prefill_engine or usual,
            prefill_fabric or fabric, own[0],
        ),
        decode=Side(
            decode_chip, decode_count, decode_plan, decode_precision or precision, decode_engine or usual,
            decode_fabric or fabric, own[1],
        ),
        count=n_chips,
        input_len=input_len,
        output_len=output_len,
        lengths=lengths,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        percentile=percentile,
        rate=rate,
        hit_fraction=hit_fraction,
        n_drafts=n_drafts,
        accepted_tokens=accepted_tokens,
    )  # fmt: skip
    with constants.using(calibration, settings):
        if export is None:
            return apart(asked, compare=compare, frontier=frontier)
        from clustercast.studies.launch.serving import pools_apart

        open_engines = not (engine or prefill_engine or decode_engine)
        return pools_apart(asked, export, own_engines=open_engines, compare=compare, frontier=frontier)


def size_train(
    chips: "str | Sequence[str]",
    model: str,
    days: float,
    *,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    fabric: str | None = None,
    stack: str | None = None,
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Size":
    """The fewest chips of each type that finish training in so many days, failures and restarts included.

    Counts are whole scale-up domains, or parts of one: `estimate` at the count meets the days, one less does not.
    settings  "h20.price_rent=1.1USD/h" for one chip as it was named, "chip." and "fabric." for all

    Raises errors.WrongInput; errors.NoAnswer where no number of any of the chips is enough.

    >>> found = size_train("h100", "llama-3.1-8b", 30, tokens=1e11, plan="tp=1,pp=1,cp=1,zero=1")
    >>> found.rows[0].days <= 30 and found.rows[0].count_low <= found.rows[0].count <= found.rows[0].count_high
    True
    """
    from clustercast.catalog import constants
    from clustercast.studies.serving.split import settings_of
    from clustercast.studies.size import TrainAsked
    from clustercast.studies.size import size_train as fewest

    names = (chips,) if isinstance(chips, str) else tuple(chips)
    own = tuple(settings_of(tuple(settings), names)) if names else ()
    asked = TrainAsked(names, model, days, tokens, global_batch, seq_len, precision, plan, fabric, stack, own)
    with constants.using(calibration, settings):
        return fewest(asked)


def size_serve(
    chips: "str | Sequence[str]",
    model: str,
    rate: float,
    *,
    input_len: int | str | None = None,
    output_len: int | str | None = None,
    lengths: str | None = None,
    ttft_s: float | None = None,
    tpot_s: float | None = None,
    percentile: float | None = None,
    precision: str | None = None,
    plan: str = "",
    engine: str = "vllm",
    hit_fraction: float = 0.0,
    n_drafts: float | None = None,
    accepted_tokens: float | None = None,
    fabric: str | None = None,
    prefill_chip: str | None = None,
    decode_chip: str | None = None,
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Size":
    """The fewest chips of each type that serve so many requests per second under objectives, arrivals at random.

    `serve` at the count meets them; one chip less does not. Other arguments are those of `serve`.

    prefill_chip, decode_chip  one row more: prefill and decode in pools apart, the least rent that meets them

    Raises errors.WrongInput; errors.NoAnswer where no number of any of the chips is enough.

    >>> found = size_serve("h100", "llama-3.1-8b", 20, input_len=1024, output_len=128, plan="tp=1,pp=1")
    >>> found.rows[0].tpot_ms <= 50
    True
    """
    from clustercast.catalog import constants
    from clustercast.studies.serving.split import Side, settings_of
    from clustercast.studies.size import RateAsked
    from clustercast.studies.size import size_serve as fewest

    names = (chips,) if isinstance(chips, str) else tuple(chips)
    pair = ("prefill-chip", "decode-chip") if prefill_chip and decode_chip else ()
    own = settings_of(tuple(settings), (*names, *pair)) if (*names, *pair) else []
    apart = None
    if prefill_chip and decode_chip:
        apart = (
            Side(prefill_chip, None, "", precision, engine, fabric, own[-2]),
            Side(decode_chip, None, "", precision, engine, fabric, own[-1]),
        )
    asked = RateAsked(
        chips=names,
        model=model,
        rate=rate,
        input_len=input_len,
        output_len=output_len,
        lengths=lengths,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        percentile=percentile,
        precision=precision,
        plan=plan,
        engine=engine,
        hit_fraction=hit_fraction,
        n_drafts=n_drafts,
        accepted_tokens=accepted_tokens,
        fabric=fabric,
        settings=tuple(own[: len(names)]),
        apart=apart,
    )
    with constants.using(calibration, settings):
        return fewest(asked)


def crossover(
    chip: str,
    other: str,
    model: str,
    *,
    n_chips: int | None = None,
    batches: "Sequence[int]" = (),
    contexts: "Sequence[int]" = (),
    precision: str | None = None,
    other_precision: str | None = None,
    plan: str = "",
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Crossover":
    """Where one chip serves faster than another: tokens per second per chip and per dollar, by batch, context, phase.

    n_chips   of each chip; None: the fewest on which both hold the model
    batches   sequences on all chips; contexts in tokens; empty: powers of two
    plan      layout of a replica, the same for all; empty: the best of each chip at each point
    settings  "chip.hbm_bandwidth=6TB/s", "other.price_rent=1.9USD/h" and the like

    Raises errors.WrongInput and errors.NoAnswer.

    >>> found = crossover("h20", "h100", "llama-3.1-70b", batches=(8,), contexts=(4096,))
    >>> found.cell("decode", 8, 4096).ratio > 1.0 > found.cell("prefill", 8, 4096).ratio
    True
    """
    from clustercast.catalog import constants
    from clustercast.studies.serving.crossover import CrossoverAsked
    from clustercast.studies.serving.crossover import crossover as compare
    from clustercast.studies.serving.split import settings_of

    own, others = settings_of(tuple(settings), ("chip", "other"))
    asked = CrossoverAsked(
        chip, other, model, n_chips, tuple(batches), tuple(contexts), precision, other_precision, plan, engine,
        own, others,
    )  # fmt: skip
    with constants.using(calibration, settings):
        return compare(asked)


def sensitivity(
    chip: str,
    model: str,
    *,
    of: "str | Sequence[str]" = ("days",),
    method: str = "tornado",
    n: int | None = None,
    seed: int = 0,
    parameters: "Sequence[str]" = (),
    most: int | None = None,
    replan: bool = False,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Sensitivity":
    """What moves the answer of `estimate`: numbers of hardware, workload, efficiency, reliability, power and price.

    of          outputs, all of training (days, step, mfu, cost, ...) or all of serving (tpot, ttft, tokens, ...)
    method      "tornado": each number alone at both ends of its range; "morris": elementary effects of all together;
                "sobol": shares of the answer's variance, alone, in all and by pairs
    n           model evaluations, about, of morris and sobol
    parameters  names, "chip.flops=100TFLOP/s..200TFLOP/s", "job.pue=10%", groups ("hardware"), "all"; empty: what has
                a range in the catalogue and was not given
    most        numbers that sobol takes and `replan` tries, those that move the answer most
    replan      tornado: also search the plan again at the ends

    Other arguments are those of `estimate`. The plan is held, at samples where memory cannot hold it too; `infeasible`
    says how many those are.

    Raises errors.WrongInput (exit status 2 of the command line), errors.NoAnswer (3).

    >>> found = sensitivity("h20", "llama-3.1-8b", n_chips=8, plan="tp=1,pp=1,cp=1,dp=8", parameters=["hardware"])
    >>> found.outputs[0].effects[0].parameter
    'chip.flops'
    """
    from clustercast.catalog import constants
    from clustercast.estimates.question import Asked
    from clustercast.studies.sensitivity import SensitivityAsked
    from clustercast.studies.sensitivity import sensitivity as study

    question = Asked(
        chip, model, n_chips, tokens, global_batch, seq_len, precision, plan,
        input_len, output_len, batch, fabric, stack, engine, tuple(settings),
    )  # fmt: skip
    outputs = (of,) if isinstance(of, str) else tuple(of)
    asked = SensitivityAsked(question, outputs, method, n, seed, tuple(parameters), most, replan)
    with constants.using(calibration, settings):
        return study(asked)


def chips() -> list[str]:
    """Names of all chips of the catalogue, sorted.

    >>> "h20-96gb" in chips()
    True
    """
    from clustercast import catalog

    return catalog.chip_names()


def chip(name: str) -> "ChipProfile":
    """A chip by name, alias or path: every number in base units with its source, kind and range.

    >>> chip("h20").value("memory.bandwidth")
    4000000000000.0
    """
    from clustercast import catalog

    return catalog.find_chip(name)


def models() -> list[str]:
    """Names of all models of the catalogue, sorted.

    >>> "gpt-4-1.8t" in models()
    True
    """
    from clustercast import catalog

    return catalog.model_names()


def model(name: str) -> "ModelProfile":
    """A model by name, alias, path or size.

    >>> model("1.8T").name
    'gpt-4-1.8t'
    """
    from clustercast import catalog

    return catalog.find_model(name)


def fabrics() -> list[str]:
    """Names of all fabrics of the catalogue, sorted.

    >>> "hgx-h100-nvswitch" in fabrics()
    True
    """
    from clustercast import catalog

    return catalog.fabric_names()


def fabric(name: str) -> "FabricProfile":
    """A fabric by name, alias or path.

    >>> fabric("hgx-h100-nvswitch").scale_up.n_chips
    8
    """
    from clustercast import catalog

    return catalog.find_fabric(name)


def report_on(
    chips: "str | Sequence[str]",
    model: str = "",
    *,
    n_chips: int | None = None,
    tokens: float | None = None,
    global_batch: int | None = None,
    seq_len: int | None = None,
    precision: str | None = None,
    plan: str = "",
    input_len: int | None = None,
    output_len: int | None = None,
    batch: int | None = None,
    fabric: str | None = None,
    stack: str | None = None,
    engine: str = "vllm",
    settings: tuple[str, ...] = (),
    price: str = "rent",
    launch: "str | Path | None" = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Report":
    """Everything about one question: estimate, planks, plans, sensitivity, rules; `report.save_report` writes it.

    chips  one or up to six: the first is looked at closely, the others stand beside it

    The other arguments are those of `estimate`; settings may name one of several chips: "h20.hbm_bandwidth=6TB/s".
    Raises errors.WrongInput and errors.NoAnswer.

    >>> found = report_on("h100", "llama-3.1-8b", n_chips=8, plan="tp=1,pp=1,dp=8,zero=3,mb=1,recompute=full")
    >>> found.chips[0].rules.chip, found.stages.stages[0].total <= found.stages.capacity
    ('h100-sxm5-80gb', True)
    """
    import os

    from clustercast.catalog import constants
    from clustercast.estimates.question import Asked
    from clustercast.studies.report import report

    names = (chips,) if isinstance(chips, str) else tuple(chips)
    asked = Asked(
        names[0] if names else "", model, n_chips, tokens, global_batch, seq_len, precision, plan,
        input_len, output_len, batch, fabric, stack, engine, tuple(settings), price,
    )  # fmt: skip
    files = (calibration,) if isinstance(calibration, (str, os.PathLike)) else tuple(calibration)
    laid = tuple(os.fspath(each) for each in files)
    with constants.using(calibration, settings):
        if launch is None:
            return report(names, asked, calibration=laid)
        from clustercast.studies.launch import training

        asked, read = training.question_of(asked, launch)
        return report(names, asked, calibration=laid, launch=read, launch_file=os.fspath(launch))


def report_of(source: "str | Path") -> "SweepReport | Estimate":
    """What was saved, to be written as a report: the folder of a sweep, or a file of `estimate --json`.

    Raises errors.WrongInput, and errors.NoAnswer where nothing of a sweep is finished.
    """
    from pathlib import Path

    from clustercast.studies import saved

    return saved.of_sweep(source) if Path(source).is_dir() else saved.of_file(source)


def rules(
    chip: str, on: "date | None" = None, settings: tuple[str, ...] = (), reading: str = "", *, proposed: bool = False
) -> "RulesResult":
    """Which export rules that were in force on a day (today if None) catch a chip. A screening aid, not legal advice.

    settings  "chip.flops=160TFLOP/s", "chip.die_area=700mm2" and the like
    reading   another way to read the rules ("sparse", "own-links", ...); empty: the usual one
    proposed  judge by bills too

    Raises errors.WrongInput.

    >>> result = rules("h20")
    >>> result.tpp, round(result.pd, 2), result.verdicts[0].caught
    (2368.0, 2.91, False)
    """
    from clustercast.studies.rules import evaluate

    return evaluate(chip, on, tuple(settings), reading, proposed=proposed)


def rules_table(on: "date | None" = None, reading: str = "", *, proposed: bool = False) -> "RulesTable":
    """The verdicts of the rules in force on a day on every chip of the catalogue, largest TPP first.

    >>> found = rules_table()
    >>> found.chips[0].tpp > 50_000 > found.chips[-1].tpp
    True
    """
    from clustercast.studies.rules import evaluate_all

    return evaluate_all(on, reading, proposed=proposed)


def rules_history(chip: str, settings: tuple[str, ...] = (), reading: str = "") -> "RulesHistory":
    """Every dated rule, bill and event, and what each says of a chip.

    >>> [each.verdict.caught for each in rules_history("a800").moments if each.title.startswith("3A090 of")]
    [False, True]
    """
    from clustercast.studies.rules import history

    return history(chip, tuple(settings), reading)


def fleet(
    chips: "str | Mapping[str, float]",
    *,
    reference: str = "h100",
    model: str = "llama-3.1-70b",
    n_chips: int | None = None,
    precision: str | None = None,
    input_len: int | None = None,
    output_len: int | None = None,
    tpot_s: float | None = None,
    engine: str = "vllm",
    on: "date | None" = None,
) -> "Fleet":
    """A mixed fleet in equivalents of one chip: by TPP, training, prefill, decode, bandwidth and memory, side by side.

    chips      {"h20": 50_000}, "h20=50k,h800=10k", or a YAML or CSV file
    reference  the chip to count in
    model      what training and serving are measured with, on clusters of `n_chips` (1,024 if None)
    on         day of the caps on sums; today if None

    Raises errors.WrongInput.

    >>> found = fleet({"h20": 1000})
    >>> round(found.totals["tpp"].equivalents), found.totals["decode"].equivalents > found.totals["prefill"].equivalents
    (150, True)
    """
    from clustercast.studies.fleet import FleetAsked, chips_of
    from clustercast.studies.fleet import fleet as count

    return count(
        FleetAsked(chips_of(chips), reference, model, n_chips, precision, input_len, output_len, tpot_s, engine, on)
    )


def design(
    model: str = "llama-3.1-70b",
    *,
    rule: str = "",
    on: "date | None" = None,
    caps: tuple[str, ...] = (),
    purpose: str = "serving",
    memory: str = "hbm3",
    node: str = "4n",
    n_dies: int = 1,
    base: str | None = None,
    chips: "Sequence[str]" = (),
    n_chips: int | None = None,
    precision: str | None = None,
    input_len: int | None = None,
    output_len: int | None = None,
    tpot_s: float | None = None,
    engine: str = "vllm",
    brief: bool = False,
) -> "Design":
    """The best chip that a rule or a cap still allows, where real chips stand, and what each bound costs.

    rule      a rule set: none, 2022, 2023 (if empty), letter, 2026, safe; or `on`: what is in force on a day
    caps      bounds of one's own: "hbm_bandwidth=1.4TB/s", "tpp=1600", "pd=2", "io=600GB/s", "hbm_capacity=48GiB",
              "hbm_bandwidth+io=1.7TB/s", "die_area=600mm2", "power=300W", "cost=3000USD"
    purpose   training, prefill, decode, or serving: prompts and answers on the same chip
    memory    hbm2e, hbm3, hbm3e, hbm4; node: 4n, 7nm; n_dies: large dies of a package
    base      the chip whose kernels a design has; None: between the H20 and the H100, by its compute
    chips     real chips beside it; empty: a usual dozen
    brief     the best chip alone

    Raises errors.WrongInput, and errors.NoAnswer where no chip is within the limits.

    >>> found = design(brief=True)
    >>> round(found.point.tpp), found.point.bound_by
    (2400, ('TPP', '6 memory stacks', 'links'))
    """
    from clustercast.studies.design import DesignAsked
    from clustercast.studies.design import design as study

    asked = DesignAsked(
        model, rule, on, tuple(caps), purpose, memory, node, n_dies, base, tuple(chips), n_chips, precision,
        input_len, output_len, tpot_s, engine, brief,
    )  # fmt: skip
    return study(asked)


def sweep(
    study: "str | Path",
    out: "str | Path | None" = None,
    *,
    engine: str = "threads",
    n_threads: int | None = None,
    n_workers: int | None = None,
    scheduler: str | None = None,
    verify: bool = False,
    repair: bool = False,
    dry_run: bool = False,
    progress: "Callable[[Progress], None] | None" = None,
) -> "SweepResult":
    """Evaluate every point of a study into a folder of Parquet parts; called again, it goes on where it was broken off.

    study      a YAML file that names the axes
    out        the folder: new, empty, or begun with this very study, code and data
    engine     "threads" of this process, `n_threads` of them; or "dask": `n_workers` processes here, or those of the
               `scheduler` at an address. All give the same bytes. A script that asks for dask needs
               `if __name__ == "__main__":` around its body, as everything that starts processes does
    verify     evaluate nothing: read every byte that is there and check it
    repair     compute parts again that are not as they were written
    dry_run    write nothing: check the study, try some points, say how long it takes
    progress   told how far it is some times a second

    Raises errors.WrongInput: the study is wrong, the folder belongs to something else, is damaged, or resists.
    """
    from pathlib import Path

    from clustercast.studies.sweep.run import SweepAsked
    from clustercast.studies.sweep.run import sweep as evaluate

    asked = SweepAsked(
        Path(study),
        None if out is None else Path(out),
        engine,
        n_threads,
        n_workers,
        scheduler,
        verify,
        repair,
        dry_run,
    )
    return evaluate(asked, progress or (lambda _: None))


def query(
    folder: "str | Path",
    question: str,
    *,
    by: str = "",
    per: "Sequence[str] | None" = None,
    x: str = "",
    y: str = "",
    chips: "Sequence[str]" = (),
    budget: str = "",
    where: str = "",
    order: str = "",
    n: int = 10,
    only_sql: bool = False,
    n_shown: int = 10_000,
    timeout_s: float = 300.0,
    memory_bytes: float = 2.0**31,
    sinks: "Sequence[Sink]" = (),
) -> "QueryResult":
    """Ask the points that a sweep kept, finished or not: SQL over the table `points`, or a ready-made question.

    question  SQL, or "best", "break-even", "pareto", "plan-changes", "spread", "summary", "top"
    by        the output that decides; per: columns to keep apart; x, y: axes, of pareto outputs
    chips     break-even: two; budget: best: "count", "days=30,90", "rent_usd=1M"
    where     which points a ready-made question takes, in SQL
    order     "least" or "most" of `by` is best; empty: by what it is
    n         rows of "top"
    only_sql  make the SQL of a ready-made question and do nothing
    n_shown   rows of the answer that are held; `sinks` get all, as they come

    Nothing else is read and nothing is written. Raises errors.WrongInput, and errors.NoAnswer where no part is finished
    or no point is asked for, and where the question takes too long or too much memory.
    """
    from clustercast.studies.query import QueryAsked
    from clustercast.studies.query import query as ask

    asked = QueryAsked(
        folder, question, by, None if per is None else tuple(per), x, y, tuple(chips), budget, where, order, n,
        n_shown, only_sql, timeout_s, memory_bytes,
    )  # fmt: skip
    return ask(asked, sinks)


def questions(folder: "str | Path") -> "Questions":
    """What a sweep can be asked: its columns, and the ready-made questions.

    Raises errors.WrongInput, and errors.NoAnswer where no part is finished.
    """
    from clustercast.studies.query import questions as listed

    return listed(folder)


def validate(
    files: "str | Path | Sequence[str | Path]" = (),
    *,
    where: tuple[str, ...] = (),
    given: "Sequence[str]" = (),
    launch: "str | Path | None" = None,
    calibration: "str | Path | Sequence[str | Path]" = (),
) -> "Validation":
    """How far the model is from published runs: every row of the files judged, and the errors by group.

    files        CSV files in the training or the serving form of bench/record/README.md, or results of serving
                 benchmarks (vLLM, SGLang, AIPerf); none: the package's own record
    where        "column=value": only rows whose cell says so
    given        "column=value" of what results of benchmarks do not say: "chip=h100"
    launch       the launch file of the server that was measured, which says more of it
    calibration  files that `calibrate` wrote: their constants go before the catalogue's

    Raises errors.WrongInput for a file that cannot be read or is of neither form; a row that cannot be done is
    `unsupported` and says why.

    >>> found = validate(where=("study=Korthikanti et al. 2022",))
    >>> len(found.rows), found.rows[0].status, found.group("all").n_ok
    (8, 'ok', 8)
    """
    import os

    from clustercast.catalog import constants
    from clustercast.studies.logs.results import given_of
    from clustercast.studies.validate import validate as judge

    with constants.using(calibration):
        said = given_of(given, launch)
        return judge([files] if isinstance(files, (str, os.PathLike)) else files, where, said)
