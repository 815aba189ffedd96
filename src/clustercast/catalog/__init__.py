"""Chips, fabrics and models: YAML to profiles in base units, found by name."""

from clustercast.catalog.chips import ChipProfile
from clustercast.catalog.fabrics import FabricProfile, TierProfile
from clustercast.catalog.find import (
    chip_names,
    fabric_names,
    find_chip,
    find_fabric,
    find_model,
    model_names,
)
from clustercast.catalog.models import ModelProfile
from clustercast.catalog.quantity import Quantity

__all__ = [
    "ChipProfile",
    "FabricProfile",
    "ModelProfile",
    "Quantity",
    "TierProfile",
    "chip_names",
    "fabric_names",
    "find_chip",
    "find_fabric",
    "find_model",
    "model_names",
]
