# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each dialect's own words, as its documentation has them; and that the page says what each can."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingresses
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress_dialects import DIALECTS, Cannot, Words
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress_dialects.traefik_nginx import KNOWN
from fake_ingress import service

ROOT = Path(__file__).resolve().parents[2]
N, H, P = "nginx.ingress.kubernetes.io/", "haproxy-ingress.github.io/", "haproxy.org/"
T = "traefik.ingress.kubernetes.io/service."
POLICY = {"origins": ["*"], "methods": [], "headers": [], "expose": [], "max_age": None, "credentials": False}
CHANGE = {"set": {"a": "1"}, "add": {}, "remove": []}
ASKED = {
    "path rewrite": lambda d: d.rewrite_path("prefix", "/a/", "/b/"),
    "Host rewrite": lambda d: d.rewrite_host("a.test"),
    "other redirects": lambda d: d.redirect(
        "prefix", "/", {"scheme": "https", "authority": "a.test", "uri": "/", "code": 301}
    ),
    "timeout": lambda d: d.timeout(10),
    "retries": lambda d: d.retries(2, ["503"]),
    "CORS": lambda d: d.cors(POLICY),
    "set and remove headers": lambda d: d.request_headers(CHANGE),
    "weights, match by header": lambda d: d.share(5),
}


def table():
    lines = [
        line
        for line in (ROOT / "docs/ingress_dialects.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(row for row in rows if row[0] == "what is asked for")
    names = [cell.strip("`") for cell in head[1:]]
    return {row[0]: dict(zip(names, row[1:])) for row in rows if len(row) == len(head)}


@pytest.mark.parametrize("code", DIALECTS)
@pytest.mark.parametrize("asked", ASKED)
def test_the_page_says_what_a_dialect_can(code, asked):
    said = table()[asked][code]
    try:
        answer = ASKED[asked](DIALECTS[code]())
    except Cannot as exc:
        assert said == "no" and len(str(exc)) > 30, "a refusal says what to do"
    else:
        assert isinstance(answer, Words) and said != "no"


def test_every_dialect_is_on_the_page_with_its_controller():
    text = (ROOT / "docs/ingress_dialects.md").read_text(encoding="utf-8")
    for code, dialect in DIALECTS.items():
        row = re.search(rf"^\| `{code}` \|.*$", text, re.M)
        assert row and all(f"`{one}`" in row[0] for one in dialect.controllers) and dialect.code == code


@pytest.mark.parametrize(
    ("code", "protocol", "annotations", "service_words"),
    [
        ("nginx", "https", {N + "backend-protocol": "HTTPS", N + "proxy-ssl-server-name": "on", N + "proxy-ssl-name": "a.test"}, {}),
        ("traefik_nginx", "grpcs",
         {N + "backend-protocol": "GRPCS", N + "proxy-ssl-server-name": "on", N + "proxy-ssl-name": "a.test"}, {}),
        ("haproxy_ingress", "https", {H + "backend-protocol": "h1-ssl", H + "secure-sni": "host"}, {}),
        ("haproxy_ingress", "grpcs", {H + "backend-protocol": "grpcs", H + "secure-sni": "host"}, {}),
        ("haproxy", "grpcs",
         {P + "standalone-backend": "true", P + "server-ssl": "true", P + "server-proto": "h2",
          P + "backend-config-snippet": "default-server sni req.hdr(host)\n"}, {}),
        ("traefik", "grpcs", {}, {T + "serversscheme": "https", T + "passhostheader": "true"}),
        ("traefik", "grpc", {}, {T + "serversscheme": "h2c", T + "passhostheader": "true"}),
        ("traefik", "http", {}, {}),
    ],
)  # fmt: skip
def test_how_a_backend_is_spoken_to(code, protocol, annotations, service_words):
    answer = DIALECTS[code](snippets=True).backend(protocol, "a.test")
    assert (answer.annotations, answer.service) == (annotations, service_words)


@pytest.mark.parametrize(
    ("code", "protocol"), [("nginx", "grpcs"), ("haproxy", "https"), ("haproxy", "grpcs"), ("nginx", "h2c")]
)
def test_a_server_name_that_takes_a_snippet_is_refused_without(code, protocol):
    with pytest.raises(Cannot):
        DIALECTS[code]().backend(protocol, "a.test")


def test_what_traefik_does_not_know_is_never_said_to_it():
    dialect = DIALECTS["traefik_nginx"](snippets=True)
    answers = [dialect.backend(p, "a.test") for p in ("http", "https", "grpc", "grpcs")]
    answers += [dialect.https_redirect(True), dialect.https_redirect(False), dialect.patience()]
    for ask in ASKED.values():
        try:
            answers.append(ask(dialect))
        except Cannot:
            continue
    said = {key for answer in answers for key in answer.annotations}
    assert said <= KNOWN and len(said) > 10


# -- what is put together ----------------------------------------------------------------------------------------------
def draft(*words, code="nginx", **more):
    own = _ingresses.Draft("i", "shop", "new", "a.test", [("/", "Prefix")], ("web", 80), **more)
    own.words = list(words)
    return _ingresses.render(own, DIALECTS[code](), {("shop", "web"): service()})


def test_two_features_that_want_one_annotation_otherwise_are_refused():
    with pytest.raises(Cannot, match="backend-protocol"):
        draft(Words({N + "backend-protocol": "HTTP"}), Words({N + "backend-protocol": "GRPC"}))
    (ingress,) = draft(Words({N + "proxy-read-timeout": "3600"}), Words({N + "proxy-read-timeout": "5"}))
    assert ingress["metadata"]["annotations"] == {N + "proxy-read-timeout": "5"}


def test_a_service_of_ours_is_for_the_same_pods_and_port():
    own, transport, ingress = draft(*(DIALECTS["traefik"]().backend("https", "a.test"),), code="traefik")
    assert own["spec"] == {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    assert transport["kind"] == "ServersTransport" and transport["metadata"]["name"] == own["metadata"]["name"] == "i"
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] == "i"


def test_names_are_legal_short_and_different():
    names = {
        _ingresses.name_of("interim", host)
        for host in ("a.b", "a-b", "*.b", "any.b", "*", "x" * 80 + ".b", "x" * 80 + ".c")
    }
    assert len(names) == 7 and all(re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", n) and len(n) <= 50 for n in names)
