"""`clustercast serve`."""

from typing import Annotated

import typer

from clustercast import errors
from clustercast.cli import options, pools

Isl = Annotated[
    str | None, typer.Option("--isl", metavar="N", help="Tokens of a prompt, or percentiles: p50=1k,p90=8k.")
]
Osl = Annotated[str | None, typer.Option("--osl", metavar="N", help="Tokens of an answer, or percentiles.")]
Concurrency = Annotated[
    str | None, typer.Option("--concurrency", metavar="N", help="Load: requests in flight on all chips.")
]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Load: requests per second, at random times.")]
Tpot = Annotated[
    str | None,
    typer.Option(
        "--tpot", metavar="TIME", help="Objective: time of each further token. Default: 50ms where no load is given."
    ),
]
Plan = Annotated[
    str,
    typer.Option(
        "--plan",
        metavar="PLAN",
        help="What is fixed of tp, pp, dp (of attention), ep, etp, replicas, batch (of a replica), chunk (of prefill). "
        "The rest is searched.",
    ),
]
Frontier = Annotated[
    bool, typer.Option("--frontier", help="Add the best of throughput per chip against speed per user.")
]
Simulate = Annotated[
    str | None,
    typer.Option("--simulate", metavar="N", help="Also simulate N requests of the plan event by event, like 2000."),
]
Seed = Annotated[str, typer.Option("--seed", metavar="N", help="Of the simulation's random numbers.")]
Chip = Annotated[
    str | None,
    typer.Option(
        "--chip",
        metavar="NAME",
        help="Chip: a name or alias of `chips list`, or the path of a YAML file. Or --prefill-chip and --decode-chip.",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Model: a name or alias of `models list`, a size like 70B, or the path of a YAML file or config.json.",
    ),
]
Engine = Annotated[
    str | None, typer.Option("--engine", metavar="NAME", help="Serving engine. Default: vllm, or the launch file's.")
]
Launch = Annotated[
    str | None,
    typer.Option(
        "--launch",
        metavar="FILE",
        help="Answer for this launch file of vLLM, SGLang or TensorRT-LLM: a script, or their YAML options.",
    ),
]
Export = Annotated[
    str | None,
    typer.Option(
        "--export", metavar="TOOL", help="Print a launch file for the setup: of vllm, sglang or tensorrt-llm."
    ),
]
Out = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Where --export writes; then the answer is printed.")
]


def serve(
    *,
    model: Model = "",
    chip: Chip = None,
    count: options.Count = None,
    isl: Isl = None,
    osl: Osl = None,
    lengths: options.Lengths = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    ttft: options.Ttft = None,
    tpot: Tpot = None,
    percentile: options.Percentile = None,
    engine: Engine = None,
    precision: options.Precision = None,
    plan: Plan = "",
    launch: Launch = None,
    export: Export = None,
    out: Out = None,
    prefix_hit: options.PrefixHit = "0",
    accept: options.Accept = None,
    draft: options.Draft = None,
    frontier: Frontier = False,
    csv: options.Csv = None,
    plot: options.Plot = None,
    simulate: Simulate = None,
    seed: Seed = "0",
    prefill_chip: pools.PrefillChip = None,
    decode_chip: pools.DecodeChip = None,
    prefill_count: pools.PrefillCount = None,
    decode_count: pools.DecodeCount = None,
    prefill_plan: pools.PrefillPlan = "",
    decode_plan: pools.DecodePlan = "",
    prefill_precision: pools.PrefillPrecision = None,
    decode_precision: pools.DecodePrecision = None,
    prefill_engine: pools.PrefillEngine = None,
    decode_engine: pools.DecodeEngine = None,
    prefill_fabric: pools.PrefillFabric = None,
    decode_fabric: pools.DecodeFabric = None,
    set_: options.Set = None,
    fabric: options.Fabric = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """How fast a model serves under a load or objectives, with which plan, and why."""
    import clustercast
    from clustercast import report

    if not model and launch is None:
        raise errors.WrongInput("--model is missing", hint="or --launch FILE")
    if out is not None and export is None:
        raise errors.WrongInput("--out needs --export", hint="--export vllm")
    if plot is not None:
        report.check_plot(plot)
    if csv is not None:
        report.check_csv(csv)
    n_chips = options.whole("--count", count)
    asked = {
        "input_len": isl,
        "output_len": osl,
        "lengths": lengths,
        "rate": options.count("--rate", rate),
        "ttft_s": options.seconds("--ttft", ttft),
        "tpot_s": options.seconds("--tpot", tpot),
        "percentile": options.percentile("--percentile", percentile),
        "precision": precision,
        "hit_fraction": options.share("--prefix-hit", prefix_hit),
        "accepted_tokens": options.count("--accept", accept),
        "n_drafts": options.count("--draft", draft),
        "frontier": frontier or csv is not None or plot is not None,
        "settings": tuple(set_ or ()),
        "calibration": tuple(calibration or ()),
        "fabric": fabric,
    }
    of_pools = {
        "prefill_count": options.whole("--prefill-count", prefill_count),
        "decode_count": options.whole("--decode-count", decode_count),
        "prefill_plan": prefill_plan,
        "decode_plan": decode_plan,
        "prefill_precision": prefill_precision,
        "decode_precision": decode_precision,
        "prefill_engine": prefill_engine,
        "decode_engine": decode_engine,
        "prefill_fabric": prefill_fabric,
        "decode_fabric": decode_fabric,
    }
    if prefill_chip is not None or decode_chip is not None:
        one_pool = {"--chip": chip, "--concurrency": concurrency, "--plan": plan, "--simulate": simulate}
        one_pool |= {"--launch": launch}
        pools.check(prefill_chip, decode_chip, one_pool)
        asked |= of_pools | {"engine": engine, "export": export}
        apart = clustercast.pools(prefill_chip or "", decode_chip or "", model, n_chips=n_chips, **asked)  # type: ignore[arg-type]
        if report.give_launches(apart.launch, out, as_json=json):
            return
        report.show_served(apart, csv=csv, plot=plot, as_json=json)
        return
    if chip is None:
        raise errors.WrongInput("--chip is missing", hint="or --prefill-chip and --decode-chip for pools apart")
    for name, value in of_pools.items():
        if value:
            raise errors.WrongInput(
                f"--{name.replace('_', '-')} is for pools apart: give --prefill-chip and --decode-chip"
            )
    n_simulated = options.whole("--simulate", simulate)
    if n_simulated == 0:
        raise errors.WrongInput("--simulate: expected at least 1 request, got 0")
    result = clustercast.serve(
        chip,
        model,
        n_chips=n_chips,
        launch=launch,
        export=export,
        engine=engine,
        concurrency=options.whole("--concurrency", concurrency),
        plan=plan,
        n_simulated=n_simulated or 0,
        seed=options.whole("--seed", seed) or 0,
        **asked,  # type: ignore[arg-type]
    )
    if report.give_launches(result.launch, out, as_json=json):
        return
    report.show_served(result, csv=csv, plot=plot, as_json=json)
