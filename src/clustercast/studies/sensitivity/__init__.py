"""What an answer depends on: each number alone, screened together, and by its share of the answer's variance."""

from clustercast.studies.sensitivity.result import Sensitivity
from clustercast.studies.sensitivity.study import SensitivityAsked, sensitivity

__all__ = ["Sensitivity", "SensitivityAsked", "sensitivity"]
