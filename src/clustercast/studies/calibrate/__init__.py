"""A user's own measurements, to the constants of the chip, link, stack or engine that they belong to."""

from clustercast.studies.calibrate.run import Calibrated, Options, calibrate

__all__ = ["Calibrated", "Options", "calibrate"]
