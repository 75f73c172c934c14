# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input, to the modules and to migrate.yml: the error says what is wrong and where, and nothing is changed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

KUBECONFIG = os.environ["KUBECONFIG"]
WATCHED = (
    ("networking.istio.io/v1", "gateways"),
    ("networking.istio.io/v1", "virtualservices"),
    ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    ("v1", "services"),
    ("v1", "secrets"),
    ("v1", "configmaps"),
)
PAIR = {"blue": "mesh-bad/old", "green": "mesh-bad-new/new"}
TWIN = {
    **PAIR,
    "selector": {"app": "mesh-bad-new"},
    "blue_workload_namespace": "mesh-bad",
    "green_workload_namespace": "mesh-bad-new",
}
WORKLOAD = {
    "name": "main",
    "blue": {"namespace": "mesh-bad", "service": "green"},
    "green": {"namespace": "mesh-bad-new", "release": "new", "labels": {"app": "mesh-bad-new"}},
}
BALANCER = {
    "runtime_apis": ["tcp:172.30.0.20:9999"],
    "backends": ["public_http"],
    "blue_servers": "^blue-",
    "green_servers": "^green-",
}
# A watchdog in a pod, and a balancer that only the operator's host reaches.
HERE = {
    "mesh_watchdog": {"job": {"image": "x"}},
    "mesh_balancer": {**BALANCER, "type": "haproxy", "runtime_apis": ["unix:/run/h.sock"]},
}
BY_GIT = {"mesh_gitops": {"repo": "/srv/config", "branch": "main", "path": "clusters/production"}}
NO_COMMITS = {"mesh_journey": "ingress_to_istio", "mesh_gitops": {"repo": "/srv/config", "branch": "main"}}
OWN = {"mesh_certificates": "certificate", "mesh_verify": {}}
# A wish of each module that would be carried out, or answered, if nothing were wrong with it.
WRITES: dict[str, dict[str, t.Any]] = {
    "virtual_service_gateways": {"pairs": [PAIR]},
    "resource_keep": {"migration": "bad", "gateways": ["mesh-bad/old"]},
    "service_node_ports": {"namespace": "mesh-bad", "name": "green", "node_ports": {"http2": 31972}},
    "gateway_twin": {"pairs": [TWIN]},
}
READS: dict[str, dict[str, t.Any]] = {
    "resource_keep_info": {"gateways": ["mesh-bad/old"]},
    "gateway_info": {"gateways": ["mesh-bad/old"]},
    "route_info": {"gateways": ["mesh-bad/old"]},
    "gateway_values_info": {"service": "mesh-bad/green", "labels": {"app": "x"}, "node_ports": {"http2": 31972}},
    "traffic_idle_info": {"sources": {"gateway": {"services": ["mesh-bad/green"]}}},
}
OPEN = {"migration_journal": {"namespace": "mesh-bad", "name": "none", "state": "open"}}
FINDINGS = {"mesh_findings_info": {"pairs": [PAIR], "workloads": [WORKLOAD]}}


def identity(body: dict[str, t.Any]) -> t.Any:
    """What must stay the same of an object. Of a journal: what was done; that a run looked at it is no change."""
    ours = body["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "bluegreen.mesh"
    if body["kind"] != "ConfigMap" or not ours:
        return body["metadata"]["resourceVersion"]
    steps, phases = (json.loads(body["data"][name]) for name in ("steps", "phases"))
    return steps, {name: phase["state"] for name, phase in phases.items() if phase["state"] != "started"}


def snapshot(cluster: Cluster) -> dict[str, t.Any]:
    found = {}
    for group_version, plural in WATCHED:
        for body in cluster.list(path_of(group_version, plural)):
            meta = body["metadata"]
            found[f"{plural} {meta.get('namespace', '')}/{meta['name']}"] = identity(body)
    found["weights"] = lab.weights()
    # A journal of a run that got no further than opening it holds nothing.
    return {name: value for name, value in found.items() if value != ([], {})}


@pytest.fixture(autouse=True)
def nothing_is_changed(cluster: Cluster, journals: dict[str, int]) -> t.Iterator[None]:
    before = snapshot(cluster)
    assert len(before) > 50 and before["weights"]
    yield
    assert snapshot(cluster) == before


def refused(result: dict[str, t.Any], code: str, *words: str) -> None:
    """The module failed for this reason, and says so in these words."""
    assert result.get("failed") is True and not result.get("changed"), result
    assert result["failure"]["code"] == code, result
    missing = [word for word in words if word not in result["msg"]]
    assert not missing, result["msg"]


@pytest.fixture(scope="module")
def journals(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Journals in the states that the tests are about, and the epoch of each: held by another run; ready to cut over;
    past unbind."""
    done = {
        "held": [],
        "ready": ["preflight", "keep", "bind", "deploy", "verify"],
        "late": ["preflight", "keep", "bind", "deploy", "verify", "cutover", "soak", "unbind"],
    }
    epochs = {}
    for name, phases in done.items():
        where = {"namespace": "mesh-bad", "name": name}
        tmp_path = tmp_path_factory.mktemp(name)
        for run_id, operator in (("first", "alice"), ("second", "bob")):
            taken = {"state": "open", "run_id": run_id, "operator": operator, "takeover": True}
            epochs[name] = lab.run("migration_journal", tmp_path, **where, **taken)["epoch"]
        for phase in phases:
            noted = lab.run(
                "migration_journal", tmp_path, **where,
                epoch=epochs[name], state="recorded", phase=phase, phase_state="done",
            )  # fmt: skip
            assert not noted.get("failed"), noted
        if name != "held":
            closed = lab.run("migration_journal", tmp_path, **where, epoch=epochs[name], state="closed")
            assert not closed.get("failed"), closed
    return epochs


# -- connection ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("module", ["virtual_service_gateways", "gateway_info", "migration_journal"])
def test_a_context_that_does_not_exist(tmp_path: pathlib.Path, module: str) -> None:
    result = lab.run(module, tmp_path, **{**WRITES, **READS, **OPEN}[module], context="typo")
    refused(result, "cluster", KUBECONFIG, "'typo'", "lab, nobody, operator")


def test_a_kubeconfig_that_does_not_exist(tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "missing")
    refused(lab.run("gateway_info", tmp_path, kubeconfig=missing), "cluster", missing, "does not exist", "mesh_kubeconfig")


def test_a_kubeconfig_that_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "torn").write_text("{[", encoding="utf-8")
    result = lab.run("gateway_info", tmp_path, kubeconfig=str(tmp_path / "torn"))
    refused(result, "cluster", str(tmp_path / "torn"), "line 1")


@pytest.mark.parametrize(
    ("module", "verb", "resource"),
    [
        ("virtual_service_gateways", "list", "virtualservices"),
        ("resource_keep", "get", "gateways"),
        ("service_node_ports", "get", "services"),
        ("gateway_twin", "get", "gateways"),
        ("resource_keep_info", "get", "gateways"),
        ("gateway_info", "list", "gateways"),
        ("route_info", "list", "gateways"),
        ("gateway_values_info", "get", "services"),
        ("traffic_idle_info", "get", "services"),
        ("migration_journal", "get", "configmaps"),
    ],
)
def test_no_permission(tmp_path: pathlib.Path, module: str, verb: str, resource: str) -> None:
    result = lab.run(module, tmp_path, **{**WRITES, **READS, **OPEN}[module], context="nobody")
    refused(result, "api", "403", 'User "nobody"', f'cannot {verb} resource "{resource}"', "Give this user that verb", "docs/permissions.md")


def test_findings_that_could_not_be_looked_for_are_findings(tmp_path: pathlib.Path) -> None:
    result = lab.run("mesh_findings_info", tmp_path, **FINDINGS["mesh_findings_info"], context="nobody")
    assert {finding["code"] for finding in result["findings"]} == {"unreadable"}
    assert {"List gateways", "List virtualservices"} <= {finding["object"] for finding in result["errors"]}


# -- objects ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("module", "params"),
    [
        ("virtual_service_gateways", {"pairs": [{**PAIR, "blue": "mesh-bad/olf"}]}),
        ("resource_keep", {"migration": "bad", "gateways": ["mesh-bad/olf"]}),
        ("gateway_twin", {"pairs": [{**TWIN, "blue": "mesh-bad/olf"}]}),
        ("gateway_info", {"gateways": ["mesh-bad/olf"]}),
        ("route_info", {"gateways": ["mesh-bad/olf"]}),
    ],
)
def test_a_gateway_that_does_not_exist(tmp_path: pathlib.Path, module: str, params: dict[str, t.Any]) -> None:
    refused(lab.run(module, tmp_path, **params), "no_gateway", "Gateway mesh-bad/olf")


@pytest.mark.parametrize("reference", ["old", "a/b/c"])
@pytest.mark.parametrize(
    ("module", "field"),
    [
        ("virtual_service_gateways", "pairs[0].blue"),
        ("gateway_twin", "pairs[0].blue"),
        ("resource_keep", "gateways"),
        ("resource_keep_info", "gateways"),
        ("gateway_info", "gateways"),
        ("route_info", "gateways"),
    ],
)
def test_a_malformed_reference(tmp_path: pathlib.Path, module: str, field: str, reference: str) -> None:
    params = dict({**WRITES, **READS}[module])
    if "pairs" in params:
        params["pairs"] = [{**params["pairs"][0], "blue": reference}]
    else:
        params["gateways"] = [reference]
    refused(lab.run(module, tmp_path, **params), "malformed_reference", field, repr(reference), "NAMESPACE/NAME")


def test_a_port_in_use(tmp_path: pathlib.Path) -> None:
    result = lab.run("service_node_ports", tmp_path, namespace="mesh-bad", name="green", node_ports={"http2": 30443})
    refused(result, "port_in_use", "mesh-bad/green", "30443", "istio-system/public-ingressgateway", "port https")


def test_ports_that_a_service_to_be_made_can_not_have(tmp_path: pathlib.Path) -> None:
    new = {"state": "free", "namespace": "mesh-none", "name": "new"}
    result = lab.run("service_node_ports", tmp_path, **new, node_ports={"http2": 30443})
    refused(result, "port_in_use", "mesh-none/new", "30443", "istio-system/public-ingressgateway", "port https")
    assert not lab.run("service_node_ports", tmp_path, **new, node_ports={"http2": 31972}).get("failed")


def test_a_port_out_of_the_range(tmp_path: pathlib.Path) -> None:
    result = lab.run("service_node_ports", tmp_path, namespace="mesh-bad", name="green", node_ports={"http2": 40443})
    refused(result, "port_out_of_range", "mesh-bad/green, port http2", "found 40443", "30000-32767")
    green = {**WORKLOAD["green"], "node_ports": {"http2": 40443}}
    found = lab.run("mesh_findings_info", tmp_path, pairs=[PAIR], workloads=[{**WORKLOAD, "green": green}])
    (finding,) = [one for one in found["errors"] if one["code"] == "node_port_range"]
    assert finding["object"] == "Service mesh-bad-new/new" and "40443" in finding["found"]


def test_a_certificate_that_is_not_there(tmp_path: pathlib.Path) -> None:
    result = lab.run("gateway_twin", tmp_path, pairs=[TWIN], certificates="require")
    refused(result, "secret_missing", "Secret mesh-bad-new/cert", "Gateway mesh-bad-new/new", "certificates: copy")


@pytest.mark.parametrize("module", ["resource_keep", "resource_keep_info"])
def test_a_helm_record_that_is_none(tmp_path: pathlib.Path, module: str) -> None:
    options = {"migration": "bad", "backup_dir": str(tmp_path)} if module == "resource_keep" else {}
    result = lab.run(module, tmp_path, gateways=["mesh-bad-broken/old"], **options)
    record = "Secret mesh-bad-broken/sh.helm.release.v1.broken.v1"
    refused(result, "undecodable_release", record, "release broken", "can't be decoded", "helm history broken")
    assert [path.name for path in tmp_path.iterdir()] == [f"{module}.json"]


def test_an_object_of_two_releases(tmp_path: pathlib.Path) -> None:
    options = {"migration": "bad", "backup_dir": str(tmp_path)}
    result = lab.run("resource_keep", tmp_path, gateways=["mesh-bad-two/public"], **options)
    owners = ("mesh-bad-two/first", "mesh-bad-two/second")
    refused(result, "two_owners", "Gateway mesh-bad-two/public", *owners, "take it out of all but one")
    assert [path.name for path in tmp_path.iterdir()] == ["resource_keep.json"]


@pytest.mark.parametrize(("module", "params"), {**WRITES, "haproxy_weights": BALANCER}.items())
def test_an_older_epoch(
    tmp_path: pathlib.Path, journals: dict[str, int], module: str, params: dict[str, t.Any]
) -> None:
    older = {"namespace": "mesh-bad", "name": "held", "epoch": journals["held"] - 1, "phase": "bind"}
    if module == "haproxy_weights":
        params = {**params, "green_percent": 5, "require_health": False}
    if module == "resource_keep":
        older["phase"] = "keep"
    result = lab.run(module, tmp_path, **params, journal=older)
    refused(result, "stale_epoch", "run second of bob", "mesh-bad/held", f"epoch {journals['held'] - 1}", "-e mesh_takeover=true")


def test_an_older_epoch_in_the_journal_itself(tmp_path: pathlib.Path, journals: dict[str, int]) -> None:
    older = {"namespace": "mesh-bad", "name": "held", "epoch": journals["held"] - 1}
    result = lab.run("migration_journal", tmp_path, **older, state="recorded", phase="keep", phase_state="done")
    refused(result, "stale_epoch", "run second of bob", "mesh-bad/held")


# -- migrate.yml -----------------------------------------------------------------------------------------------------
def play(migration: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """With a journal in a namespace of this scenario."""
    return lab.play({"mesh_journal_namespace": "mesh-bad", "mesh_migration": migration}, *argv, timeout=120)


@pytest.mark.parametrize(
    ("migration", "argv", "says"),
    [
        ("none", "-t cutoff", ["Unknown tag cutoff in --tags", "nothing would have run", "preflight, keep, bind"]),
        ("none", "--skip-tags celanup", ["Unknown tag celanup in --skip-tags", "nothing would have been skipped"]),
        ("none", '-t preflight -e {"mesh_soka":{}}', ["Unknown setting mesh_soka", "mesh_soak"]),
        ("none", '-t preflight -e {"mesh_gate":{"min_sampels":1}}', ["min_sampels", "min_samples", "mesh_gate"]),
        ("none", '-t preflight -e {"mesh_vantage_job":{"namespace":"x"}}', ["missing required arguments: image"]),
        ("none", '-t preflight -e {"mesh_vantage":"bastion","mesh_vantage_job":{"image":"x"}}', ["bastion and a Job"]),
        ("none", "-t preflight -e " + json.dumps(HERE, separators=(",", ":")), ["unix:/run/h.sock", "needs tcp:"]),
        ("none", "-t preflight -e " + json.dumps(BY_GIT, separators=(",", ":")), ["mesh_overrides_dir is", "a folder in /srv/config"]),
        ("none", "-t keep -e " + json.dumps(NO_COMMITS, separators=(",", ":")), ["/srv/config", "mesh_journey is ingress_to_istio"]),
        ("none", "-t deploy -e " + json.dumps(OWN, separators=(",", ":")), ["mesh_certificates is certificate", "ca_file"]),
        # Who goes back needs no authorities, and makes no commits of these.
        ("none", "-t rollback -e mesh_rollback_to=keep -e " + json.dumps(BY_GIT, separators=(",", ":")), ["no journal mesh-bad"]),
        ("none", "-t rollback -e mesh_rollback_to=keep -e " + json.dumps(OWN, separators=(",", ":")), ["no journal mesh-bad"]),
        ("none", "-t rollback -e mesh_rollback_to=verfy", ["mesh_rollback_to", "verify, cutover, soak, unbind, cleanup"]),
        ("none", "-t abort,keep", ["abort and rollback are run alone"]),
        ("none", "-t rollback", ["mesh_rollback_to"]),
        ("none", "-t rollback -e mesh_rollback_to=keep", ["no journal mesh-bad/none"]),
        ("none", "-t preflight -e mesh_context=typo", ["no context 'typo'", "lab, nobody, operator"]),
        ("none", "-t preflight -e mesh_context=nobody", ["cannot get resource", "configmaps", "mesh-bad"]),
        ("none", "-t cutover", ["verify: it has not been run", "-t verify"]),
        ("none", "-t preflight -e mesh_certificates=require", ["Secret istio-gateway/public-cert", "does not exist"]),
        ("held", "-t preflight", ["run second of bob", "mesh-bad/held", "-e mesh_takeover=true"]),
        ("ready", '-t cutover -e {"mesh_cutover_steps":[50,10]}', ["mesh_cutover_steps", "[50, 10]", "rising"]),
        ("ready", "-t cutover", ["last verification", "mesh_verify_max_age", "-t verify"]),
        ("late", "-t bind", ["bind can't run any more", "unbind of late", "-t rollback"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_playbook_refuses(migration: str, argv: str, says: list[str]) -> None:
    done = play(migration, *argv.split())
    assert done.returncode != 0, done.stdout
    text = done.stdout + done.stderr
    missing = [word for word in says if word not in text.replace('\\"', '"')]
    assert not missing, text[-3000:]
    assert "changed=0 " in done.stdout
