"""`studies/query/sandbox.py`: a query reads the points and nothing else, writes nothing, and ends."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sweep_folder

from clustercast.errors import ClustercastError, NoAnswer, WrongInput
from clustercast.studies.query import QueryAsked, query
from clustercast.studies.query.result import QueryResult

ENDLESS = "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT count(*) FROM r"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = sweep_folder.write(tmp_path_factory.mktemp("sweep") / "out", sweep_folder.by_hand())
    before = sorted(path.rglob("*"))
    yield path
    assert sorted(path.rglob("*")) == before  # no question leaves anything there


def ask(folder: Path, sql: str, timeout_s: float = 60.0, memory_bytes: float = 2.0**29) -> QueryResult:
    return query(QueryAsked(folder, sql, timeout_s=timeout_s, memory_bytes=memory_bytes))


def refused(folder: Path, sql: str, timeout_s: float = 60.0) -> ClustercastError:
    with pytest.raises(ClustercastError) as caught:
        ask(folder, sql, timeout_s)
    assert "\n" not in caught.value.message
    return caught.value


def test_sql_sees_every_point_of_every_part(folder: Path) -> None:
    found = ask(folder, "SELECT count(*) AS n, min(point), max(point), count(DISTINCT chip) FROM points")
    assert found.rows == ((96, 0, 95, 2),)
    assert found.columns[0] == "n"
    assert (found.parts, found.n_parts, found.complete, found.n_points) == (2, 2, True, 96)


@pytest.mark.parametrize(
    "sql",
    [
        "SUMMARIZE points",
        "DESCRIBE points",
        "FROM points LIMIT 1",
        "SELECT 1;",
        "/* a word */ SELECT 1 -- and one more",
        "WITH two AS (SELECT * FROM points WHERE tp = 2) SELECT count(*) FROM two",
        "SELECT * FROM points PIVOT (min(days) FOR chip IN ('h20-96gb'))",
        "SELECT unnest([1, 2]), {'a': [1.5]}, DATE '2026-01-01', 1::HUGEINT, NULL FROM range(2)",
    ],
)
def test_whatever_only_reads_the_points_is_answered(folder: Path, sql: str) -> None:
    assert ask(folder, sql).n_rows >= 1


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_parquet('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "FROM '{file}'",
        "SELECT (SELECT count(*) FROM read_blob('{file}'))",
        "FROM query('SELECT 1')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "FROM arrow_scan(1, 2, 3)",
        'FROM "system".main.pandas_scan(1)',
        "SELECT 1 WHERE EXISTS (FROM python_arrow_scan(1, 2, 3))",
        "FROM duckdb_settings()",
        "COPY points TO '{folder}/stolen.csv'",
        "COPY (SELECT 1) TO '{folder}/stolen.parquet'",
        "EXPORT DATABASE '{folder}/stolen'",
        "ATTACH '{folder}/stolen.db'",
        "INSTALL httpfs",
        "LOAD json",
        "PRAGMA database_list",
        "SET threads = 1",
        "SET enable_external_access = true",
        "CREATE TABLE kept AS SELECT 1",
        "CREATE MACRO f() AS 1",
        "DELETE FROM points",
        "DROP VIEW points",
        "CALL pragma_version()",
        "VACUUM",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY points TO '{folder}/stolen.csv'",
        "",
        "-- nothing",
        ";",
        "SELECT $1",
        "SELECT '\ud800'",
        "SELECT " + "(" * 3000 + "1" + ")" * 3000,
        "SELECT " + "[" * 900 + "1" + "]" * 900,
    ],
)
def test_whatever_does_more_is_refused(folder: Path, sql: str) -> None:
    said = refused(folder, sql.replace("{file}", str(folder / "study.yaml")).replace("{folder}", str(folder)))
    assert isinstance(said, WrongInput)


def test_a_python_variable_is_no_table(folder: Path) -> None:
    mine = pq.read_table(folder / "parts/part-000000.parquet")
    assert mine.num_rows == 48
    assert "mine does not exist" in refused(folder, "SELECT * FROM mine").message


def test_what_is_wrong_is_said_in_one_line_with_a_guess(folder: Path) -> None:
    said = refused(folder, "SELECT dys FROM points")
    assert said.message == 'query: referenced column "dys" not found in FROM clause!'
    assert said.hint == "did you mean days?"
    assert refused(folder, "SELECT chip.hbm_bandwidth FROM points").hint == (
        'write "chip.hbm_bandwidth" in double quotes'
    )
    assert refused(folder, "SELECT days FROM point").hint == "the table is points"
    assert refused(folder, "SELECT nothing_like_it FROM points").hint == (
        "columns: point, chip, model, count, chip.hbm_bandwidth, tp, status, days, rent_usd; "
        "text stands in single quotes: 'nothing_like_it'"
    )
    assert refused(folder, "SELECT days + chip FROM points").message.startswith("query: no function matches")
    assert refused(folder, "SELEC 1").message == 'query: syntax error at or near "SELEC"'


@pytest.mark.parametrize("sql", [ENDLESS, "SELECT * FROM range(1000000000000)"])
def test_an_endless_query_is_ended(folder: Path, sql: str) -> None:
    said = refused(folder, sql, timeout_s=0.3)
    assert isinstance(said, NoAnswer)
    assert (said.message, said.hint) == ("query: took longer than 0.3 s", "--timeout gives it longer")


def test_more_memory_than_allowed_is_an_answer_too(folder: Path) -> None:
    with pytest.raises(NoAnswer, match=r"needs more than 0\.0625 GiB of memory"):
        ask(folder, "SELECT range AS x FROM range(100000000) ORDER BY hash(x)", memory_bytes=2.0**26)


def test_a_huge_answer_is_counted_and_not_kept(folder: Path) -> None:
    found = ask(folder, "SELECT a.range FROM range(1000000) a")
    assert (found.n_rows, len(found.rows)) == (1_000_000, 10_000)


def test_a_changed_page_names_its_part(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand())
    path = folder / "parts/part-000001.parquet"
    content = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(0).column(7)  # days
    content[place.data_page_offset + place.total_compressed_size - 8] ^= 0xFF
    path.write_bytes(content)
    assert ask(folder, "SELECT count(*) FROM points").rows == ((96,),)  # that column is not read
    said = refused(folder, "SELECT sum(days) FROM points")
    assert "part-000001.parquet is broken" in said.message
    assert "checksum" in said.message.lower()
    assert "repair" in (said.hint or "")


def test_a_part_that_is_cut_off_names_itself(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand())
    path = folder / "parts/part-000001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert "part 1 has 100 bytes instead of" in refused(folder, "SELECT 1").message


def test_a_broken_foot_names_its_part(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand())
    for number in (0, 1):
        path = folder / f"parts/part-00000{number}.parquet"
        whole = path.read_bytes()
        path.write_bytes(whole[:-20] + bytes(20))
        said = refused(folder, "SELECT sum(days) FROM points")
        assert f"part-00000{number}.parquet is broken" in said.message
        path.write_bytes(whole)


def test_an_unfinished_sweep_is_asked_with_a_warning(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand(), n_parts=4, left_out=(1, 3))
    found = ask(folder, "SELECT count(*) FROM points")
    assert found.rows == ((48,),)
    assert (found.parts, found.n_parts, found.complete) == (2, 4, False)
    assert found.warnings == ("the sweep is not finished: this is of 2 of its 4 parts",)


def test_a_folder_without_points_says_so(tmp_path: Path) -> None:
    folder = sweep_folder.write(tmp_path / "out", sweep_folder.by_hand(), left_out=(0, 1))
    with pytest.raises(NoAnswer, match="none of the 2 parts is finished"):
        ask(folder, "SELECT 1")
    with pytest.raises(WrongInput, match="holds no sweep"):
        ask(tmp_path, "SELECT 1")
    with pytest.raises(WrongInput, match="there is no folder"):
        ask(tmp_path / "nowhere", "SELECT 1")
