"""`clustercast size`."""

from typing import Annotated

import typer

from clustercast import errors
from clustercast.cli import options, pools
from clustercast.cli import serve as serving

Train = Annotated[bool, typer.Option("--train", help="How many chips finish training in --days.")]
Serve = Annotated[bool, typer.Option("--serve", help="How many chips serve --rate under --ttft and --tpot.")]
Chips = Annotated[
    str | None,
    typer.Option("--chip", metavar="NAME,NAME,...", help="Chips to size, each alone: names or paths."),
]
Days = Annotated[str | None, typer.Option("--days", metavar="DAYS", help="Training: finished in so many days.")]
Rate = Annotated[str | None, typer.Option("--rate", metavar="N", help="Serving: requests per second, at random times.")]
Tpot = Annotated[
    str | None, typer.Option("--tpot", metavar="TIME", help="Objective: time of each further token. Default: 50ms.")
]
Ttft = Annotated[
    str | None, typer.Option("--ttft", metavar="TIME", help="Objective: time to first token. Default: 2s.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one chip, h20.price_rent=1.1USD/h, or all: chip.power=600W. May be repeated.",
    ),
]


def size(
    model: options.Model,
    *,
    chip: Chips = None,
    train: Train = False,
    serve: Serve = False,
    days: Days = None,
    tokens: options.Tokens = None,
    gbs: options.Gbs = None,
    seq: options.Seq = None,
    stack: options.Stack = None,
    rate: Rate = None,
    isl: serving.Isl = None,
    osl: serving.Osl = None,
    lengths: options.Lengths = None,
    ttft: Ttft = None,
    tpot: Tpot = None,
    percentile: options.Percentile = None,
    engine: options.Engine = "vllm",
    prefix_hit: options.PrefixHit = "0",
    accept: options.Accept = None,
    draft: options.Draft = None,
    prefill_chip: pools.PrefillChip = None,
    decode_chip: pools.DecodeChip = None,
    precision: options.Precision = None,
    plan: options.Plan = "",
    set_: Set = None,
    fabric: options.Fabric = None,
    calibration: options.Calibration = None,
    json: options.Json = False,
) -> None:
    """The fewest chips that train in so many days, or that serve so many requests per second."""
    import clustercast
    from clustercast import report

    if train == serve:
        raise errors.WrongInput("size: say --train or --serve, one of the two", hint="size --train --days 90")
    training_only = {"--days": days, "--tokens": tokens, "--gbs": gbs, "--seq": seq, "--stack": stack}
    serving_only = {
        "--rate": rate, "--isl": isl, "--osl": osl, "--lengths": lengths, "--ttft": ttft, "--tpot": tpot,
        "--percentile": percentile, "--accept": accept, "--draft": draft, "--prefill-chip": prefill_chip,
        "--decode-chip": decode_chip,
    }  # fmt: skip
    for option, value in (serving_only if train else training_only).items():
        if value is not None:
            raise errors.WrongInput(f"{option} is for {'--serve' if train else '--train'}")
    given = days if train else rate
    if given is None:
        raise errors.WrongInput("--days is missing" if train else "--rate is missing")
    if prefill_chip is not None or decode_chip is not None:
        pools.check(prefill_chip, decode_chip, {})
    elif chip is None:
        raise errors.WrongInput("--chip is missing", hint="or --prefill-chip and --decode-chip for pools apart")
    names = () if chip is None else options.names("--chip", chip)
    settings = tuple(set_ or ())
    if train:
        result = clustercast.size_train(
            names,
            model,
            options.count("--days", given.removesuffix("d")) or 0.0,
            tokens=options.count("--tokens", tokens),
            global_batch=options.whole("--gbs", gbs),
            seq_len=options.whole("--seq", seq),
            precision=precision,
            plan=plan,
            fabric=fabric,
            stack=stack,
            settings=settings,
            calibration=tuple(calibration or ()),
        )
    else:
        result = clustercast.size_serve(
            names,
            model,
            options.count("--rate", given) or 0.0,
            input_len=isl,
            output_len=osl,
            lengths=lengths,
            ttft_s=options.seconds("--ttft", ttft),
            tpot_s=options.seconds("--tpot", tpot),
            percentile=options.percentile("--percentile", percentile),
            precision=precision,
            plan=plan,
            engine=engine,
            hit_fraction=options.share("--prefix-hit", prefix_hit),
            accepted_tokens=options.count("--accept", accept),
            n_drafts=options.count("--draft", draft),
            fabric=fabric,
            prefill_chip=prefill_chip,
            decode_chip=decode_chip,
            settings=settings,
            calibration=tuple(calibration or ()),
        )
    report.show(result, as_json=json)
