"""`clustercast serve`."""

from typing import Annotated

import typer

from clustercast import errors
from clustercast.cli import options, pools

Isl = Annotated[
    str | None, typer.Option("--isl", metavar="N", help="Tokens of a prompt, or percentiles: p50=1k,p90=8k.")
]
Osl = Annotated[str | None, typer.Option("--osl", metavar="N", help="Tokens of an answer, or percentiles.")]
Lengths = Annotated[
    str | None,
    typer.Option("--lengths", metavar="FILE", help="Lengths of requests: a CSV file with input,output[,weight]."),
]
Concurrency = Annotated[
    str | None, typer.Option("--concurrency", metavar="N", help="Load: requests in flight on all chips.")
]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Load: requests per second, at random times.")]
Ttft = Annotated[str | None, typer.Option("--ttft", metavar="TIME", help="Objective: time to first token, like 2s.")]
Tpot = Annotated[
    str | None,
    typer.Option(
        "--tpot", metavar="TIME", help="Objective: time of each further token. Default: 50ms where no load is given."
    ),
]
Percentile = Annotated[
    str | None,
    typer.Option("--percentile", metavar="P", help="Of requests that meet the objectives under --rate: 50, 90 or 99."),
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
Hit = Annotated[str, typer.Option("--prefix-hit", metavar="SHARE", help="Share of a prompt that the cache holds.")]
Accept = Annotated[
    str | None, typer.Option("--accept", metavar="N", help="Tokens that a step yields when it guesses, like 1.8.")
]
Draft = Annotated[str | None, typer.Option("--draft", metavar="N", help="Tokens that a step guesses.")]
Frontier = Annotated[
    bool, typer.Option("--frontier", help="Add the best of throughput per chip against speed per user.")
]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Write the frontier to a CSV file.")]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw the frontier: .svg, .png, .html or .json.")
]


Chip = Annotated[
    str | None,
    typer.Option(
        "--chip",
        metavar="NAME",
        help="Chip: a name or alias of `chips list`, or the path of a YAML file. Or --prefill-chip and --decode-chip.",
    ),
]


def serve(
    model: options.Model,
    *,
    chip: Chip = None,
    count: options.Count = None,
    isl: Isl = None,
    osl: Osl = None,
    lengths: Lengths = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    ttft: Ttft = None,
    tpot: Tpot = None,
    percentile: Percentile = None,
    engine: options.Engine = "vllm",
    precision: options.Precision = None,
    plan: Plan = "",
    prefix_hit: Hit = "0",
    accept: Accept = None,
    draft: Draft = None,
    frontier: Frontier = False,
    csv: Csv = None,
    plot: Plot = None,
    prefill_chip: pools.PrefillChip = None,
    decode_chip: pools.DecodeChip = None,
    prefill_count: pools.PrefillCount = None,
    decode_count: pools.DecodeCount = None,
    prefill_plan: pools.PrefillPlan = "",
    decode_plan: pools.DecodePlan = "",
    prefill_precision: pools.PrefillPrecision = None,
    decode_precision: pools.DecodePrecision = None,
    set_: options.Set = None,
    fabric: options.Fabric = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """How fast a model serves under a load or objectives, with which plan, and why."""
    import clustercast
    from clustercast import report

    if prefill_chip is not None or decode_chip is not None:
        one_pool = {"--concurrency": concurrency, "--plan": plan, "--frontier": frontier, "--csv": csv, "--plot": plot}
        pools.check(prefill_chip, decode_chip, one_pool | {"--chip": chip, "--fabric": fabric})
        apart = clustercast.pools(
            prefill_chip or "",
            decode_chip or "",
            model,
            n_chips=options.whole("--count", count),
            prefill_count=options.whole("--prefill-count", prefill_count),
            decode_count=options.whole("--decode-count", decode_count),
            input_len=isl,
            output_len=osl,
            lengths=lengths,
            rate=options.count("--rate", rate),
            ttft_s=options.seconds("--ttft", ttft),
            tpot_s=options.seconds("--tpot", tpot),
            percentile=pools.percentile(percentile),
            precision=precision,
            prefill_precision=prefill_precision,
            decode_precision=decode_precision,
            prefill_plan=prefill_plan,
            decode_plan=decode_plan,
            engine=engine,
            hit_fraction=options.share("--prefix-hit", prefix_hit),
            accepted_tokens=options.count("--accept", accept),
            n_drafts=options.count("--draft", draft),
            settings=tuple(set_ or ()),
            calibration=tuple(calibration or ()),
        )
        report.show(apart, as_json=json)
        return
    if chip is None:
        raise errors.WrongInput("--chip is missing", hint="or --prefill-chip and --decode-chip for pools apart")
    if plot is not None:
        report.check_plot(plot)
    if csv is not None:
        report.check_csv(csv)
    result = clustercast.serve(
        chip,
        model,
        n_chips=options.whole("--count", count),
        input_len=isl,
        output_len=osl,
        lengths=lengths,
        concurrency=options.whole("--concurrency", concurrency),
        rate=options.count("--rate", rate),
        ttft_s=options.seconds("--ttft", ttft),
        tpot_s=options.seconds("--tpot", tpot),
        percentile=options.whole("--percentile", None if percentile is None else percentile.lower().removeprefix("p")),
        engine=engine,
        precision=precision,
        plan=plan,
        hit_fraction=options.share("--prefix-hit", prefix_hit),
        accepted_tokens=options.count("--accept", accept),
        n_drafts=options.count("--draft", draft),
        frontier=frontier or csv is not None or plot is not None,
        fabric=fabric,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    if csv is not None:
        report.save_frontier_csv(result, csv)
    if plot is not None:
        report.save_frontier_plot(result, plot)
    report.show(result, as_json=json)
