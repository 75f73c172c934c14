# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration as far as verify: with probes from the gateways' own access logs, from another host, and with the
configuration compared. Then one filter and one route changed; then who asks, on servers that want to know."""

from __future__ import annotations

import functools
import glob
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import lab
import pytest

sys.path.insert(0, str(lab.ROOT / "tests" / "unit"))

from ansible_collections.bluegreen.mesh.plugins.module_utils import _probe  # noqa: E402
from ansible_collections.bluegreen.mesh.plugins.module_utils._probe import Request  # noqa: E402
from loopback import make_certificate  # noqa: E402

LAB = pathlib.Path(os.environ["LAB_STATE"])
FOLDER = LAB / "parity"
LOGS = str(LAB / "logs" / "pods" / "istio-system_public-ingressgateway-*.log")
NODE = "172.30.0.11"
ISTIOD = "http://172.30.0.1:15014"
OURS = {"mesh_migration": "parity", "mesh_journal_namespace": "mesh-parity-journal"}
SETTINGS = {
    **OURS,
    "mesh_verify": {"ca_file": str(LAB / "apps" / "certs" / "ca.crt"), "passes": 1},
    "mesh_parity": "required",
    "mesh_parity_source": {"istiod_url": ISTIOD, "istiod_token_file": str(FOLDER / "token")},
    "mesh_vantage": "node",
}
MUTUAL = {
    "port": {"number": 9443, "name": "https-mutual", "protocol": "HTTPS"}, "hosts": ["mutual.lab.test"],
    "tls": {"mode": "MUTUAL", "credentialName": "mesh-parity"},
}  # fmt: skip
PROXIED = {"port": {"number": 9080, "name": "http-proxied", "protocol": "HTTP"}, "hosts": ["proxied.lab.test"]}


def run(*argv: str, text: str | None = None) -> str:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def apply(*objects: dict[str, t.Any]) -> None:
    run("kubectl", "apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def istio(kind: str, name: str, spec: dict[str, t.Any], namespace: str = "mesh-parity", version: str = "v1") -> t.Any:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": f"networking.istio.io/{version}", "kind": kind, "metadata": meta, "spec": spec}


def play(settings: dict[str, t.Any], tags: str) -> subprocess.CompletedProcess[str]:
    """With one more host, to probe from."""
    return lab.play(settings, "--inventory", str(FOLDER / "hosts.yml"), "--tags", tags)


until = functools.partial(lab.until, seconds=40)


def ask(*urls: str, address: str = f"{NODE}:30443", agent: str = "client/1", **more: t.Any) -> list[int]:
    """Statuses, in the order of the URLs. more: method of the requests, certificate; proxy_protocol."""
    options = {name: more.pop(name) for name in ("proxy_protocol",) if name in more}
    found: dict[int, int] = {}
    headers = (("User-Agent", agent),)
    requests = [Request(i, url, address, "http1", headers=headers, **more) for i, url in enumerate(urls)]
    _probe.ask(requests, lambda request, answer: found.update({request.key: answer.status}), timeout=5, **options)
    return [found[index] for index in range(len(urls))]


@pytest.fixture(scope="module")
def logs() -> list[str]:
    """What clients asked of blue, in its own access logs."""
    FOLDER.mkdir(exist_ok=True)
    until(lambda: ask("https://asked.lab.test/item/1234", agent="bluegreen.mesh/probe") == [200])
    asked = [
        "https://asked.lab.test/item/1234?access_token=hunter2&page=2", "https://asked.lab.test/home",
        "https://asked.lab.test/logout", "https://one.wild.lab.test/deep/link", "https://nobody.lab.test/admin/x",
    ]  # fmt: skip
    assert ask(*asked) == [200, 200, 200, 200, 404]
    assert ask("https://asked.lab.test/item", method="POST") == [202]

    def written() -> bool:
        return sum(pathlib.Path(path).read_text().count('"client/1"') for path in glob.glob(LOGS)) == 6

    until(written)  # Envoy writes every ten seconds
    return glob.glob(LOGS)


@pytest.fixture(scope="module")
def migrated(logs: list[str]) -> t.Iterator[subprocess.CompletedProcess[str]]:
    token = run("kubectl", "create", "token", "default", "-n", "istio-system", "--audience", "istio-ca")
    (FOLDER / "token").write_text(token)
    # A host is one of the lab's nodes when its Python runs in that node's network.
    python = FOLDER / "python-on-node"
    there = f"nsenter --net=/run/netns/node-1 {sys.executable}"
    python.write_text(f'#!/bin/sh\necho "$@" >> {FOLDER}/vantage\nexec {there} "$@"\n')
    python.chmod(0o755)
    host = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    (FOLDER / "hosts.yml").write_text(json.dumps({"probers": {"hosts": {"node": host}}}))
    done = play({**SETTINGS, "mesh_access_logs": {"files": logs}}, "preflight,keep,bind,deploy,verify")
    yield done
    run("kubectl", "delete", "envoyfilter", "--all", "-n", "istio-gateway")
    back = play({**OURS, "mesh_rollback_to": "keep"}, "rollback")
    assert back.returncode == 0, back.stdout[-4000:]


def test_verify_proves_by_probes_and_by_configuration(migrated: subprocess.CompletedProcess[str]) -> None:
    assert migrated.returncode == 0, migrated.stdout[-6000:]
    assert "routes that were not probed are equal by configuration. Still unknown: none." in " ".join(
        migrated.stdout.replace("\\n", " ").split()
    ), migrated.stdout[-6000:]
    assert "asked.lab.test mesh-parity/asked http[1].match[0]" in migrated.stdout  # POST is never probed
    assert "Configuration that differs: none" in " ".join(migrated.stdout.split())


def test_the_probes_came_from_the_vantage(migrated: subprocess.CompletedProcess[str]) -> None:
    """Its Python ran once for each pair of Gateways. Modules come to it on stdin, so it can't say which they were; no
    other task is given to that host."""
    assert (FOLDER / "vantage").read_text().splitlines() == [""] * 3


def test_access_logs_become_probes(logs: list[str]) -> None:
    found = lab.run("access_log_routes_info", FOLDER, gateways=["istio-system/public"], files=logs)
    asked = {(one["host"], one["path"]): one for one in found["samples"]}
    assert ("asked.lab.test", "/logout") not in asked and ("one.wild.lab.test", "/deep/link") in asked
    assert asked["asked.lab.test", "/item/1234"]["query"] == {"access_token": "masked", "page": "2"}
    assert "hunter2" not in json.dumps(found)
    routes = {one["route"]: one for one in found["routes"] if one["host"] == "asked.lab.test" and one["port"] == 8443}
    assert [routes[f"http[{n}].match[0]"]["requests"] for n in (0, 1, 2)] == [1, 1, 0]
    assert routes["http[1].match[0]"]["unsafe"] == 1 and sum(one["own"] for one in found["files"]) > 0
    assert any("asked.lab.test mesh-parity/asked http[2].match[0]" in one for one in found["silent"])
    assert ("nobody.lab.test", "/admin/*") in {(one["host"], one["path"]) for one in found["unmatched"]}
    routed = lab.run("route_info", FOLDER, gateways=["istio-system/public"], samples=found["samples"])
    assert not routed["unused_samples"]
    assert "team-a/wild" not in {one["virtual_service"] for one in routed["unprobed"]}


def pods(namespace: str) -> list[dict[str, str]]:
    listed = json.loads(run("kubectl", "get", "pods", "-n", namespace, "-o", "json"))["items"]
    found = [one for one in listed if one["metadata"]["name"].startswith("public-ingressgateway-")]
    return [{"proxy": f"{one['metadata']['name']}.{namespace}", "ip": one["status"]["podIP"]} for one in found]


def parity() -> dict[str, t.Any]:
    sides = {
        colour: {"proxies": [one["proxy"] for one in pods(namespace)]}
        for colour, namespace in (("blue", "istio-system"), ("green", "istio-gateway"))
    }
    source = {"url": ISTIOD, "token_file": str(FOLDER / "token")}
    return lab.run("gateway_parity_info", FOLDER, cluster=False, **sides, istiod=source)


def test_a_filter_on_green_alone_is_named_and_stops_the_phase(migrated: subprocess.CompletedProcess[str]) -> None:
    before = parity()
    assert before["equal"], before
    lua = {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": "function envoy_on_request(handle) end"},
        },
    }
    where = {"context": "GATEWAY", "listener": {"filterChain": {"filter": {
        "name": "envoy.filters.network.http_connection_manager"}}}}  # fmt: skip
    patch = {"applyTo": "HTTP_FILTER", "match": where, "patch": {"operation": "INSERT_FIRST", "value": lua}}
    apply(istio("EnvoyFilter", "lua", {"configPatches": [patch]}, "istio-gateway", "v1alpha3"))
    found = until(lambda: (now := parity()) and not now["equal"] and now)
    chains = [part for part in found["parts"] if part["kind"] == "filter_chain"]
    assert chains and "envoy.filters.http.lua" in chains[0]["differences"][0]["green"]
    assert "envoy.filters.http.lua" not in chains[0]["differences"][0]["blue"]
    stopped = play({**SETTINGS, "mesh_parity": "auto"}, "verify")
    assert stopped.returncode != 0 and "can't be probed" in stopped.stdout, stopped.stdout[-3000:]
    run("kubectl", "delete", "envoyfilter", "lua", "-n", "istio-gateway")
    until(lambda: parity()["equal"])


def test_a_route_on_blue_alone_is_named(migrated: subprocess.CompletedProcess[str]) -> None:
    both = ["istio-system/public", "istio-gateway/public-ingressgateway"]
    # A list of gateways would be bound by the policy; who may see it is no binding.
    half = [{"match": [{"uri": {"prefix": "/half"}}], "directResponse": {"status": 200}}]
    spec = {"hosts": ["half.lab.test"], "gateways": both, "exportTo": ["istio-system"], "http": half}
    apply(istio("VirtualService", "half", spec))
    found = until(lambda: (now := parity()) and not now["equal"] and now)
    assert {(part["host"], part["verdict"]) for part in found["parts"]} == {("half.lab.test", "only_blue")}
    assert 8443 in {part["port"] for part in found["parts"]}
    run("kubectl", "delete", "virtualservice", "half", "-n", "mesh-parity")
    until(lambda: parity()["equal"])


def refuses(url: str, address: str, **more: t.Any) -> bool:
    """Whether it is up, and wants to know who asks."""
    return ask(url, address=address, **more) == [401]


def verify(routes: list[dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
    return lab.run("route_verify", FOLDER, cluster=False, routes=routes, **options)


# -- who asks ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def servers(migrated: subprocess.CompletedProcess[str]) -> dict[str, t.Any]:
    """A server that asks for a certificate and one behind PROXY protocol, on blue's pods and on green's."""
    for name in ("client", "server"):
        certificate, key = make_certificate([name if name == "client" else "mutual.lab.test"])
        (FOLDER / f"{name}.crt").write_bytes(certificate)
        (FOLDER / f"{name}.key").write_bytes(key)
    files = {"tls.crt": "server.crt", "tls.key": "server.key", "ca.crt": "client.crt"}
    data = {name: (FOLDER / path).read_text() for name, path in files.items()}
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mesh-parity", "namespace": namespace},
         "stringData": data}
        for namespace in ("istio-system", "istio-gateway")
    ]  # fmt: skip
    listener = {"context": "GATEWAY", "listener": {"portNumber": 9080}}
    proxy_protocol = {
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
        },
    }
    patch = {"operation": "INSERT_FIRST", "value": proxy_protocol}
    filters = {"configPatches": [{"applyTo": "LISTENER_FILTER", "match": listener, "patch": patch}]}
    bearer = {"headers": {"authorization": {"exact": "Bearer t0ken-of-the-lab"}}}
    http = [{"match": [bearer], "directResponse": {"status": 200}}, {"directResponse": {"status": 401}}]
    apply(
        *secrets,
        istio("Gateway", "blue", {"selector": {"app": "public-ingressgateway"}, "servers": [MUTUAL, PROXIED]}),
        istio("Gateway", "green", {"selector": {"app": "public-gateway"}, "servers": [MUTUAL, PROXIED]}),
        istio("EnvoyFilter", "mesh-parity", filters, "istio-system", "v1alpha3"),
        istio("VirtualService", "who", {
            "hosts": ["mutual.lab.test", "proxied.lab.test"], "gateways": ["mesh-parity/blue", "mesh-parity/green"],
            "http": http,
        }),
    )  # fmt: skip
    (FOLDER / "bearer").write_text("t0ken-of-the-lab")
    certificate = (str(FOLDER / "client.crt"), str(FOLDER / "client.key"))
    sides = {}
    for colour, namespace in (("blue", "istio-system"), ("green", "istio-gateway")):
        ips = [one["ip"] for one in pods(namespace)]
        sides[colour] = {"addresses": ips, "ports": {"9443": "9443", "9080": "9080"}}
        for ip in ips:
            until(functools.partial(refuses, "https://mutual.lab.test/", f"{ip}:9443", certificate=certificate))
            until(functools.partial(refuses, "http://proxied.lab.test/", f"{ip}:9080", proxy_protocol=True))
    return sides


def identities(**changes: t.Any) -> list[dict[str, t.Any]]:
    one = {"name": "robot", "hosts": ["*.lab.test"], "token_file": str(FOLDER / "bearer"),
           "client_cert": str(FOLDER / "client.crt"), "client_key": str(FOLDER / "client.key")}  # fmt: skip
    return [{**one, **changes}]


def planned(port: int, who: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    samples = [{"host": f"{name}.lab.test", "path": "/me"} for name in ("mutual", "proxied")]
    found = lab.run("route_info", FOLDER, gateways=["mesh-parity/blue"], identities=who, samples=samples, reveal=True)
    return {name: [one for one in found[name] if one["port"] == port] for name in ("routes", "unprobed")}


def test_a_server_that_asks_for_certificates_is_probed_with_one_and_without(servers: dict[str, t.Any]) -> None:
    who = identities()
    found = planned(9443, who)
    assert {one.get("identity") for one in found["routes"]} == {None, "robot"}
    result = verify(found["routes"], identities=who, **servers, deadline=20)
    assert result["verified"] and result["counts"]["equal"] == len(found["routes"]), result
    assert "t0ken-of-the-lab" not in json.dumps(result)
    assert {one["reason"] for one in planned(9443, [])["unprobed"]} >= {"client_certificate"}


def test_green_that_lets_strangers_in_is_found(servers: dict[str, t.Any]) -> None:
    simple = {**MUTUAL, "tls": {"mode": "SIMPLE", "credentialName": "mesh-parity"}}
    green = {"selector": {"app": "public-gateway"}, "servers": [simple, PROXIED]}
    apply(istio("Gateway", "green", green))
    address = f"{servers['green']['addresses'][0]}:9443"
    until(functools.partial(refuses, "https://mutual.lab.test/", address))
    who = identities()
    result = verify(planned(9443, who)["routes"], identities=who, **servers)
    wrong = [one["id"] for one in result["routes"] if one["verdict"] == "different"]
    assert result["failed"] and any("client_certificate" in one for one in wrong), result["routes"]
    apply(istio("Gateway", "green", {"selector": {"app": "public-gateway"}, "servers": [MUTUAL, PROXIED]}))


def test_proxy_protocol_is_spoken_where_it_is_asked_for(servers: dict[str, t.Any]) -> None:
    who = identities(client_cert=None, client_key=None)
    routes = planned(9080, who)["routes"]
    result = verify(routes, identities=who, proxy_protocol=True, **servers, deadline=20)
    assert result["verified"], result
    address = f"{servers['blue']['addresses'][0]}:9080"
    assert ask("http://proxied.lab.test/", address=address) == [0]
