"""`clustercast plan` ranks plans and says what it looked at."""

import itertools
import math

from command_line import Cli

QUESTION = ("plan", "--chip", "h100", "--model", "8B", "--count", "16", "--plan", "cp=1,mb=1")


def test_the_ranking_is_in_order_and_the_front_is_one(cli: Cli) -> None:
    done = cli(*QUESTION, "--top", "3", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.plan/1"
    steps = [plan["step_s"] for plan in document["plans"]]
    assert len(steps) == 3
    assert steps == sorted(steps)
    front = [(plan["step_s"], plan["memory_bytes"]) for plan in document["pareto"]]
    assert front[0][0] == steps[0]
    for (step_s, held), (slower_s, less) in itertools.pairwise(front):
        assert slower_s >= step_s
        assert less < held
    assert document["n_considered"] >= document["n_feasible"] >= 3
    assert document["n_considered"] == document["n_feasible"] + sum(document["rejected"].values())
    for plan in document["plans"] + document["pareto"]:
        assert math.isclose(sum(plan["time_s"].values()), plan["step_s"], rel_tol=1e-9)
        assert 0 < plan["memory_fraction"] <= 1
        assert plan["plan"]["cp"] == 1


def test_the_table_fits_the_page(cli: Cli) -> None:
    done = cli(*QUESTION)
    lines = done.out.splitlines()
    assert (done.status, done.err) == (0, "")
    assert lines[0].startswith("16 h100-sxm5-80gb train dense-8b on ")
    assert max(map(len, lines)) <= 80
    assert "plans considered in" in done.out
