"""A report of one question as the sections of a page."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from clustercast import units
from clustercast.estimates.result import Estimate, Serving, Training
from clustercast.report import charts
from clustercast.report.charts.barrel import planks, shortest
from clustercast.report.charts.theme import Spec, signed
from clustercast.report.layout import percent, short
from clustercast.report.page.parts import Cell, Figure, Grid, Page, Section
from clustercast.report.text import LIMITS, PLANKS, counted, milliseconds, plan_in_words, scalar
from clustercast.report.why import NAMES
from clustercast.studies.report import Report

SHOWN_PLANS = 10
GIB = 2.0**30
MOST_CLOSE = 2  # chips whose pictures of time stand beside one another


def page(found: Report) -> Page:
    """Everything that a report holds, in the order in which a reader asks for it."""
    first = found.chips[0].estimate
    made = (
        question(found),
        side_by_side(found),
        barrel(found),
        apart(found),
        roofline(found),
        waterfalls(found),
        pipeline(found),
        memory(found),
        ranking(found),
        crossover(found),
        tornado(found),
        cost(found),
        rules(found),
        assumptions([each.estimate for each in found.chips]),
        warnings([each.estimate for each in found.chips], found.reasons),
        commands(found),
    )
    return Page(
        title=found.title,
        question=asked(first, [each.estimate.chip for each in found.chips]),
        answer=answer(first),
        figures=tuple(figures(first)),
        sections=tuple(each for each in made if not each.empty),
        made_with=f"clustercast {found.version}",
    )


def of_estimate(found: Estimate, version: str) -> Page:
    """What a saved estimate alone can show: nothing is calculated again."""
    made = (
        shape(found),
        planks_section([found], planks_of([found])),
        Section("time", "Where the time goes", (), waterfalls_of(found), tuple(times_of(found))),
        Section("memory", "Memory", (), (), tuple(memory_of(found))),
        Section("cost", "Cost, energy and interruptions", job_in_words(found), (), tuple(cost_of(found))),
        assumptions([found]),
        warnings([found], {}),
    )
    return Page(
        title=f"{found.model} on {found.count:,} {found.chip}",
        question=asked(found, [found.chip]),
        answer=answer(found),
        figures=tuple(figures(found)),
        sections=tuple(each for each in made if not each.empty),
        made_with=f"clustercast {version}, from a saved estimate",
    )


def drawn(*pictures: Spec | None) -> tuple[Spec, ...]:
    """The pictures that there are."""
    return tuple(each for each in pictures if each is not None)


# -- the question and the answer


def asked(est: Estimate, chips: list[str]) -> str:
    """The question in a sentence."""
    tokens = f" on {units.count(est.training.tokens)} tokens" if est.training else ""
    beside = f", beside {', '.join(chips[1:])}" if len(chips) > 1 else ""
    return (
        f"How long do {est.count:,} {est.chip_name} take to train {est.model_name}{tokens}, and how fast do they serve "
        f"it{beside}?"
    )


def answer(est: Estimate) -> str:
    """The answer in a sentence."""
    said = []
    if est.training:
        said.append(
            f"Training takes {days_of(est.training)} with {est.training.plan_text}, limited by "
            f"{LIMITS.get(est.training.limiting, est.training.limiting)}."
        )
    elif est.training_reason:
        said.append(f"No answer for training: {est.training_reason}.")
    if est.serving:
        done = est.serving
        said.append(
            f"Serving {done.input_len:,} tokens in and {done.output_len:,} out gives "
            f"{short(done.output_tokens_per_s_per_chip)} tokens/s per chip, decoding limited by "
            f"{LIMITS.get(done.limiting_decode, done.limiting_decode)}, prefill by "
            f"{LIMITS.get(done.limiting_prefill, done.limiting_prefill)}."
        )
    elif est.serving_reason:
        said.append(f"No answer for serving: {est.serving_reason}.")
    return " ".join(said)


def days_of(done: Training) -> str:
    """The length of a run, in days or hours."""
    return f"{short(done.days)} days" if done.days >= 1.0 else f"{short(24.0 * done.days)} hours"


def figures(est: Estimate) -> Iterator[Figure]:
    """The big numbers."""
    if est.training:
        done = est.training
        unit, times = ("days", 1.0) if done.days >= 1.0 else ("hours", 24.0)
        span = f"{short(times * done.days_low)} to {short(times * done.days_high)} {unit}"
        yield Figure("training", f"{short(times * done.days)} {unit}", span, f"MFU {percent(done.mfu)}")
    if est.serving:
        served = est.serving
        span = f"{milliseconds(served.tpot_ms_low)} to {milliseconds(served.tpot_ms_high)}"
        rate = f"{short(served.output_tokens_per_s_per_chip)} tokens/s per chip"
        yield Figure("time per output token", milliseconds(served.tpot_ms), span, rate)
        span = f"{milliseconds(served.ttft_ms_low)} to {milliseconds(served.ttft_ms_high)}"
        rate = f"{short(served.prefill_tokens_per_s_per_chip)} prompt tokens/s per chip"
        yield Figure("time to first token", milliseconds(served.ttft_ms), span, rate)
    if est.training and est.training.cost_usd is not None:
        done = est.training
        span = f"{units.count(done.cost_usd * done.days_low / done.days)} to " if done.cost_usd else ""
        most = units.count((done.cost_usd or 0.0) * done.days_high / done.days)
        basis = "rented" if done.price_basis.startswith("rent") else "on one's own chips"
        yield Figure("cost of training", f"{units.count(done.cost_usd or 0.0)} USD", f"{span}{most} USD", basis)


def question(found: Report) -> Section:
    """What was asked: model, chips, network, plan."""
    return shape(*(each.estimate for each in found.chips))


def shape(*estimates: Estimate) -> Section:
    """Model, chips and plans in a table."""
    rows: list[tuple[Cell, ...]] = []
    for est in estimates:
        rows.append((est.chip, est.chip_name, est.count, est.fabric_name, est.precision))
    first = estimates[0]
    words = [
        f"{first.model_name}: {units.count(first.total_params)} parameters, {units.count(first.active_params)} active "
        f"({first.model_resolved_as})."
    ]
    if first.training:
        words.append(f"Training plan: {plan_in_words(first, first.training)}.")
        words.append(
            f"{counted(first.training.plan['global_batch'], 'sequence')} of {first.seq_len:,} tokens per step; "
            f"evidence: {first.training.evidence}; software: {first.training.stack}."
        )
    if first.serving:
        words.append(serving_in_words(first.serving))
    columns = ("chip", "full name", "chips", "network", "precision")
    return Section("question", "What was asked", tuple(words), (), (Grid("Chips", columns, tuple(rows)),))


def serving_in_words(done: Serving) -> str:
    """The layout of serving."""
    plan = ", ".join(
        f"{name}={done.plan[name]}" for name in ("tp", "pp", "attention_dp", "ep", "etp") if done.plan[name] > 1
    )
    return (
        f"Serving plan: {counted(done.replicas, 'replica')} of {counted(done.plan['chips'], 'chip')} "
        f"({plan or 'not divided'}), {done.batch:,} sequences in flight, engine {done.engine}; "
        f"evidence: {done.evidence}."
    )


# -- what limits


def barrel(found: Report) -> Section:
    """The shortest plank of every chip."""
    estimates = [each.estimate for each in found.chips]
    tables = planks_of(estimates)
    if found.why is not None:
        rows = tuple(
            (one.job, PLANKS.get(each.resource, each.resource), signed(each.same_plan), signed(each.best_plan))
            for one in found.why.jobs
            for each in one.planks
        )
        columns = ("job", "ten per cent more of", "same plan", "plan chosen again")
        tables = (*tables, Grid(f"With the plan chosen again, {found.why.chip}", columns, rows, behind=True))
    return planks_section(estimates, tables)


def planks_section(estimates: list[Estimate], tables: tuple[Grid, ...]) -> Section:
    """Words, picture and numbers of the barrel."""
    return Section("barrel", "The shortest plank", planks_in_words(estimates), drawn(charts.barrel(*estimates)), tables)


def planks_in_words(estimates: list[Estimate]) -> tuple[str, ...]:
    """Which plank is the shortest, per chip."""
    said = ["A cluster is as fast as its shortest plank: the resource of which ten per cent more buys most."]
    for est in estimates:
        jobs = planks(est.as_dict())
        found = [f"{job}: {PLANKS[shortest(gains)]} ({signed(gains[shortest(gains)])})" for job, gains in jobs.items()]
        said.append(f"{est.chip}: {'; '.join(found)}.")
    return tuple(said)


def planks_of(estimates: list[Estimate]) -> tuple[Grid, ...]:
    """The same in numbers."""
    rows = tuple(
        (est.chip, job, *(signed(gains.get(name, 0.0)) for name in PLANKS))
        for est in estimates
        for job, gains in planks(est.as_dict()).items()
    )
    return (Grid("What ten per cent more of each buys", ("chip", "job", *PLANKS.values()), rows, behind=True),)


def apart(found: Report) -> Section:
    """Which property of one chip explains how much of the difference to the other."""
    if found.why is None or found.why.other is None:
        return Section("apart", "")
    rows = []
    words = []
    for one in found.why.jobs:
        if one.other_tokens_per_s and one.parts:
            ratio = one.other_tokens_per_s / one.tokens_per_s
            words.append(f"{one.job}: {found.why.other} does {short(ratio)} times the tokens per second.")
            rows += [
                (one.job, NAMES.get(each.property, each.property), f"x {short(each.factor)}") for each in one.parts
            ]
    grid = Grid("Factors; their product is the whole difference", ("job", "property", "factor"), tuple(rows))
    tables = (grid,) if rows else ()
    return Section("apart", f"What separates {found.why.chip} from {found.why.other}", tuple(words), (), tables)


def roofline(found: Report) -> Section:
    """The work's operations under each chip's roof."""
    pictures = drawn(*(charts.roofline(each.operations) for each in found.chips))
    rows = tuple(
        (each.operations.chip, one.phase, one.kind, one.flop, one.hbm_bytes,
         one.flop / one.hbm_bytes if one.hbm_bytes else None, units.seconds(one.time_s), percent(one.share))
        for each in found.chips
        for one in each.operations.operations
    )  # fmt: skip
    columns = ("chip", "phase", "operation", "FLOP", "bytes", "FLOP/byte", "time", "share")
    words = (
        "Each mark is one kind of operation on one chip: how much arithmetic it does for each byte from memory, and "
        "how fast it runs. Under the slope memory bandwidth holds it back, under the flat roof compute does.",
    )
    grid = Grid("Operations: training per micro-batch, serving per step", columns, rows, behind=True)
    return Section("roofline", "Roofline", words if pictures else (), pictures, (grid,) if rows else ())


def waterfalls(found: Report) -> Section:
    """Where the time goes, of every chip."""
    estimates = [each.estimate for each in found.chips]
    close = estimates if len(estimates) <= MOST_CLOSE else estimates[:1]
    pictures = tuple(each for est in close for each in waterfalls_of(est))
    tables = tuple(each for est in estimates for each in times_of(est))
    return Section("time", "Where the time goes", (), pictures, tables)


def waterfalls_of(est: Estimate) -> tuple[Spec, ...]:
    """Training, prefill, decode."""
    return drawn(*(charts.waterfall(est, job) for job in ("training", "prefill", "decode")))


def times_of(est: Estimate) -> Iterator[Grid]:
    """The same in numbers."""
    from clustercast.report.charts.waterfall import causes

    for job, half in (("training", est.training), ("prefill", est.serving), ("decode", est.serving)):
        if half is not None:
            parts = causes(est.as_dict(), job)
            whole_s = math.fsum(parts.values())
            rows = tuple((name, long_s, percent(long_s / whole_s)) for name, long_s in parts.items())
            yield Grid(f"{est.chip}, {job}", ("cause", "seconds", "share"), rows, behind=True)


# -- the plan


def pipeline(found: Report) -> Section:
    """Forward and backward blocks of every stage."""
    if found.timeline is None:
        return Section("pipeline", "")
    rows = tuple(
        (one.stage + 1, one.micro_batch + 1, one.kind, one.start_s, one.end_s) for one in found.timeline.blocks
    )[:ROWS_OF_TIMELINE]
    columns = ("stage", "micro-batch", "pass", "from, s", "to, s")
    words = (
        f"The first {found.timeline.n_drawn} of {found.timeline.n_microbatches:,} micro-batches of a step. In the "
        "whole step the empty time at its ends is the pipeline bubble.",
    )
    grid = Grid("The first blocks", columns, rows, behind=True)
    return Section("pipeline", "Timeline of the pipeline", words, drawn(charts.pipeline(found.timeline)), (grid,))


ROWS_OF_TIMELINE = 40


def memory(found: Report) -> Section:
    """What lies in memory: by stage for the plan that is looked at closely, the fullest chip for the others."""
    tables = [
        replace(each, behind=place > 0) for place, one in enumerate(found.chips) for each in memory_of(one.estimate)
    ]
    pictures: tuple[Spec, ...] = ()
    if found.stages is not None:
        pictures = drawn(charts.stages(found.stages))
        rows = tuple(
            (one.stage + 1, one.n_layers, *(getattr(one, name) / GIB for name in MEMORY), one.total / GIB)
            for one in found.stages.stages
        )
        columns = ("stage", "layers", *MEMORY, "in all")
        tables.append(Grid(f"Each stage, {found.stages.chip}, GiB per chip", columns, rows, behind=True))
    return Section("memory", "Memory", (), pictures, tuple(tables))


MEMORY = ("weights", "gradients", "optimizer", "activations", "workspace")


def memory_of(est: Estimate) -> Iterator[Grid]:
    """What the fullest chip holds."""
    for job, half in (("training", est.training), ("serving", est.serving)):
        if half is None:
            continue
        held: Any = half.memory_bytes
        names = [name for name in held.__dataclass_fields__ if name not in ("total", "capacity")]
        rows: list[tuple[Cell, ...]] = [
            (
                name.replace("_", " ").replace("kv", "KV"),
                getattr(held, name) / GIB,
                percent(getattr(held, name) / held.capacity),
            )
            for name in names
        ]
        rows.append(("in all", held.total / GIB, percent(held.total / held.capacity)))
        rows.append(("capacity", held.capacity / GIB, percent(1.0)))
        yield Grid(f"{est.chip}, {job}: the fullest chip", ("what", "GiB", "of capacity"), tuple(rows))


def ranking(found: Report) -> Section:
    """The fastest plans."""
    if found.ranking is None:
        return Section("plans", "")
    rows = tuple(
        (
            place,
            one.plan_text,
            units.seconds(one.step_s),
            short(one.days),
            percent(one.mfu),
            percent(one.memory_fraction),
        )
        for place, one in enumerate(found.ranking.plans[:SHOWN_PLANS], 1)
    )
    columns = ("", "plan", "step", "days", "MFU", "memory")
    words = (
        f"An exact search over {found.ranking.n_considered:,} plans; {found.ranking.n_feasible:,} of them costed whole "
        "and fitting.",
    )
    grid = Grid(f"The fastest plans, {found.ranking.chip}", columns, rows)
    return Section("plans", "Plans", words, drawn(charts.plans(found.ranking)), (grid,))


# -- beside others


def side_by_side(found: Report) -> Section:
    """All chips on equal cards."""
    if found.comparison is None:
        return Section("compare", "")
    rows = tuple(
        (row.chip, row.count, None if row.days is None else short(row.days),
         None if row.days_low is None or row.days_high is None else f"{short(row.days_low)} to {short(row.days_high)}",
         None if row.cost_usd is None else f"{units.count(row.cost_usd)} USD",
         None if row.mfu is None else percent(row.mfu),
         *(short(row.jobs[job].tokens_per_s_per_chip) if job in row.jobs else None for job in ("prefill", "decode")))
        for row in found.comparison.rows
    )  # fmt: skip
    columns = ("chip", "chips", "days", "80 % interval", "cost", "MFU", "prefill tokens/s/chip", "decode tokens/s/chip")
    grid = Grid("On equal cards", columns, rows)
    return Section("compare", "Side by side", (), drawn(charts.comparison(found.comparison)), (grid,))


def crossover(found: Report) -> Section:
    """Where one of two chips serves faster."""
    if found.crossover is None:
        return Section("crossover", "")
    both = found.crossover
    pictures = drawn(*(charts.crossover(both, phase) for phase in ("decode", "prefill")))
    words = []
    for one in both.won:
        if one.basis == "chip":
            best = f", by {short(one.most_factor)} times at most" if one.most_factor else ""
            words.append(f"{one.phase}, per chip: {one.chip} is ahead at {one.points} of {one.of} points{best}.")
    rows = tuple((one.phase, one.batch, one.context, one.ratio, one.ratio_per_usd, one.winner) for one in both.cells)
    columns = ("phase", "batch", "context", f"{both.chip} over {both.other}", "the same per dollar", "ahead")
    grid = Grid("Every point", columns, rows, behind=True)
    return Section("crossover", f"Where {both.chip} serves faster than {both.other}", tuple(words), pictures, (grid,))


def tornado(found: Report) -> Section:
    """What moves the answer."""
    if found.sensitivity is None or not found.sensitivity.outputs:
        return Section("sensitivity", "")
    study = found.sensitivity
    one = study.outputs[0]
    rows: list[tuple[Cell, ...]] = []
    for each in one.effects[:20]:
        what = study.parameter(each.parameter)
        ends = (getattr(each, "at_low", None), getattr(each, "at_high", None))
        rows.append((what.name, what.title, what.low, what.high, what.unit, *ends, what.kind, what.source))
    columns = (
        "number",
        "what it is",
        "low",
        "high",
        "unit",
        f"{one.unit} at low",
        f"{one.unit} at high",
        "kind",
        "source",
    )
    grid = Grid(f"What moves {one.title.lower()}", columns, tuple(rows), behind=True)
    return Section("sensitivity", "What would move the answer", (), drawn(charts.tornado(study)), (grid,))


def cost(found: Report) -> Section:
    """Money, energy, interruptions."""
    estimates = [each.estimate for each in found.chips]
    pictures = drawn(charts.cost(found.comparison)) if found.comparison is not None else ()
    words = tuple(each for est in estimates for each in job_in_words(est))
    return Section(
        "cost", "Cost, energy and interruptions", words, pictures, tuple(g for e in estimates for g in cost_of(e))
    )


def job_in_words(est: Estimate) -> tuple[str, ...]:
    """Interruptions of the run."""
    if est.training is None:
        return ()
    run = est.training.job
    return (
        f"{est.chip}: goodput {percent(est.training.goodput)}, an interruption every "
        f"{units.seconds(run.between_interruptions_s)}, a checkpoint every {units.seconds(run.checkpoint_interval_s)}, "
        f"{counted(run.spare_chips, 'spare chip')}.",
    )


def cost_of(est: Estimate) -> Iterator[Grid]:
    """Money, power, energy and carbon of one chip's run and serving."""
    rows: list[tuple[Cell, ...]] = []
    if est.training:
        run, done = est.training.job, est.training
        rows.append(("the run, rented", f"{units.count(run.rent_usd)} USD", run.money.rent_basis))
        rows.append(("the run, on one's own chips", f"{units.count(run.own_usd)} USD", run.money.own_basis))
        if run.power_mw is not None and done.energy_mwh is not None and run.carbon_t is not None:
            rows.append(("power at the meter", f"{short(run.power_mw)} MW", "host, network and cooling counted in"))
            rows.append(("energy", f"{short(done.energy_mwh)} MWh", ""))
            rows.append(("CO2", f"{short(run.carbon_t)} t", ""))
    if est.serving and est.serving.cost_usd_per_million_output_tokens is not None:
        price = short(est.serving.cost_usd_per_million_output_tokens)
        rows.append(("a million output tokens, prompts counted in", f"{price} USD", "rented, all chips busy"))
    if rows:
        yield Grid(est.chip, ("what", "how much", "basis"), tuple(rows))


def rules(found: Report) -> Section:
    """Export rules on every chip."""
    rows = []
    words = []
    for each in found.chips:
        result = each.rules
        density = "unknown" if result.pd is None else short(result.pd)
        words.append(f"{result.chip}: TPP {result.tpp:,.0f}, performance density {density}, judged as of {result.on}.")
        for one in result.verdicts:
            verdict = (
                "not about it"
                if not one.applies
                else "open"
                if one.caught is None
                else "caught"
                if one.caught
                else "not caught"
            )
            rows.append((result.chip, one.rule, verdict, one.clause, one.margin, one.consequence, one.source))
    columns = ("chip", "rule", "verdict", "clause", "margin", "consequence", "source")
    items = found.chips[0].rules.notes
    return Section("rules", "Export rules", tuple(words), (), (Grid("Verdicts", columns, tuple(rows)),), items)


# -- what it rests on


def assumptions(estimates: list[Estimate]) -> Section:
    """What the answer rests on, with sources; what is the same for all chips once."""
    rows: dict[tuple[str, str, str, str, str], list[str]] = {}
    for est in estimates:
        for each in (*(est.training.movers if est.training else ()), *est.assumptions):
            between = ""
            if each.low is not None and each.high is not None and each.low != each.high:
                between = f"{scalar(each.low)} to {scalar(each.high)}"
            key = (each.name, scalar(each.value), between, each.kind, each.source)
            whose = rows.setdefault(key, [])
            if est.chip not in whose:
                whose.append(est.chip)
    several = len(estimates) > 1
    columns = (*(("chip",) if several else ()), "name", "value", "range", "kind", "source")
    cells = tuple(
        (*(("all" if len(whose) == len(estimates) else ", ".join(whose),) if several else ()), *key)
        for key, whose in rows.items()
    )
    grid = Grid("Assumptions", columns, cells)
    calibrated = tuple(dict.fromkeys(each for est in estimates for each in est.calibration))
    return Section("assumptions", "Assumptions and sources", (), (), (grid,) if rows else (), calibrated)


def warnings(estimates: list[Estimate], reasons: dict[str, str]) -> Section:
    """What a reader should be careful about, and what has no answer."""
    said = dict.fromkeys(each for est in estimates for each in est.warnings)
    missing = [f"no answer for {name}: {reason}" for name, reason in reasons.items()]
    return Section("warnings", "Warnings", items=(*said, *missing))


def commands(found: Report) -> Section:
    """The commands that give the same numbers."""
    words = (
        f"With clustercast {found.version} these commands print the same numbers; --json prints them for programs.",
    )
    return Section("commands", "Reproduce it", words, commands=found.commands)
