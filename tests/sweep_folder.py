"""A sweep's folder made by hand: few points with figures that a reader can check."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from clustercast.studies.sweep import store

STUDY = b"""schema: clustercast.study/1
title: Two chips by hand
about: training
axes: {chip: [h20-96gb, h100-sxm5-80gb]}
outputs: [days]
"""
CHIPS = ("h20-96gb", "h100-sxm5-80gb")
COUNTS = (64, 128, 256, 512)
BANDWIDTHS = (2e12, 4e12, 8e12)
MODELS = ("llama-3.1-8b", "llama-3.1-70b")


def write(
    folder: Path, columns: Mapping[str, Sequence[Any]], *, n_parts: int = 2, left_out: Sequence[int] = (),
    study: bytes = STUDY,
) -> Path:  # fmt: skip
    """A folder of these columns in so many parts; text is encoded by dictionary, as the engine does."""
    n = len(next(iter(columns.values())))
    size = -(-n // n_parts)
    of_nothing = hashlib.sha256(b"{}\n").hexdigest()
    identity = {
        "schema": store.SCHEMA, "study": store.study_hash(study), "code": of_nothing, "data": of_nothing,
        "versions": {"clustercast": "0.0.0"}, "n_points": n, "part_size": size, "n_parts": n_parts,
        "files": {"code": {}, "data": {}},
    }  # fmt: skip
    (folder / "parts").mkdir(parents=True)
    (folder / "identity.json").write_text(json.dumps(identity), encoding="utf-8")
    (folder / "study.yaml").write_bytes(study)
    run = store.run_of(identity)
    for part in range(n_parts):
        if part in left_out:
            continue
        first, last = part * size, min((part + 1) * size, n)
        table = pa.table({name: column(list(values[first:last])) for name, values in columns.items()})
        counts = {"considered": last - first, "outside": 0, "illegal": 0, "too_large": 0, "kept": last - first}
        store.write_part(folder, run, part, (first, last), table, counts)
    return folder


def column(values: list[Any]) -> pa.Array:
    made = pa.array(values)
    return made.dictionary_encode() if pa.types.is_string(made.type) else made


def by_hand() -> dict[str, list[Any]]:
    """Points by chip, model, count, bandwidth, TP.

    days = work / count x slowness, work 6,400 of the small model and 64,000 of the large one; the H100 takes 1, the
    H20 takes 8 TB/s over its bandwidth, halved: 2 at 2 TB/s, 1 at 4, 0.5 at 8 ... so that they are even at 4 TB/s.
    TP 2 takes 1.5 times as long below 256 chips and 0.5 times from there on. TP 1 of the large model does not fit.
    rent_usd = days x count x 24 x 2 (H100) or 1 (H20).
    """
    rows: list[dict[str, Any]] = []
    for chip in CHIPS:
        for model in MODELS:
            for count in COUNTS:
                for bandwidth in BANDWIDTHS:
                    for tp in (1, 2):
                        slow = 4e12 / bandwidth if chip == CHIPS[0] else 1.0
                        work = 6_400.0 if model == MODELS[0] else 64_000.0
                        days = work / count * slow * (1.0 if tp == 1 else 1.5 if count < 256 else 0.5)
                        fits = not (tp == 1 and model == MODELS[1])
                        rows.append(
                            {
                                "point": len(rows), "chip": chip, "model": model, "count": count,
                                "chip.hbm_bandwidth": bandwidth, "tp": tp,
                                "status": "ok" if fits else "does not fit",
                                "days": days if fits else None,
                                "rent_usd": days * count * 24.0 * (2.0 if chip == CHIPS[1] else 1.0) if fits else None,
                            }
                        )  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}
