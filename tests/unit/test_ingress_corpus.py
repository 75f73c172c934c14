# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: Ingresses as people write them, converted all at once as in a cluster, and asked what each request gets.

ingress_corpus/README.md says what is in the files. What is expected there was written from the rules of ingress-nginx,
not from what the conversion does.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _ingress_probes
from ansible_collections.bluegreen.mesh.plugins.module_utils import ingress as conversion
from ansible_collections.bluegreen.mesh.plugins.module_utils.ingress._model import NGINX
from fake_ingresses import answer, convert, made
from test_ingress import sound

FOLDER = Path(__file__).parent / "ingress_corpus"
FILES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yaml"))}
INGRESSES = [item for content in FILES.values() for item in content["ingresses"]]
DEFAULT = {
    "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
    "metadata": {"name": "nginx", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
}  # fmt: skip
EXPECTED = [
    pytest.param(entry, id=f"{name}-{entry.get('scheme', 'http')}-{entry['host']}{entry['path']}-{number}")
    for name, content in FILES.items()
    for number, entry in enumerate(content["expect"])
]
NOTED = [
    (item["metadata"]["name"], content["report"].get(item["metadata"]["name"], {}))
    for content in FILES.values()
    for item in content["ingresses"]
]


@pytest.fixture(scope="module")
def result() -> conversion.Conversion:
    return convert(*INGRESSES, classes=[DEFAULT])


def denied(result: conversion.Conversion, host: str, path: str, client: str) -> bool:
    """Whether an AuthorizationPolicy of the conversion refuses a request of this client."""

    def fits(value: str, patterns: list[str]) -> bool:
        return any(
            value == p
            or (p.endswith("*") and value.startswith(p[:-1]))
            or (p.startswith("*") and value.endswith(p[1:]))
            for p in patterns
        )

    for policy in made(result, "AuthorizationPolicy"):
        assert policy["spec"]["action"] == "DENY"
        for rule in policy["spec"]["rules"]:
            operation = rule["to"][0]["operation"]
            said = {"hosts": host, "paths": path}
            if not all(fits(value, operation[key]) for key, value in said.items() if key in operation):
                continue
            if fits(path, operation.get("notPaths", [])) or fits(host, operation.get("notHosts", [])):
                continue
            networks = [ipaddress.ip_network(one) for one in rule["from"][0]["source"]["notRemoteIpBlocks"]]
            if not any(ipaddress.ip_address(client) in network for network in networks):
                return True
    return False


def cors(policy: dict[str, t.Any], headers: dict[str, str], preflight: bool) -> dict[str, str | None]:
    """What Envoy says by this policy to a request of this origin."""
    origin = headers["Origin"]
    allowed = any(
        origin == one.get("exact") or re.fullmatch(one.get("regex", "(?!)"), origin) for one in policy["allowOrigins"]
    )
    said = {
        "Access-Control-Allow-Origin": origin if allowed else None,
        "Access-Control-Allow-Credentials": "true" if policy.get("allowCredentials") else None,
        "Access-Control-Expose-Headers": ", ".join(policy.get("exposeHeaders", [])) or None,
    }
    if preflight:
        said["Access-Control-Allow-Methods"] = ", ".join(policy["allowMethods"])
        said["Access-Control-Allow-Headers"] = ", ".join(policy["allowHeaders"])
        said["Access-Control-Max-Age"] = policy["maxAge"].removesuffix("s")
    return said


def cookie(result: conversion.Conversion, service: str) -> dict[str, str]:
    """What Envoy sets for the affinity of this Service."""
    (rule,) = (one for one in made(result, "DestinationRule") if one["spec"]["host"].startswith(f"{service}."))
    (port,) = rule["spec"]["trafficPolicy"]["portLevelSettings"]
    made_of = port["loadBalancer"]["consistentHash"]["httpCookie"]
    return {"name": made_of["name"], "path": made_of["path"], "max-age": made_of["ttl"].removesuffix("s")}


def location(action: dict[str, t.Any], scheme: str, host: str, path: str) -> str:
    """Location of Envoy's redirect, as far as a request with this path and query has it."""
    redirect = action["redirect"]
    port = f":{redirect['port']}" if redirect.get("port") else ""
    uri = redirect.get("uri") or path
    return f"{redirect.get('scheme') or scheme}://{redirect.get('authority') or host}{port}{uri}"


@pytest.mark.parametrize("expected", EXPECTED)
def test_a_request_gets_what_the_corpus_says(result, expected):
    host, written, scheme = expected["host"], expected["path"], expected.get("scheme", "http")
    path = written.partition("?")[0]
    action = answer(result, host, path, scheme, expected.get("headers"))
    refused = "client" in expected and denied(result, host, path, expected["client"])
    if expected.get("status") == 403:
        assert refused
        return
    assert not refused
    if expected.get("status") == 404:
        assert action is None
        return
    assert action is not None
    if "redirect" in expected:
        wanted = expected["redirect"] if "://" in expected["redirect"] else f"{scheme}://{host}{expected['redirect']}"
        assert (location(action, scheme, host, written), action["redirect"]["redirectCode"]) == (
            wanted,
            expected["status"],
        )
        return
    if expected.get("method") == "OPTIONS":
        said = cors(action["corsPolicy"], expected["headers"], preflight=True)
        assert {name: said[name] for name in expected["seen_answer"]} == expected["seen_answer"]
        return
    delay = re.search(r"[?&]delay=(\d+)s", written)
    late = bool(delay and float(action["timeout"].removesuffix("s")) < float(delay[1]))
    assert late == (expected.get("status") == 504)
    if late:
        return
    if "status" in expected:
        assert action["directResponse"] == {"status": expected["status"]}
        return
    to = {one["destination"]["host"].split(".")[0]: one.get("weight", 100) for one in action["route"]}
    assert to == (expected.get("shares") or {expected["backend"]: 100})
    rewrite = action.get("rewrite", {})
    rule = rewrite.get("uriRegexRewrite")
    if "seen_path" in expected:
        assert (re.sub(rule["match"], rule["rewrite"], path) if rule else path) == expected["seen_path"]
    if "seen_host" in expected:
        assert rewrite["authority"] == expected["seen_host"]
    for name, value in expected.get("seen_headers", {}).items():
        assert action["headers"]["request"]["set"][name] == value
    if "seen_answer" in expected:
        said = cors(action["corsPolicy"], expected["headers"], preflight=False)
        assert {name: said[name] for name in expected["seen_answer"]} == expected["seen_answer"]
    if "seen_cookie" in expected:
        assert expected["seen_cookie"].items() <= cookie(result, expected["backend"]).items()


@pytest.mark.parametrize(("name", "statuses"), NOTED, ids=[name for name, _statuses in NOTED])
def test_every_annotation_has_the_status_that_the_corpus_says(result, name, statuses):
    said = {e["annotation"].removeprefix(NGINX): e["status"] for e in result.report if e["ingress"] == f"corpus/{name}"}
    assert said == statuses


@pytest.mark.parametrize("name", FILES)
def test_findings_that_a_file_expects_are_there(result, name):
    objects = {f"Ingress corpus/{item['metadata']['name']}" for item in FILES[name]["ingresses"]}
    assert set(FILES[name].get("findings", [])) <= {
        finding.code for finding in result.findings if finding.object in objects
    }


def test_the_corpus_is_large_and_uses_every_feature():
    assert len(INGRESSES) >= 60 and len({item["metadata"]["name"] for item in INGRESSES}) == len(INGRESSES)
    used = {name for item in INGRESSES for name in item["metadata"].get("annotations", {})}
    for feature in conversion.FEATURES:
        assert used & {name if "/" in name else NGINX + name for name in feature.ANNOTATIONS}, feature.CODE
    translated = {
        name for name, _code, what in conversion.table_of_annotations()
        if "/" not in name and not re.match("refused|not (needed|translated)", what)
    }  # fmt: skip
    missing = {name for name in translated if NGINX + name not in used}
    assert missing <= {"session-cookie-expires"}, missing


def test_what_the_conversion_makes_of_it_is_sound_and_stable(result):
    sound(result)
    assert convert(*reversed(INGRESSES), classes=[DEFAULT]).objects == result.objects


def test_every_ingress_is_probed_or_said_not_to_be(result):
    found = _ingress_probes.plan(result, "probe")
    known = {route["virtual_service"] for route in found.routes} | {
        entry["virtual_service"] for entry in found.unprobed
    }
    canaries = {
        f"corpus/{i['metadata']['name']}" for i in INGRESSES if NGINX + "canary" in i["metadata"].get("annotations", {})
    }
    assert {f"corpus/{item['metadata']['name']}" for item in INGRESSES} - canaries - known == {
        "corpus/regex-pcre",
        "corpus/claimed-newer",
    } - known


def test_an_entry_has_keys_that_are_explained():
    """Of another one nobody would look."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8").partition("An entry of `expect`")[2]
    first = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    explained = set(re.findall(r"`(\w+)[:`]", " ".join(first)))
    assert {"host", "path", "backend", "status", "only", "why"} < explained
    for content in FILES.values():
        for entry in content["expect"]:
            assert entry.keys() <= explained, entry


def test_what_only_ingress_nginx_does_says_why():
    marked = [entry for content in FILES.values() for entry in content["expect"] if "only" in entry]
    assert len(marked) > 5 and all(entry["only"] == "ingress-nginx" and entry["why"] for entry in marked)
