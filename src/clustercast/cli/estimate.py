"""`clustercast estimate`."""

from typing import Annotated

import typer

from clustercast.cli import options

Launch = Annotated[
    str | None,
    typer.Option(
        "--launch",
        metavar="FILE",
        help="Training launch file of Megatron-LM, Megatron-Bridge, torchtitan, DeepSpeed or MindSpeed-LLM: "
        "model, plan, batch, lengths and precision are read from it.",
    ),
]


def estimate(
    chip: options.Chip,
    model: options.Model = "",
    *,
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
    price: options.Price = "rent",
    launch: Launch = None,
    calibration: options.Calibration = None,
    plot: options.Plot = None,
    json: options.Json = False,
) -> None:
    """How long a model trains and how fast it serves, and why."""
    import clustercast
    from clustercast import errors, report

    if not model and launch is None:
        raise errors.WrongInput("--model is missing", hint="name one, or give a launch file with --launch")
    if plot is not None:
        report.check_plot(plot)
    result = clustercast.estimate(
        chip,
        model,
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
        price=price,
        launch=launch,
        calibration=tuple(calibration or ()),
    )
    if plot is not None:
        report.save_estimate(result, plot)
    report.show(result, as_json=json)
