# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mesh_findings_info: what it reads, what it costs, what it does with waivers; and that every trap is complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _inventory, _policies, findings
from ansible_collections.bluegreen.mesh.plugins.modules import mesh_findings_info, policy_twin
from fake_cluster import FakeCluster, run_module
from fake_mesh import PAIR, WORKLOAD, base, codes, gateway, mesh, virtual_service

ROOT = Path(__file__).resolve().parents[2]
PAGE = ["How it is found", "What it says", "What to do", "Accepting it"]
VERSIONS = {kind.name: kind.versions for kind in _inventory.KINDS}


def cluster(**extra):
    fake = FakeCluster()
    for kind, items in {**base(), **extra}.items():
        for item in items:
            fake.add({**item, "apiVersion": VERSIONS[kind][0][0]})
    return fake


def run(fake, **options):
    return run_module(mesh_findings_info, {"pairs": [PAIR], "workloads": [WORKLOAD], **options}, fake)


# -- the set of traps --------------------------------------------------------------------------------------------------
def test_every_trap_has_its_file_its_test_its_page_and_its_row_in_the_index():
    files = {p.stem for p in (ROOT / "plugins/module_utils/findings").glob("*.py")} - {"__init__"}
    assert files == set(findings.CODES) and len(findings.CODES) == len(files)
    assert {p.stem.removeprefix("test_") for p in (ROOT / "tests/unit/findings").glob("test_*.py")} == files
    rows = re.findall(
        r"^\| \[`(\w+)`\]\(findings/(\w+)\.md\) \|", (ROOT / "docs/findings.md").read_text(encoding="utf-8"), re.M
    )
    assert rows == [(code, code) for code in sorted(files)]
    assert {p.stem for p in (ROOT / "docs/findings").glob("*.md")} == files


@pytest.mark.parametrize("code", findings.CODES)
def test_every_page_says_what_it_has_to(code):
    text = (ROOT / f"docs/findings/{code}.md").read_text(encoding="utf-8")
    assert re.findall("^#+ (.*)$", text, re.M)[:1] == [code]
    assert re.findall("^## (.*)$", text, re.M) == PAGE
    assert re.search(rf"^```text\n(error|warning) {code}: ", text, re.M), "no example of the finding's text"
    assert re.search(rf"^mesh_findings_waived:\n  - {code}:\S", text, re.M), "not how to accept it"
    assert len(text.split("## ")[0]) > 100, "not what goes wrong"


def test_nothing_is_found_in_a_mesh_with_nothing_wrong():
    assert codes(mesh()) == set()


# -- permissions -------------------------------------------------------------------------------------------------------
def allowed(phase, group_version, plural, verb):
    rules = yaml.safe_load((ROOT / f"docs/rbac/{phase}.yml").read_text(encoding="utf-8"))["rules"]
    group = group_version.rpartition("/")[0]
    return any(
        group in rule["apiGroups"] and verb in rule["verbs"] and {"*", plural} & set(rule["resources"]) for rule in rules
    )


def test_what_is_read_and_copied_is_in_the_permissions_that_are_shipped():
    for kind in _inventory.KINDS:
        assert allowed("preflight", *kind.versions[0], "list"), kind.name
    for own in _policies.COPIED.values():
        for verb in ("get", "list", "create", "update", "delete"):
            assert allowed("deploy", *VERSIONS[own.name][0], verb), (own.name, verb)
        for name in own.asks:
            assert allowed("deploy", *VERSIONS[name][0], "list"), name
    for name in policy_twin.NEEDED:
        assert allowed("deploy", *VERSIONS[name][0], "list"), name


# -- reading -----------------------------------------------------------------------------------------------------------
def test_a_fixed_number_of_lists_whatever_the_cluster_holds():
    few = cluster()
    result = run(few)
    assert result["findings"] == [] and result["errors"] == [] and result["changed"] is False
    assert sorted(result["examined"]) == sorted(findings.CODES)
    many = cluster(virtual_services=[virtual_service(f"shop/v{n}") for n in range(300)])
    run(many)
    assert many.requests == few.requests and set(many.requests) == {"GET"} and many.writes == 0
    wanted = [kind for kind in _inventory.KINDS if kind.name not in _inventory.SOURCES]
    assert few.total == sum(1 if kind.everywhere else 2 for kind in wanted)
    more = cluster()
    run(more, binding="direct")
    assert more.total == few.total + len(_inventory.SOURCES)


def test_an_older_version_of_a_kind_is_used_where_the_newest_is_not_served():
    fake = cluster()
    fake.fail("GET", "/apis/networking.istio.io/v1/*", 404, "NotFound")
    fake.fail("GET", "/apis/gateway.networking.k8s.io/*", 404, "NotFound")
    assert run(fake)["findings"] == []
    fake = cluster(gateways=[gateway(mode="SIMPLE", credentialName="cert"), gateway("apps/own")])
    fake.fail("GET", "/apis/networking.istio.io/v1/*", 404, "NotFound")
    assert [e["code"] for e in run(fake)["errors"]] == ["app_owned_gateway"]


def test_what_may_not_be_listed_is_an_error_and_the_rest_is_examined():
    fake = cluster(gateways=[gateway("apps/own"), gateway(mode="SIMPLE", credentialName="cert")])
    fake.fail("GET", "*/authorizationpolicies", 403, "Forbidden", "authorizationpolicies is forbidden")
    fake.fail("GET", "*/namespaces/gw/secrets", 403, "Forbidden", "secrets is forbidden")
    result = run(fake)
    assert [e["code"] for e in result["errors"]] == ["app_owned_gateway", "unreadable", "unreadable"]
    unreadable = [e["object"] for e in result["errors"] if e["code"] == "unreadable"]
    assert unreadable == ["List authorizationpolicies", "List secrets in gw"]


def test_a_cluster_without_istio_is_an_error():
    fake = cluster()
    fake.fail("GET", "/apis/networking.istio.io/*", 404, "NotFound")
    found = {(f["code"], f["object"]) for f in run(fake)["findings"]}
    assert found == {("unreadable", "List gateways"), ("unreadable", "List virtualservices")}


@pytest.mark.parametrize("denied", ["gateways", "virtualservices", "services", "pods", "secrets", "namespaces", "*"])
def test_what_may_not_be_listed_is_not_called_missing(denied):
    """A Gateway that could not be looked for is not one that does not exist."""
    fake = cluster(virtual_services=[virtual_service(gateways=["edge/public", "shop/other"])], gateways=[
        gateway(mode="SIMPLE", credentialName="cert"), gateway("shop/other", {"app": "other"}),
    ])  # fmt: skip
    fake.fail("GET", f"*/{denied}", 403, "Forbidden", "no")
    assert {f["code"] for f in run(fake)["findings"]} == {"unreadable"}


def test_no_secret_value_is_kept_or_shown():
    fake = cluster()
    fake.edit("secrets", "edge", "cert", lambda s: s["data"].update({"tls.key": "c2VjcmV0IQ=="}))
    fake.edit("secrets", "edge", "cert", lambda s: s["metadata"].update(annotations={"last": "c2VjcmV0IQ=="}))
    inventory = _inventory.read(fake, _inventory.Inventory(*_inventory.parse([PAIR], [WORKLOAD])))
    assert "c2VjcmV0IQ==" not in json.dumps(inventory.objects)
    assert set(inventory.find("secrets", ("edge", "cert"))["data"]) == {"tls.crt", "tls.key"}


# -- waivers and options -----------------------------------------------------------------------------------------------
def test_waivers_by_code_and_by_object():
    fake = cluster(gateways=[gateway(mode="SIMPLE", credentialName="cert"), gateway("apps/one"), gateway("apps/two")])
    assert [e["object"] for e in run(fake)["errors"]] == ["Gateway apps/one", "Gateway apps/two"]
    result = run(fake, waive=["app_owned_gateway:apps/one", "hpa_on_blue"])
    assert [e["object"] for e in result["errors"]] == ["Gateway apps/two"]
    assert [w["object"] for w in result["waived"]] == ["Gateway apps/one"]
    assert result["unused_waivers"] == ["hpa_on_blue"]
    assert run(fake, waive=["app_owned_gateway"])["findings"] == []


def test_errors_come_first_and_the_text_says_it_all():
    fake = cluster(virtual_services=[virtual_service(gateways=["edge/public", "edge/gone", "a/b/c"])])
    result = run(fake)
    assert [f["severity"] for f in result["findings"]] == ["error", "warning"]
    assert result["errors"] == result["findings"][:1]
    assert result["findings"][1]["text"] == (
        "warning malformed_reference: VirtualService shop/web spec.gateways[1]: 'edge/gone' means edge/gone, which does"
        " not exist. Correct or remove it."
    )
    digests = [f["digest"] for f in result["findings"]]
    assert digests == [f["digest"] for f in run(fake)["findings"]] and len(set(digests)) == 2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"waive": ["nope"]}, "bad_option", "no finding is called nope"),
        ({"binding": "derect"}, "bad_option", "admission_policy"),
        ({"waive": ["hpa_on_blu:edge/h"]}, "bad_option", "hpa_on_blue"),
        ({"pairs": [{**PAIR, "blue": "public"}]}, "malformed_reference", "pairs[0].blue"),
        ({"pairs": [{**PAIR, "workload": "none"}]}, "bad_option", "none of workloads (main)"),
        ({"pairs": [{**PAIR, "ports": {"x": 1}}]}, "bad_option", "port numbers"),
        ({"workloads": [WORKLOAD, WORKLOAD]}, "bad_option", "names must differ"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(options, code, words):
    fake = cluster()
    result = run(fake, **options)
    assert result["failed"] and result["failure"]["code"] == code and words in result["msg"]
    assert fake.total == 0


def test_a_pair_without_a_workload_gets_the_only_one():
    pairs, workloads = _inventory.parse([{"blue": "edge/public", "green": "gw/public"}], [WORKLOAD])
    assert pairs[0].workload == workloads[0]


# -- small words -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "full", "service"),
    [
        ("web", "web.shop.svc.cluster.local", ("shop", "web")),
        ("web.other.svc.cluster.local", "web.other.svc.cluster.local", ("other", "web")),
        ("api.example.com", "api.example.com", None),
        ("*.example.com", "*.example.com", None),
    ],
)
def test_hosts(host, full, service):
    assert _inventory.full_host(host, "shop") == full
    assert _inventory.service_of(full) == service
