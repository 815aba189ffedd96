"""Is my number normal? A measured time against what the model expects, and what would explain a difference."""

from clustercast.studies.check.result import Cause, Check, Figure
from clustercast.studies.check.run import CheckAsked, check

__all__ = ["Cause", "Check", "CheckAsked", "Figure", "check"]
