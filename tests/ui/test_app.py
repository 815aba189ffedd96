"""The addresses: the API, the page's files, who may ask."""

import json
from urllib.parse import quote

import pytest
from hostile_names import NAMES
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

import clustercast
from clustercast.ui import guard

ASKED = {"chip": "h20", "model": "llama-3.1-8b", "count": 8}
ESTIMATE = "/api/1/estimate"


def error_of(response: object, status: int) -> dict[str, object]:
    found: dict[str, object] = response.json()  # type: ignore[attr-defined]
    assert (response.status_code, found["schema"]) == (status, "clustercast.error/1"), found  # type: ignore[attr-defined]
    return found


def test_a_question_by_address_and_by_body_has_the_same_answer(client: TestClient) -> None:
    posted = client.post(ESTIMATE, json=ASKED)
    got = client.get(ESTIMATE, params=ASKED)
    assert posted.status_code == got.status_code == 200
    assert posted.content == got.content
    assert posted.json()["schema"] == "clustercast.estimate/1"
    assert posted.headers["cache-control"] == "no-store"


def test_every_kind_of_question_has_an_address(client: TestClient) -> None:
    pair = {"chip": "h20", "other": "h100", "model": "llama-3.1-8b", "batches": [8], "contexts": [1024]}
    held = ASKED | {"plan": "tp=1,pp=1,dp=8,zero=3,micro_batch=1,recompute=full"}
    asked = {
        "rules": {"chip": "h20"},
        "crossover": pair,
        "map": pair,
        "roofline": held,
        "plan": held | {"top": 2},
        "serve": {"chip": "h100", "model": "llama-3.1-8b", "count": 1, "plan": "tp=1,batch=8"},
        "why": held,
        "compare": {"chips": ["h20", "h100"], "model": "llama-3.1-8b", "count": 8},
        "sensitivity": held,
        "size-train": {"chips": ["h100"], "model": "llama-3.1-8b", "days": 60, "tokens": "100B"},
        "size-serve": {"chips": ["h100"], "model": "llama-3.1-8b", "rate": 5},
        "chip-file": {"chip": "h20"},
    }
    for verb, fields in asked.items():
        found = client.post(f"/api/1/{verb}", json=fields)
        assert found.status_code == 200, (verb, found.text)
        assert found.json()["schema"].startswith("clustercast.")


def test_settings_and_lists_may_stand_in_an_address(client: TestClient) -> None:
    address = "/api/1/compare?chips=h20,h100&model=llama-3.1-8b&count=8&set=h20.flops=296TFLOP/s"
    assert [row["chip"] for row in client.get(address).json()["rows"]] == ["h20-96gb", "h100-sxm5-80gb"]


def test_lists_and_entries_of_the_catalogue(client: TestClient) -> None:
    assert len(client.get("/api/1/chips").json()["chips"]) == len(clustercast.chips())
    assert client.get("/api/1/chips/h20").json()["name"] == "h20-96gb"
    assert client.get("/api/1/models/70B").status_code == 200
    error_of(client.get("/api/1/chips/h21"), 404)
    assert "bf16" in client.get("/api/1/options").json()["precisions"]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_are_text_or_refused(client: TestClient, name: str) -> None:
    for field in ("chip", "model", "precision", "engine", "plan", "set"):
        value = [name] if field == "set" else name
        found = client.post(ESTIMATE, json=ASKED | {field: value})
        error_of(found, 400)
        assert found.headers["content-type"] == "application/json"
    assert client.get(f"/static/{quote(name, safe='')}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/app.py", "/docs", "/redoc", "/api/2/estimate"]
)
def test_no_address_becomes_a_path(client: TestClient, path: str) -> None:
    error_of(client.get(path), 404)


def test_wrong_questions_say_which_field_and_why(client: TestClient) -> None:
    assert error_of(client.post(ESTIMATE, json=ASKED | {"count": "many"}), 400)["error"] == (
        "count: expected a number like 1024, 10k or 13T"
    )
    assert error_of(client.post(ESTIMATE, json=ASKED | {"colour": 1}), 400)["error"] == "colour: is not known"
    assert error_of(client.post(ESTIMATE, json=ASKED | {"chip": "h21"}), 400)["hint"]
    error_of(client.post(ESTIMATE, content=b"{", headers={"content-type": "application/json"}), 400)
    error_of(client.post(ESTIMATE, content=b"[1]", headers={"content-type": "application/json"}), 400)
    lacking = error_of(client.post(ESTIMATE, json=ASKED | {"model": "1.8T", "count": 1}), 422)
    assert lacking["exit"] == 3
    assert lacking["numbers"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "example.org"}, 403),
        ({"host": "127.0.0.1:8766"}, 403),
        ({"host": "127.0.0.1"}, 403),
        ({"host": "localhost:8765"}, 200),
        ({"host": "LOCALHOST:8765"}, 200),
        ({"host": "localhost.example.org:8765"}, 403),
        ({"origin": "https://example.org"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8765"}, 403),
        ({"origin": "http://127.0.0.1:8765"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_only_this_machine_s_own_page_may_ask(client: TestClient, headers: dict[str, str], status: int) -> None:
    assert client.get("/api/1/options", headers=headers).status_code == status


def test_a_link_from_elsewhere_may_open_the_page(client: TestClient) -> None:
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_large_bodies_other_kinds_and_other_methods_are_refused(client: TestClient) -> None:
    error_of(client.post(ESTIMATE, json=ASKED | {"plan": "x" * 2**16}), 413)
    pieces = (b" " * 4096 for _ in range(32))
    error_of(client.post(ESTIMATE, content=pieces, headers={"content-type": "application/json"}), 413)
    error_of(client.post(ESTIMATE, content=b"chip=h20", headers={"content-type": "text/plain"}), 415)
    error_of(client.put(ESTIMATE, json=ASKED), 405)


def test_every_answer_carries_the_policy(client: TestClient) -> None:
    for address in ("/", "/static/main.js", "/api/1/options", "/nothing", "/openapi.json"):
        headers = client.get(address).headers
        assert headers["content-security-policy"] == guard.POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert "unsafe" not in guard.POLICY
    error_of(client.get("/", headers={"host": "example.org"}), 403)


def test_the_page_names_its_own_files_and_nothing_else(client: TestClient) -> None:
    page = client.get("/").text
    assert "style=" not in page
    assert "onclick" not in page
    for name in (
        "main.js",
        "api.js",
        "charts.js",
        "dom.js",
        "engine.js",
        "format.js",
        "sliders.js",
        "state.js",
        "tables.js",
    ):
        found = client.get(f"/static/{name}")
        assert found.headers["content-type"].startswith("text/javascript")
        for markup in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert markup not in found.text, (name, markup)
        assert "http" not in found.text.replace("http://www.w3.org/2000/svg", "")
    assert client.get("/static/style.css").headers["content-type"].startswith("text/css")


def test_the_description_covers_every_document(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    text = json.dumps(described)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in described["components"]["schemas"], reference
    for name, schema in described["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        if name.startswith("clustercast."):
            assert schema["properties"]["schema"] == {"const": f"{name}/1"}


@pytest.mark.parametrize("verb", ["estimate", "board", "rules", "roofline"])
def test_answers_fit_their_description(client: TestClient, verb: str) -> None:
    described = client.get("/openapi.json").json()
    schema = {"$ref": f"#/components/schemas/clustercast.{verb}", "components": described["components"]}
    fields = {"chip": "h20"} if verb == "rules" else ASKED | {"explain": False}
    Draft202012Validator(schema).validate(client.post(f"/api/1/{verb}", json=fields).json())
