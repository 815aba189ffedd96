"""Which assumptions move the answer most: each one at its low and at its high end, at the same plan."""

from clustercast import records
from clustercast.catalog import constants
from clustercast.catalog.constants import Constant
from clustercast.estimates.question import Question
from clustercast.estimates.ranges import moved, training_parameters
from clustercast.estimates.result import Assumption
from clustercast.physics.job import goodput as goodput_shares
from clustercast.physics.training import training_step

RELIABILITY = ("chip_mtbf_s", "checkpoint_save_s", "restart_s", "checkpoint_every_s")
LEAST_MOVE = 0.002  # of the days: below it an assumption is not worth a line


def movers(question: Question, plan: records.Plan, days: float, goodput: float) -> list[Assumption]:
    """The assumptions behind the training days that have a range, those that move the days most first.

    Each is tried alone at both ends of its range at the same plan.
    """
    setting = question.setting()
    now_s = training_step(setting, plan).step_s
    found: list[tuple[float, Assumption]] = []

    def keep(name: str, number: Constant, ratios: list[float]) -> None:
        ends = sorted(days * ratio for ratio in ratios)
        swing = (ends[1] - ends[0]) / days
        if swing > LEAST_MOVE:
            text = number.note or number.source
            said = Assumption(name, number.value, number.kind, text, number.low, number.high, ends[0], ends[1])
            found.append((swing, said))

    for each in training_parameters(question, setting):
        if each.ranges:
            ends = [moved(setting, each, end) for end in (each.number.low, each.number.high)]
            keep(each.label, each.number, [training_step(end, plan).step_s / now_s for end in ends])
    usual = {name: constants.default("reliability", name) for name in RELIABILITY}
    values = [usual[name].value for name in RELIABILITY]
    for at, name in enumerate(RELIABILITY):
        ratios = []
        for end in (usual[name].low, usual[name].high):
            tried_values = [*values[:at], end, *values[at + 1 :]]
            mtbf_s, save_s, restart_s, every_s = tried_values
            then = goodput_shares(float(question.n_chips), mtbf_s, save_s, restart_s, every_s, 0.0)
            ratios.append(goodput / then.fraction)
        keep(name, usual[name], ratios)
    found.sort(key=lambda pair: -pair[0])
    return [said for _, said in found]
