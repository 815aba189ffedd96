"""`clustercast sensitivity`."""

from typing import Annotated

import typer

from clustercast.cli import options

Of = Annotated[
    str,
    typer.Option(
        "--of",
        metavar="NAME,...",
        help="What is moved. Training: days, step, mfu, goodput, cost, own-cost, energy, carbon, training-memory. "
        "Serving: tpot, ttft, tokens, prefill-tokens (per second per chip), token-cost, own-token-cost, "
        "serving-memory.",
    ),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="NAME",
        help="tornado: each number alone at both ends; morris: screening; sobol: shares of the variance.",
    ),
]
N = Annotated[
    str | None, typer.Option("--n", metavar="N", help="Model evaluations, about, of morris (2k) and sobol (25k).")
]
Seed = Annotated[str, typer.Option("--seed", metavar="N", help="Of the samples: the same seed, the same answer.")]
Param = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME[=RANGE]",
        help="A number to move, or a group: hardware, workload, efficiency, reliability, power, price, all. Its "
        "range if not the catalogue's: chip.flops=100TFLOP/s..200TFLOP/s, job.pue=10%. May be repeated. Default: "
        "all with a range that you did not give.",
    ),
]
Most = Annotated[
    str | None,
    typer.Option(
        "--most", metavar="N", help="Numbers that sobol takes and --replan tries, those that move most. Default: 12."
    ),
]
Replan = Annotated[bool, typer.Option("--replan", help="Tornado: also search the plan again at the ends.")]


def sensitivity(
    chip: options.Chip,
    model: options.Model,
    *,
    of: Of = "days",
    method: Method = "tornado",
    n: N = None,
    seed: Seed = "0",
    param: Param = None,
    most: Most = None,
    replan: Replan = False,
    count: options.Count = None,
    tokens: options.Tokens = None,
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    precision: options.Precision = None,
    plan: options.Plan = "",
    isl: options.Isl = None,
    osl: options.Osl = None,
    batch: options.Batch = None,
    set_: options.Set = None,
    fabric: options.Fabric = None,
    stack: options.Stack = None,
    engine: options.Engine = "vllm",
    calibration: options.Calibration = None,
    csv: options.Csv = None,
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """What moves the answer: hardware, workload, efficiency, reliability, power and price over their ranges."""
    import clustercast
    from clustercast import report

    if plot is not None:
        report.check_plot(plot)
    result = clustercast.sensitivity(
        chip,
        model,
        of=options.names("--of", of),
        method=method,
        n=options.whole("--n", n),
        seed=options.whole("--seed", seed) or 0,
        parameters=tuple(param or ()),
        most=options.whole("--most", most),
        replan=replan,
        n_chips=options.whole("--count", count),
        tokens=options.count("--tokens", tokens),
        global_batch=options.whole("--gbs", gbs),
        seq_len=options.whole("--seq", seq),
        precision=precision,
        plan=plan,
        input_len=options.whole("--isl", isl),
        output_len=options.whole("--osl", osl),
        batch=options.whole("--batch", batch),
        fabric=fabric,
        stack=stack,
        engine=engine,
        settings=tuple(set_ or ()),
        calibration=tuple(calibration or ()),
    )
    report.save_sensitivity(result, csv=csv, plot=plot)
    if csv != "-":
        report.show(result, as_json=json)
