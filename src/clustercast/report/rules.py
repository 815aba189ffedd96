"""What the export rules say of a chip, in sentences."""

from clustercast import units
from clustercast.report.layout import Block, short, wrap
from clustercast.studies.rules import RulesResult, Verdict

WORDS = {True: "caught", False: "not caught", None: "open"}


def verdicts(result: RulesResult) -> list[Block]:
    """The verdicts first, then what was measured."""
    blocks: list[Block] = []
    for verdict in result.verdicts:
        blocks += wrap(sentence(result, verdict), style="bold")
        blocks += wrap(f"margin: {verdict.margin}", "  ", "    ")
        if verdict.consequence != "none":
            blocks += wrap(f"consequence: {verdict.consequence}", "  ", "    ")
        if verdict.caught_low != verdict.caught_high:
            ends = f"{WORDS[verdict.caught_low]} at the low end, {WORDS[verdict.caught_high]} at the high end"
            blocks += wrap(f"not sure: over the ranges of peak and die area it is {ends}", "  ", "    ")
        blocks += wrap(f"in force from {verdict.effective}; {verdict.source}", "  ", "    ")
    if not result.verdicts:
        blocks += wrap(f"No rule that is known here was in force on {result.on}.")
    formats = ", ".join(result.tpp_formats)
    tpp = f"TPP {result.tpp:,.6g}{_range(result.tpp_low, result.tpp_high)}, set by {formats}"
    if result.pd is None:
        density = "PD unknown: no die area is known"
    else:
        density = (
            f"PD {result.pd:.2f}{_range(result.pd_low, result.pd_high)} over {short(result.die_area_mm2 or 0)} mm2"
        )
    io = "I/O unknown" if result.io_bytes_per_s is None else f"I/O {units.si(result.io_bytes_per_s, 'B/s')} both ways"
    memory = f"memory {units.si(result.dram_bytes_per_s, 'B/s')}"
    sold = "for data centres" if result.data_centre else "not for data centres"
    blocks += ["", *wrap(f"{result.chip_name}, {sold}: {tpp}; {density}; {io}; {memory}")]
    blocks += wrap(f"Not evaluated: {'; '.join(result.not_evaluated)}.")
    for note in result.notes:
        blocks += wrap(f"Note: {note}.")
    return blocks


def sentence(result: RulesResult, verdict: Verdict) -> str:
    """One verdict as a sentence."""
    if verdict.caught is None:
        return f"Whether {verdict.rule} catches {result.chip} is open ({verdict.clause})."
    if verdict.caught:
        return f"{verdict.rule} catches {result.chip}: {verdict.clause}."
    exempt = f" ({verdict.clause})" if verdict.clause else ""
    return f"{verdict.rule} does not catch {result.chip}{exempt}."


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None or abs(high - low) <= 1e-9 * high:
        return ""
    return f" ({short(low)}–{short(high)})"
