# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster connection against a small HTTP server on loopback."""

from __future__ import annotations

import email.utils
import http.server
import json
import threading
import time
import typing as t
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, Cluster, ClusterError, path_of


class Server:
    """Answers each request with the next of `answers`: (status, headers, body), or None to hang up."""

    def __init__(self) -> None:
        self.answers: list[t.Any] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = outer.answers.pop(0)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_args: t.Any) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(urlsplit(path).query) for _verb, path, _headers, _body in self.seen]


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def kubeconfig(url: str, **user: str) -> str:
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "wrong",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": n, "context": {"cluster": "c", "user": "u"}} for n in ("lab", "wrong")],
    })  # fmt: skip


@pytest.fixture
def cluster(server, tmp_path):
    path = tmp_path / "config"
    path.write_text(kubeconfig(server.url, token="s3cret"), encoding="utf-8")
    return Cluster(str(path), "lab")


@pytest.fixture
def slept(monkeypatch):
    """Seconds that would have been slept."""
    times: list[float] = []
    monkeypatch.setattr(_client.time, "sleep", times.append)
    return times


OK = (200, {}, {"kind": "Service"})


def status(code: int, reason: str = "", message: str = "why") -> tuple[int, dict[str, str], dict[str, t.Any]]:
    return code, {}, {"kind": "Status", "reason": reason, "message": message, "code": code}


# -- which cluster ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("config", "context"), [("", "lab"), ("x", ""), ("", "")])
def test_there_is_no_default_cluster(config, context):
    with pytest.raises(ClusterError, match="never falls back"):
        Cluster(config, context)


def test_an_unknown_context_is_refused_with_those_there_are(tmp_path):
    path = tmp_path / "config"
    path.write_text(kubeconfig("http://127.0.0.1:1"), encoding="utf-8")
    with pytest.raises(ClusterError, match="no context 'production'. It has: lab, wrong"):
        Cluster(str(path), "production")


def test_a_kubeconfig_that_does_not_exist_is_said_to_be_missing(tmp_path):
    with pytest.raises(ClusterError, match=f"kubeconfig {tmp_path}/none does not exist.*mesh_kubeconfig"):
        Cluster(f"{tmp_path}/none", "lab")


def test_one_of_several_kubeconfigs_is_enough(tmp_path):
    (tmp_path / "config").write_text(kubeconfig("http://127.0.0.1:1"), encoding="utf-8")
    assert Cluster(f"{tmp_path}/none:{tmp_path}/config", "lab").context == "lab"


@pytest.mark.parametrize("content", [None, "", "{", "not: a kubeconfig", "\tx", b"\xff\xfe\x00"])
def test_an_unusable_kubeconfig_is_named(tmp_path, content):
    path = tmp_path / "config"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ClusterError) as error:
        Cluster(str(path), "lab")
    assert str(path) in str(error.value)


def test_an_unreadable_kubeconfig_is_named(tmp_path):
    with pytest.raises(ClusterError) as error:
        Cluster(str(tmp_path), "lab")  # a folder: unreadable for root too
    assert str(tmp_path) in str(error.value)


def test_the_context_that_was_named_is_used_with_its_token(server, cluster):
    server.answers = [OK]
    cluster.get("/api/v1/x")
    assert server.seen[0][2]["authorization"] == "Bearer s3cret"


# -- repeating -------------------------------------------------------------------------------------------------------
def test_retry_after_is_honoured(server, cluster, slept):
    server.answers = [(429, {"Retry-After": "7"}, {}), (503, {"Retry-After": "3600"}, {}), OK]
    assert cluster.get("/api/v1/x") == {"kind": "Service"}
    assert slept == [7.0, 30.0] and cluster.requests == {"GET": 3}


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_load_and_failures_are_waited_out_with_growing_pauses(server, cluster, slept, code):
    server.answers = [status(code)] * 4 + [OK]
    cluster.get("/api/v1/x")
    assert len(slept) == 4 and all(0.2 * 2**i * 0.7 <= s <= 0.2 * 2**i * 1.3 for i, s in enumerate(slept))


def test_a_server_that_keeps_failing_is_given_up(server, cluster, slept):
    server.answers = [status(500, "InternalError", "boom")] * _client.RETRIES
    with pytest.raises(ApiError, match="500 InternalError: boom"):
        cluster.get("/api/v1/x")
    assert len(server.seen) == _client.RETRIES and len(slept) == _client.RETRIES - 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_not_repeated(server, cluster, slept, code):
    server.answers = [status(code)]
    with pytest.raises(ApiError) as error:
        cluster.patch("/api/v1/x", {"a": 1})
    assert error.value.status == code and slept == [] and len(server.seen) == 1


def test_a_broken_connection_is_tried_again(server, cluster, slept):
    server.answers = [None, None, OK]
    assert cluster.get("/api/v1/x") == {"kind": "Service"} and len(slept) == 2


def test_a_server_that_is_not_there_is_named(tmp_path, slept):
    path = tmp_path / "config"
    path.write_text(kubeconfig("http://127.0.0.1:9"), encoding="utf-8")
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:9.* can't be reached"):
        Cluster(str(path), "lab").get("/api/v1/x")
    assert len(slept) == _client.RETRIES - 1


def test_retry_can_be_turned_off(server, cluster, slept):
    server.answers = [status(503)]
    assert cluster.raw("GET", "/api/v1/x", retry=False)[0] == 503 and slept == []


# -- what a refusal says ---------------------------------------------------------------------------------------------
def test_forbidden_names_verb_resource_and_what_to_do(server, cluster):
    server.answers = [status(403, "Forbidden", 'User "ada" cannot patch resource "services" in namespace "a"')]
    with pytest.raises(ApiError) as error:
        cluster.patch(path_of("v1", "services", "a", "b"), {})
    asked = "PATCH /api/v1/namespaces/a/services/b"
    for part in (asked, "(403)", 'cannot patch resource "services"', "Give this user", "docs/permissions.md"):
        assert part in str(error.value)


def test_unauthorized_points_at_the_credentials(server, cluster):
    server.answers = [status(401)]
    with pytest.raises(ApiError, match="does not accept these credentials"):
        cluster.get("/api/v1/x")


def test_an_answer_that_is_not_json_is_shown(server, cluster):
    server.answers = [(404, {}, b"<html>proxy</html>")]
    with pytest.raises(ApiError, match="<html>proxy</html>"):
        cluster.get("/api/v1/x")


def test_find_tells_absence_from_refusal(server, cluster):
    server.answers = [status(404, "NotFound"), status(403, "Forbidden")]
    assert cluster.find("/api/v1/x") is None
    with pytest.raises(ApiError):
        cluster.find("/api/v1/x")


# -- lists -----------------------------------------------------------------------------------------------------------
def page(names: list[str], token: str = "") -> tuple[int, dict[str, str], dict[str, t.Any]]:
    items = [{"metadata": {"name": name}} for name in names]
    meta = {"continue": token} if token else {}
    return 200, {}, {"kind": "ServiceList", "apiVersion": "v1", "metadata": meta, "items": items}


def test_pages_are_joined_and_items_say_what_they_are(server, cluster):
    server.answers = [page(["a", "b"], "next"), page(["c"])]
    items = cluster.list("/api/v1/services", {"labelSelector": "x=y"})
    assert [item["metadata"]["name"] for item in items] == ["a", "b", "c"]
    assert {(item["apiVersion"], item["kind"]) for item in items} == {("v1", "Service")}
    assert [(q["limit"], q.get("continue"), q["labelSelector"]) for q in server.queries()] == [
        (["500"], None, ["x=y"]), (["500"], ["next"], ["x=y"]),
    ]  # fmt: skip


def test_a_list_that_expires_between_its_pages_is_read_anew(server, cluster):
    server.answers = [page(["a"], "old"), status(410, "Expired"), page(["a"], "new"), page(["b"])]
    assert [item["metadata"]["name"] for item in cluster.list("/api/v1/services")] == ["a", "b"]
    assert "continue" not in server.queries()[2]


def test_a_list_that_keeps_expiring_ends(server, cluster):
    server.answers = [page(["a"], "old"), status(410, "Expired")] * 3
    with pytest.raises(ClusterError, match="kept expiring"):
        cluster.list("/api/v1/services")


def test_another_refusal_of_a_page_is_not_hidden(server, cluster):
    server.answers = [page(["a"], "old"), status(403, "Forbidden")]
    with pytest.raises(ApiError):
        cluster.list("/api/v1/services")


# -- writes ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("merge", "application/merge-patch+json"), ("json", "application/json-patch+json"),
     ("strategic", "application/strategic-merge-patch+json"), ("apply", "application/apply-patch+yaml")],
)  # fmt: skip
def test_patch_types(server, cluster, kind, content_type):
    server.answers = [OK]
    cluster.patch("/api/v1/x", {"a": 1}, kind, dry_run=True)
    verb, _path, headers, body = server.seen[0]
    assert (verb, headers["content-type"], json.loads(body)) == ("PATCH", content_type, {"a": 1})
    assert server.queries()[0] == {"fieldManager": ["bluegreen-mesh"], "dryRun": ["All"]}


def test_replace_needs_a_resource_version(server, cluster):
    with pytest.raises(ValueError, match="resourceVersion"):
        cluster.replace("/api/v1/x", {"metadata": {}})
    assert server.seen == []


def test_delete_carries_what_was_read(server, cluster):
    server.answers = [OK]
    cluster.delete("/api/v1/x", uid="u", resource_version="7", dry_run=True)
    body = json.loads(server.seen[0][3])
    assert body["preconditions"] == {"uid": "u", "resourceVersion": "7"} and body["dryRun"] == ["All"]


def test_parallel_keeps_order_and_lets_one_failure_not_hide_the_others(server, cluster):
    def work(n: int) -> int:
        if n == 3:
            raise ClusterError("three")
        return n * n

    results = Cluster.parallel(work, list(range(20)), 4)
    assert isinstance(results[3], ClusterError) and [r for i, r in enumerate(results) if i != 3] == [
        n * n for n in range(20) if n != 3
    ]
    assert Cluster.parallel(work, []) == []


def test_parallel_does_not_swallow_mistakes_of_ours():
    with pytest.raises(KeyError):
        Cluster.parallel(lambda _n: {}["x"], [1])


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("v1", "nodes"), "/api/v1/nodes"),
        (("apps/v1", "deployments", "a", "b", "scale"), "/apis/apps/v1/namespaces/a/deployments/b/scale"),
    ],
)
def test_paths(arguments, path):
    assert path_of(*arguments) == path


@pytest.mark.parametrize(
    ("ahead", "least", "most"), [(20, 15.0, 20.0), (3600, 30.0, 30.0), (-60, 0.0, 0.0)], ids=["soon", "late", "past"]
)
def test_retry_after_may_be_a_date(server, cluster, slept, ahead, least, most):
    until = email.utils.formatdate(time.time() + ahead, usegmt=True)
    server.answers = [(503, {"Retry-After": until}, {}), OK]
    cluster.get("/api/v1/x")
    assert len(slept) == 1 and least <= slept[0] <= most


def test_retry_after_that_is_nothing_known_is_passed_over(server, cluster, slept):
    server.answers = [(503, {"Retry-After": "tomorrow"}, {}), OK]
    cluster.get("/api/v1/x")
    assert slept[0] < 0.3
