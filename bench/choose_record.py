"""Choose the record that the package ships from a folder of measurements.

    python bench/choose_record.py FOLDER

FOLDER holds training.csv and serving.csv in the forms of bench/record/README.md. Writes bench/record/training.csv and
bench/record/serving.csv: every chip, kind, study, engine and metric that has a complete row, and no row because of how
well it is estimated. Rows that are equally fit are taken in the order of a hash of their names, so the choice is the
same every time. Rows that the record has already stay in it.
"""

import argparse
import csv
import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from clustercast.studies.record.outcome import size_class

RECORD = Path(__file__).parent / "record"
LONGEST_NOTE = 120
SINGLE_NODE = 32  # rows of the study that has most of them, vTrain's runs on up to 8 chips
OF_A_KIND = 6  # training rows of a chip, study and kind of model
OF_A_SERVING_CHIP = 20  # setups
FEWEST_SETUPS = 270  # of serving; a setup has one to three rows
OF_A_CHIP = 2  # context rows of a chip that has no complete ones, for each metric

Row = dict[str, str]


def order(row: Row) -> str:
    """Where a row stands among equals: a hash of its name without the metric, so that a setup stays together."""
    return hashlib.sha256(setup(row).encode()).hexdigest()


def setup(row: Row) -> str:
    return row["id"].rpartition(":")[0] or row["id"]


def read(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: Iterable[Row], columns: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "notes": shortened(row["notes"])} for row in rows)


def shortened(note: str) -> str:
    return note if len(note) <= LONGEST_NOTE else note[:LONGEST_NOTE].rpartition(" ")[0] + " …"


def one_of_each(rows: list[Row], stratum: Callable[[Row], Hashable], chosen: set[str], least: int = 1) -> None:
    """Add setups until every stratum has `least` of them, or all it has."""
    parts = defaultdict(list)
    for row in rows:
        parts[stratum(row)].append(row)
    for part in parts.values():
        names = list(dict.fromkeys(setup(row) for row in sorted(part, key=order)))
        missing = least - len([name for name in names if name in chosen])
        for name in [name for name in names if name not in chosen][: max(0, missing)]:
            chosen.add(name)


def size_of(row: Row) -> str:
    return size_class(int(float(row["n_chips"] or 1)))


def _kind_of(row: Row) -> tuple[str, str, bool]:
    return row["chip"], row["study"], bool(row["experts"])


def choose_training(rows: list[Row], kept: set[str]) -> list[Row]:
    """Rows of the training form: every chip × study × kind × precision × size, and what was kept."""
    chosen = set(kept)
    complete = [row for row in rows if row["complete"] == "yes"]
    one_of_each(complete, lambda row: (*_kind_of(row), row["precision"], size_of(row)), chosen)
    one_of_each(complete, _kind_of, chosen, OF_A_KIND)
    single = [row for row in complete if "vTrain" in row["study"] and float(row["n_chips"]) <= 8]
    one_of_each(single, lambda row: row["study"], chosen, SINGLE_NODE)
    context(rows, complete, chosen)
    return [row for row in rows if row["id"] in chosen]


def choose_serving(rows: list[Row]) -> list[Row]:
    """Rows of the serving form, setup by setup: every chip × engine × mode × metric, model, format, source."""
    chosen: set[str] = set()
    complete = [row for row in rows if row["complete"] == "yes"]
    one_of_each(complete, lambda row: (row["chip"], row["engine"], row["mode"], row["metric"]), chosen)
    for stratum in (
        lambda row: row["source"],
        lambda row: (row["model"], row["chip"]),
        lambda row: (row["weight_dtype"], row["moe_dtype"], row["chip"], row["engine"]),
        lambda row: (row["mtp"] == "likely", row["mode"]),
        lambda row: (row["mode"], row["engine"], row["chip"], size_of(row)),
    ):
        one_of_each(complete, stratum, chosen)
    one_of_each(complete, lambda row: row["chip"], chosen, OF_A_SERVING_CHIP)
    least = 1
    while len(chosen) < FEWEST_SETUPS:
        least += 1
        before = set(chosen)
        one_of_each(complete, lambda row: (row["chip"], row["engine"], row["mode"], row["metric"]), chosen, least)
        if before == chosen:
            break
    context(rows, complete, chosen)
    return [row for row in rows if setup(row) in chosen]


def context(rows: list[Row], complete: list[Row], chosen: set[str]) -> None:
    """Add context rows of chips that have no complete ones."""
    judged = {row["chip"] for row in complete}
    others = [row for row in rows if row["chip"] and row["chip"] not in judged]
    one_of_each(others, lambda row: (row["chip"], row["metric"]), chosen, OF_A_CHIP)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    training, serving = read(folder / "training.csv"), read(folder / "serving.csv")
    kept = {row["id"] for row in read(RECORD / "training.csv")}
    for name, rows, chosen in (
        ("training", training, choose_training(training, kept)),
        ("serving", serving, choose_serving(serving)),
    ):
        write(RECORD / f"{name}.csv", chosen, list(rows[0]))
        print(f"{name}: {len(chosen)} of {len(rows)} rows")


if __name__ == "__main__":
    main()
