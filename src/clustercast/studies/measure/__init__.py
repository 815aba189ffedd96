"""Matmuls, attention, memory and collectives on one's own machine, in a file that `calibrate` takes."""

from clustercast.studies.measure.result import Measurement
from clustercast.studies.measure.run import MeasureAsked, measure

__all__ = ["MeasureAsked", "Measurement", "measure"]
