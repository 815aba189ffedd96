"""Pictures of results as Vega-Lite specs: plain dicts that vl-convert or a browser draws.

Every function takes a result of the package (or its JSON document, as `--json` prints it) and gives a dict:

    barrel(estimate | why, ...)        what ten per cent more of each resource buys, a row of panels per chip
    waterfall(estimate, "training")    where a step's time goes: "training", "prefill" or "decode"; None without that
                                       half
    comparison(comparison)             speed of one card over the reference's, with the interval; None for one chip
    cost(comparison)                   what the training run costs on each chip
    plans(plan ranking)                step time against memory: the fastest plans, and the Pareto set
    tornado(sensitivity)               the answer with each number alone at both ends of its range
    crossover(crossover, "decode")     where one chip serves faster than another: "decode" or "prefill"
    roofline(operations)               operations of the work under the chip's roof (estimates/operations.py)
    stages(stage memory)               memory of each pipeline stage (estimates/stages.py)
    pipeline(timeline)                 forward and backward blocks per stage (estimates/timeline.py)

None stands for "nothing to draw". `title` of the spec has a subtitle with the sources, `description` is the sentence
for a screen reader, `config` the light look; `theme.dark(spec)` is the same for a dark page. No name of a result ever
becomes an expression or a field: names are data and titles only.
"""

from clustercast.report.charts.barrel import barrel
from clustercast.report.charts.crossover import crossover
from clustercast.report.charts.pipeline import pipeline
from clustercast.report.charts.plans import plans
from clustercast.report.charts.roofline import roofline
from clustercast.report.charts.side_by_side import comparison, cost
from clustercast.report.charts.stages import stages
from clustercast.report.charts.theme import dark
from clustercast.report.charts.tornado import tornado
from clustercast.report.charts.waterfall import waterfall

__all__ = [
    "barrel",
    "comparison",
    "cost",
    "crossover",
    "dark",
    "pipeline",
    "plans",
    "roofline",
    "stages",
    "tornado",
    "waterfall",
]
