"""What no fit mends: too few points, repeats that contradict one another, times that no hardware reaches."""

from collections.abc import Hashable, Sequence

from clustercast.errors import NoAnswer
from clustercast.studies.calibrate.fit import setting, settings

MOST_NAMED = 5


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
