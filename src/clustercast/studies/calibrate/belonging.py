"""What one group of points belongs to, and what the catalogue knows of it: the input of one fit."""

from collections.abc import Hashable
from typing import NamedTuple

from clustercast.studies.calibrate.fit import Parameter, Predict


class Covers(NamedTuple):
    """What measured steps are like: a calibration vouches for no others."""

    kinds: tuple[str, ...]  # dense, mixture
    precisions: tuple[str, ...]
    least_chips: int
    most_chips: int


class Task(NamedTuple):
    """Points of one chip and one link, number format, stack or engine, ready to fit."""

    kind: str
    chip: str
    chip_file: str | None  # of a chip that is not in the catalogue
    belongs_to: str
    parameters: tuple[Parameter, ...]
    predict: Predict
    measured_s: tuple[float, ...]
    configurations: tuple[Hashable, ...]
    where: tuple[str, ...]  # file and line of every point
    aliases: dict[str, str]  # further constants that take the value of a fitted one
    remarks: tuple[str, ...]
    covers: "Covers | None" = None
