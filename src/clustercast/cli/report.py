"""`clustercast report`."""

from typing import Annotated

import typer

from clustercast.cli import options
from clustercast.cli.estimate import Launch

Source = Annotated[
    str,
    typer.Argument(
        metavar="[SOURCE]",
        show_default=False,
        help="Instead of a question: the folder of a sweep, or a file that `estimate --json` was saved in.",
    ),
]
Chips = Annotated[
    str,
    typer.Option(
        "--chip", metavar="NAME,...", help="Chips, six at most: the first is looked at closely, the others beside it."
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Where to write it: a name that ends in .html, .md, .csv, .xlsx, .svg, .png.",
    ),
]


def report(
    source: Source = "",
    *,
    out: Out,
    chip: Chips = "",
    model: options.Model = "",
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
    json: options.Json = False,
) -> None:
    """One file to keep of a question, a sweep or a saved estimate: the answer, why, and what it rests on."""
    import clustercast
    from clustercast import errors
    from clustercast import report as render

    render.check_report(out)
    if source:
        if chip or model or launch:
            raise errors.WrongInput(f"report: expected {source!r} or a question with --chip and --model, got both")
        render.save_report(found := clustercast.report_of(source), out)
        render.show_report(found, out, as_json=json)
        return
    if not chip or not (model or launch):
        raise errors.WrongInput(
            f"{'--model' if chip else '--chip'} is missing",
            hint="name chip and model, the folder of a sweep, or a file that estimate --json was saved in",
        )
    result = clustercast.report_on(
        options.names("--chip", chip),
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
    render.save_report(result, out)
    render.show_report(result, out, as_json=json)
