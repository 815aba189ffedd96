"""`clustercast size`: the fewest chips, as table and JSON."""

from command_line import Cli

TRAIN = ("size", "--train", "--model", "8B", "--days", "20", "--tokens", "200B", "--plan", "tp=1,pp=1,cp=1")
SERVE = ("size", "--serve", "--model", "8B", "--rate", "20", "--isl", "1024", "--osl", "128", "--plan", "tp=1,pp=1")


def test_training_as_json(cli: Cli) -> None:
    done = cli(*TRAIN, "--chip", "h20,h100", "--set", "h20.price_rent=1USD/h", "--json")
    assert (done.status, done.err) == (0, "")
    document = done.document
    assert document["schema"] == "clustercast.size/1"
    assert document["target"]["days"] == 20
    h20, h100 = document["rows"]
    assert h20["count"] > h100["count"]
    assert h20["usd_per_chip_hour"] == 1.0
    for row in (h20, h100):
        assert row["count_low"] <= row["count"] <= row["count_high"]
        assert row["days"] <= 20
        assert row["plan"]["tp"] == 1


def test_serving_as_json(cli: Cli) -> None:
    document = cli(*SERVE, "--chip", "h100", "--json").document
    (row,) = document["rows"]
    assert document["purpose"] == "serve"
    assert row["ttft_ms"] <= document["target"]["ttft_ms"] == 2000
    assert row["tpot_ms"] <= document["target"]["tpot_ms"] == 50
    assert row["replicas"] == row["count"]


def test_the_table_fits_the_page_and_names_chips_without_an_answer(cli: Cli) -> None:
    done = cli("size", "--train", "--model", "8B", "--days", "3", "--tokens", "200B", "--plan", "tp=1,pp=1,cp=1,dp=64",
               "--chip", "v100,b200")  # fmt: skip
    lines = done.out.splitlines()
    assert (done.status, done.err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert "no number of chips is enough" in done.out


def test_what_cannot_be_is_refused_in_numbers(cli: Cli) -> None:
    done = cli(*TRAIN[:5], "0.001", *TRAIN[6:], "--chip", "h100", "--json")
    assert (done.status, done.document["exit"]) == (3, 3)
    assert done.document["numbers"]["least_days"] > 0.001
    done = cli(*SERVE, "--chip", "h100", "--tpot", "1us", "--json")
    assert done.status == 3


def test_half_a_question_is_refused(cli: Cli) -> None:
    assert "say --train or --serve" in cli("size", "--chip", "h100", "--model", "8B").err
    assert "--days is missing" in cli("size", "--train", "--chip", "h100", "--model", "8B").err
    assert "--rate is for --serve" in cli(*TRAIN, "--chip", "h100", "--rate", "3").err
    assert cli(*TRAIN, "--chip", "").status == 2
    assert "--rate is for --serve" in cli("size", "--train", "--chip", "h100", "--model", "8B", "--rate", "3").err
    assert "--chip is missing" in cli(*SERVE).err
    assert "--decode-chip is missing" in cli(*SERVE, "--prefill-chip", "h100").err


def test_pools_apart_are_a_row(cli: Cli) -> None:
    asked = (*SERVE[:-2], "--prefill-chip", "h100", "--decode-chip", "h20", "--set", "decode-chip.price_rent=1USD/h")
    document = cli(*asked, "--json").document
    (row,) = document["rows"]
    assert row["chip"] == "h100-sxm5-80gb + h20-96gb"
    assert row["prefill_count"] + row["decode_count"] == row["count"]
    done = cli(*asked)
    assert max(map(len, done.out.splitlines())) <= 80
