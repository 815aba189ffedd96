"""What no fit mends: too few points, repeats that contradict one another, times that no hardware reaches."""

import statistics
from collections.abc import Hashable, Sequence

from clustercast.errors import NoAnswer
from clustercast.studies.calibrate.fit import setting, settings

MOST_NAMED = 5
WORDS = {"collectives": "collectives", "matmuls": "matmuls", "steps": "training steps", "serving": "serving points"}


def too_few(kind: str, n: int, what: str) -> None:
    """Raise NoAnswer for fewer different points than a kind of measurement needs."""
    least = int(settings("least_points")[kind])
    if n < least:
        raise NoAnswer(
            f"too little data: {n} different {what}, at least {least} are needed",
            numbers={"n": n, "needed": least},
        )


def too_narrow(sizes: Sequence[float]) -> None:
    """Raise NoAnswer for messages that are all of about one size."""
    distinct, least = len(set(sizes)), int(setting("least_sizes"))
    span, needed = max(sizes) / min(sizes), setting("least_span")
    if distinct < least or span < needed:
        raise NoAnswer(
            f"too little data: {distinct} message size{'s' * (distinct != 1)} over a span of {span:.3g}, at least "
            f"{least} sizes over a span of {needed:g} are needed to tell the start of a collective from its bandwidth",
            hint="run nccl-tests with -b 1K -e 1G -f 2",
            numbers={"n_sizes": distinct, "needed_sizes": least, "span": span, "needed_span": needed},
        )


def contradictory(configurations: Sequence[Hashable], seconds: Sequence[float], where: Sequence[str]) -> None:
    """Raise NoAnswer where one configuration was measured with times that differ too much."""
    most = setting("repeat_ratio")
    seen: dict[Hashable, list[int]] = {}
    for place, name in enumerate(configurations):
        seen.setdefault(name, []).append(place)
    for places in seen.values():
        slow, fast = max(places, key=seconds.__getitem__), min(places, key=seconds.__getitem__)
        ratio = seconds[slow] / seconds[fast]
        if ratio > most:
            raise NoAnswer(
                f"the measurements contradict one another: {where[slow]} and {where[fast]} are the same configuration "
                f"and differ by {ratio:.2f}x",
                hint="leave out what was not measured in the same state, or name what differs in its own column",
                numbers={"ratio": ratio, "most": most, "slow_s": seconds[slow], "fast_s": seconds[fast]},
            )


def too_far_off(kind: str, chip: str, belongs_to: str, modelled_over_measured: Sequence[float]) -> None:
    """Raise NoAnswer for points that are nothing like what the catalogue says of such a setup."""
    ratio, most = statistics.median(modelled_over_measured), float(settings("most_off")[kind])
    if not 1.0 / most <= ratio <= most:
        times, how = (1.0 / ratio, "slower") if ratio < 1.0 else (ratio, "faster")
        raise NoAnswer(
            f"these {WORDS[kind]} are {times:.3g} times {how} than the catalogue has {belongs_to} on {chip}, further "
            f"off than anything published ({most:g} times)",
            hint="check the unit of value, the number of chips, the plan and the shape, and that chip and software are "
            "the stated ones",
            numbers={"ratio": 1.0 / ratio, "most": most, "n": len(modelled_over_measured)},
        )


def worse(what: str, before: float, after: float, left_out: float | None) -> str:
    """What makes a calibration worse than the catalogue, in a sentence; nothing where it is better.

    before, after, left_out  median errors with the catalogue's constants, with the fitted ones, and with those of a
                             fit that has not seen the point

    >>> worse("nemo on h100", 0.04, 0.02, 0.05)
    'nemo on h100: a fit describes points that it has not seen to 5.0 %, the catalogue to 4.0 %'
    """
    enough = max(before, setting("least_noise"))  # closer than that is chance
    said = ""
    if after > enough:
        said = f"{what}: the fit describes its own points to {after:.1%}, the catalogue to {before:.1%}"
    elif left_out is not None and left_out > enough:
        said = f"{what}: a fit describes points that it has not seen to {left_out:.1%}, the catalogue to {before:.1%}"
    return said.replace("%", " %")


def impossible(what: str, shares: Sequence[float], where: Sequence[str], hint: str) -> None:
    """Raise NoAnswer for points that are faster than the hardware.

    shares  the least time that the datasheet allows, over the measured time
    """
    most = setting("faster_than_possible")
    wrong = sorted((place for place, share in enumerate(shares) if share > most), key=lambda place: -shares[place])
    if wrong:
        named = ", ".join(f"{where[place]} ({shares[place]:.2f}x)" for place in wrong[:MOST_NAMED])
        more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise NoAnswer(
            f"physically impossible: {named}{more}: faster than {what}",
            hint=hint,
            numbers={"n_impossible": len(wrong), "largest_share": shares[wrong[0]], "most": most},
        )
