"""A file of `clustercast measure` as the tables and documents that the other readers take."""

import json
from typing import Any, Final

from clustercast.studies.calibrate.files import COLLECTIVES, MATMULS, MEASURED, Source, document_of
from clustercast.studies.calibrate.nccl import OPERATIONS, bus_ratio

MOST_POINTS: Final = 100_000
MOST_S: Final = 1e6


def parts(found: Source) -> list[Source]:
    """The matmuls and collectives of a file of `measure`, each as a file of its own; any other file as it is.

    Attention and memory stay in the file: no constant of the catalogue is fitted to them.

    Raises WrongInput for a file that is broken or holds neither.
    """
    if found.kind != MEASURED:
        return [found]
    document = document_of(found)
    points = document.get("points")
    if not isinstance(points, list) or len(points) > MOST_POINTS:
        raise found.wrong("points: expected a list")
    made: dict[str, list[tuple[dict[str, Any], float]]] = {}
    for place, point in enumerate(points):
        kind, shape, seconds = _point(found, place, point)
        made.setdefault(kind, []).append((shape, seconds))
    sources = []
    if "matmul" in made:
        sources.append(found._replace(kind=MATMULS, text=_matmuls(made["matmul"])))
    for kind in OPERATIONS:
        if kind in made:
            hosts = document.get("hosts")
            text = _collective(found, kind, made[kind], hosts, str(document.get("device", ""))[:100])
            sources.append(found._replace(kind=COLLECTIVES, text=text))
    if not sources:
        raise found.wrong("holds neither matmuls nor collectives")
    return sources


def _point(found: Source, place: int, point: Any) -> tuple[str, dict[str, Any], float]:
    """Kind, shape and seconds of one point."""
    if not isinstance(point, dict) or not isinstance(point.get("kind"), str):
        raise found.wrong(f"points.{place}: expected a mapping with a kind")
    kind, seconds, shape = point["kind"], point.get("seconds"), point.get("shape")
    wanted = ("m", "n", "k") if kind == "matmul" else ("bytes",) if kind in OPERATIONS else ()
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0.0 < seconds < MOST_S:
        raise found.wrong(f"points.{place}.seconds: expected a positive number, got {str(seconds)[:40]!r}")
    if not isinstance(shape, dict) or any(type(shape.get(name)) is not int for name in wanted):
        raise found.wrong(f"points.{place}.shape: expected whole numbers {', '.join(wanted)}")
    return kind, shape | {"dtype": str(point.get("number_format", ""))[:30]}, float(seconds)


def _matmuls(points: list[tuple[dict[str, Any], float]]) -> str:
    rows = [f"{each['m']},{each['n']},{each['k']},{_cell(each['dtype'])},{1e6 * s:.9g}" for each, s in points]
    return "\n".join(["m,n,k,dtype,time_us", *rows]) + "\n"


def _cell(text: str) -> str:
    return "".join(character for character in text if character.isalnum() or character in "_-.")


def _collective(found: Source, kind: str, points: list[tuple[dict[str, Any], float]], hosts: Any, device: str) -> str:
    """The document that nccl-tests would have written."""
    if not isinstance(hosts, list) or len(hosts) < 2 or not all(isinstance(host, str) for host in hosts):
        raise found.wrong("hosts: expected the host of every rank, two ranks or more")
    ratio = bus_ratio(OPERATIONS[kind], len(hosts))
    results = []
    for shape, seconds in points:
        rate = shape["bytes"] / seconds / 1e9
        run = {"time": 1e6 * seconds, "alg_bw": rate, "bus_bw": rate * ratio, "nwrong": 0}
        results.append({"size": shape["bytes"], "redop": "sum", "root": "-1", "out_of_place": run})
    devices = [{"rank": n, "group": 0, "hostname": host, "device_info": device} for n, host in enumerate(hosts)]
    document = {
        "args": [f"{kind}_perf"],
        "config": {"nthreads": 1, "ngpus": 1, "devices": devices},
        "results": results,
    }
    return json.dumps(document)
