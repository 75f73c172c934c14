# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _identity, _routes
from ansible_collections.bluegreen.mesh.plugins.modules import route_info, route_verify
from fake_cluster import FakeCluster, run_module
from loopback import Server, certificate_files
from test_routes import REF, gateway, server, vs

SECRET = "s3cr3t-t0ken.of-anna"


def identity(name="anna", hosts=("app.lab.test",), **more):
    return {"name": name, "hosts": list(hosts), **(more or {"token_env": "TOKEN"})}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (identity("a b"), "name must be"),
        (identity(hosts=()), "hosts is empty"),
        (identity(client_cert="/x"), "go together"),
        (identity(client_key="/x"), "go together"),
        (identity(token_env="A", token_file="/x"), "exclude"),
        (identity(token_env=""), "neither"),
    ],
)
def test_what_can_not_be(one, words):
    with pytest.raises(ValueError, match=words):
        _identity.check([one])
    with pytest.raises(ValueError, match="no other identity's"):
        _identity.check([identity(), identity()])


def test_what_is_missing_is_told_and_what_was_found_is_not(tmp_path, monkeypatch):
    monkeypatch.delenv("TOKEN", raising=False)
    (tmp_path / "two").write_text(f"{SECRET} {SECRET}")
    (tmp_path / "bytes").write_bytes(b"\xff" + SECRET.encode())
    for one, words in [
        (identity(), "the variable TOKEN is empty"),
        (identity(token_file=str(tmp_path / "two")), "more than one token"),
        (identity(token_file=str(tmp_path / "bytes")), "UnicodeDecodeError"),
        (identity(token_file=str(tmp_path / "none")), "FileNotFoundError"),
        (identity(client_cert=str(tmp_path / "none"), client_key=str(tmp_path / "two")), "does not exist here"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            _identity.load([one])
        assert SECRET not in str(caught.value)


def test_a_token_is_read_from_a_variable_or_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    (tmp_path / "token").write_text(SECRET + "\n")
    found = _identity.load([identity(), identity("ben", token_file=str(tmp_path / "token"))])
    assert {one.headers for one in found.values()} == {(("authorization", f"Bearer {SECRET}"),)}


def plan(gateways, virtual_services, identities):
    return _routes.plan(gateways, virtual_services, (), {}, identities=identities)


# -- routes ------------------------------------------------------------------------------------------------------------
def test_routes_of_a_host_are_asked_with_and_without():
    found = plan([gateway()], [vs(), vs("other", hosts=["other.lab.test"])], [identity(), identity("ben")])
    ids = [(route["host"], route["protocol"], route.get("identity")) for route in found.routes if route["virtual_service"]]
    assert ids == [
        *(("app.lab.test", protocol, name) for protocol in ("h2", "http1") for name in (None, "anna", "ben")),
        ("other.lab.test", "h2", None), ("other.lab.test", "http1", None),
    ]  # fmt: skip
    assert len({route["id"] for route in found.routes}) == len(found.routes)


def test_a_wildcard_has_the_hosts_below():
    found = plan([gateway()], [vs()], [identity(hosts=["*.lab.test"])])
    assert [route["host"] for route in found.routes if route.get("identity")] == ["app.lab.test"] * 2


MUTUAL = server(hosts=("*.lab.test",), mode="MUTUAL", credentialName="c")
CERTIFICATE = {"client_cert": "/a.crt", "client_key": "/a.key"}


def test_a_server_that_asks_for_certificates_is_probed_with_and_once_without():
    found = plan([gateway(MUTUAL)], [vs()], [identity(**CERTIFICATE), identity("token")])
    asked = [(route["route"], route["protocol"], route.get("identity"), route["expect"]) for route in found.routes]
    assert asked == [
        ("http[0]", "h2", "anna", "answer"), ("http[0]", "http1", "anna", "answer"),
        ("client_certificate", "http1", None, "refused"), ("unknown_host", "h2", None, "refused"),
    ]  # fmt: skip


def test_hosts_of_such_a_server_without_a_certificate_are_not_verified():
    found = plan([gateway(MUTUAL)], [vs()], [identity("token")])
    assert [item["reason"] for item in found.unprobed] == ["client_certificate"]
    assert not [route for route in found.routes if route["virtual_service"]]


# -- modules -----------------------------------------------------------------------------------------------------------
def test_route_info_takes_the_same_list():
    fake = FakeCluster()
    for name in ("istio-system", "default"):
        fake.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    fake.add(gateway())
    fake.add(vs())
    found = run_module(route_info, {"gateways": [REF], "identities": [identity(**CERTIFICATE)]}, fake)
    assert [route["identity"] for route in found["routes"] if "identity" in route] == ["anna", "anna"]
    bad = run_module(route_info, {"gateways": [REF], "identities": [identity(hosts=[])]}, fake)
    assert bad["failure"]["code"] == "bad_identity" and fake.writes == 0


def sides(blue, green):
    return {name: {"ports": {"80": one.address}} for name, one in (("blue", blue), ("green", green))}


def a_route(**changes):
    return {"id": "r", "host": "app.lab.test", "port": 80, "scheme": "http", "protocol": "http1", "path": "/", **changes}


def test_a_token_goes_into_requests_and_nowhere_else(monkeypatch, capsys):
    monkeypatch.setenv("TOKEN", SECRET)
    with Server() as blue, Server(label=SECRET) as green:  # green's answer differs, and has the token in it
        options = {**sides(blue, green), "routes": [a_route(identity="anna")], "identities": [identity()], "fail_on": []}
        found = run_module(route_verify, options)
    assert {headers["authorization"] for _m, _p, headers in blue.requests + green.requests} == {f"Bearer {SECRET}"}
    assert found["counts"]["different"] == 1
    assert SECRET not in str(found) + "".join(capsys.readouterr())
    assert [one["green"][:7] for one in found["routes"][0]["differences"] if one["field"] == "body"] == ["sha256:"]


def test_a_route_of_an_identity_that_is_not_given_is_refused():
    with Server() as blue:
        found = run_module(route_verify, {**sides(blue, blue), "routes": [a_route(identity="anna")]})
    assert found["failed"] and "'anna'" in found["msg"] and not blue.requests


def test_certificates_and_proxy_protocol_reach_both_sides(tmp_path):
    client = tmp_path / "client"
    client.mkdir()
    cert, key = certificate_files(client, "anna")
    files = certificate_files(tmp_path, "app.lab.test")
    with (
        Server(files, client_ca=cert, proxied=True) as blue,
        Server(files, client_ca=cert, proxied=True) as green,
    ):
        options = {
            **sides(blue, green), "routes": [a_route(scheme="https", identity="anna")], "proxy_protocol": True,
            "identities": [identity(client_cert=cert, client_key=key)], "fail_on": [], "masks": ["blue"],
        }  # fmt: skip
        found = run_module(route_verify, options)
    assert found["verified"] and blue.clients == ["anna"] * 2 and green.clients == ["anna"] and green.lines
