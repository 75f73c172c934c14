# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What binding has made of the objects, and the ways back: unbinding, rolling back, and both after a killed run.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of
from lab import meanwhile, run, start

API = "networking.istio.io/v1"
OLD, NEW = "mesh-bind/old", "mesh-bind/new"
PAIRS = [{"blue": OLD, "green": NEW}]
JOURNAL = {"namespace": "mesh-bind", "name": "bind"}
BULK = [f"bulk-{i:03}" for i in range(200)]
BULK_NAMES = [f"mesh-bind/{name}" for name in BULK]


def path(name: str, namespace: str = "mesh-bind") -> str:
    return path_of(API, "virtualservices", namespace, name)


def gateways(cluster: Cluster, name: str, namespace: str = "mesh-bind") -> list[str] | None:
    return cluster.get(path(name, namespace))["spec"].get("gateways")


def specs(cluster: Cluster) -> dict[str, t.Any]:
    bodies = cluster.list(path_of(API, "virtualservices", "mesh-bind"))
    bodies += cluster.list(path_of(API, "virtualservices", "mesh-bind-b"))
    return {f"{body['metadata']['namespace']}/{body['metadata']['name']}": body["spec"] for body in bodies}


def undo(tmp_path: pathlib.Path, epoch: int) -> list[dict[str, t.Any]]:
    """What the rollback role does: the recorded inverses, newest first."""
    steps = run("migration_journal", tmp_path, **JOURNAL, undo_from="bind")["undo"]
    for step in steps:
        fenced = {**step["inverse"]["params"], "journal": {**JOURNAL, "epoch": epoch, "phase": "rollback"}}
        assert "failed" not in run(step["inverse"]["module"], tmp_path, **fenced)
        noted = run("migration_journal", tmp_path, **JOURNAL, state="recorded", epoch=epoch, undone=[step["id"]])
        assert "failed" not in noted
    return steps


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", [OLD, NEW]),
        ("short", ["old", NEW]),
        ("dotted", ["mesh", "./old", NEW, "other/gateway"]),
        ("new-only", [OLD, NEW]),
        ("mesh-only", ["mesh"]),
        ("unsaid", None),
        ("malformed", [OLD, "a/b/c"]),
        ("root", [OLD, NEW]),
    ],
)
def test_spec_level_lists(cluster, name, expected):
    assert gateways(cluster, name) == expected


def test_a_legacy_reference_is_understood_and_kept(cluster):
    assert gateways(cluster, "legacy", "mesh-bind-b") == ["old.mesh-bind.svc.cluster.local", NEW]


def test_match_level_lists_and_absent_ones(cluster):
    spec = cluster.get(path("matches"))["spec"]
    assert spec["http"][0]["match"][0]["gateways"] == [OLD, NEW] and "match" not in spec["http"][1]
    assert spec["tls"][0]["match"][0]["gateways"] == [OLD, NEW]
    assert spec["tcp"][0]["match"][0]["gateways"] == ["mesh", OLD, NEW]


def test_a_delegate_follows_its_root(cluster):
    leaf = cluster.get(path("leaf", "mesh-bind-b"))["spec"]
    assert leaf["http"][0]["match"][0]["gateways"] == [OLD, NEW] and "gateways" not in leaf


@pytest.mark.parametrize("name", ["mesh-only", "unsaid", "malformed"])
def test_what_is_not_concerned_was_never_written(cluster, name):
    metadata = cluster.get(path(name))["metadata"]
    assert metadata["generation"] == 1
    assert "bluegreen-mesh" not in {entry["manager"] for entry in metadata["managedFields"]}


def test_rollback_leads_back_to_what_was_there(cluster, tmp_path):
    epoch = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True)["epoch"]
    assert undo(tmp_path, epoch)
    assert gateways(cluster, "plain") == [OLD] and gateways(cluster, "short") == ["old"]
    assert gateways(cluster, "new-only") == [NEW]
    assert gateways(cluster, "half") == [OLD, NEW]
    assert cluster.get(path("half"))["spec"]["http"][0]["match"][0]["gateways"] == [OLD]
    assert cluster.get(path("leaf", "mesh-bind-b"))["spec"]["http"][0]["match"][0]["gateways"] == [OLD]
    assert undo(tmp_path, epoch) == []


def test_unbinding_what_is_not_bound_is_refused_object_by_object(cluster, tmp_path):
    before = specs(cluster)
    selection = {"namespaces": ["mesh-bind"], "pairs": PAIRS, "state": "unbound", "from": "blue"}
    result = run("virtual_service_gateways", tmp_path, **selection)
    assert result["changed"] is False and specs(cluster) == before
    assert {"plain", "half", "root"} <= {entry["name"] for entry in result["virtual_services"]["skipped"]}


def test_unbind_leaves_blue(cluster, tmp_path):
    names = {"names": ["mesh-bind/dotted", "mesh-bind/root"], "pairs": PAIRS}
    assert run("virtual_service_gateways", tmp_path, **names)["counts"]["changed"] == 3
    result = run("virtual_service_gateways", tmp_path, **names, state="unbound", **{"from": "blue"})
    assert result["counts"]["changed"] == 3
    assert gateways(cluster, "dotted") == ["mesh", NEW, "other/gateway"]
    assert cluster.get(path("leaf", "mesh-bind-b"))["spec"]["http"][0]["match"][0]["gateways"] == [NEW]


# -- many objects ----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def bulk(cluster):
    def make(name: str) -> None:
        spec = {
            "hosts": [f"{name}.bind.test"],
            "gateways": [OLD],
            "http": [{"route": [{"destination": {"host": "nowhere"}}]}],
        }
        body = {"apiVersion": API, "kind": "VirtualService", "metadata": {"name": name}, "spec": spec}
        cluster.create(path_of(API, "virtualservices", "mesh-bind"), body)

    assert not [result for result in cluster.parallel(make, BULK) if result is not None]


def test_objects_that_change_under_its_hands_are_bound_and_keep_the_change(cluster, bulk, tmp_path):
    busy = BULK[:10]
    written: dict[str, int] = {}

    def meddle() -> None:
        for name in busy:
            written[name] = written.get(name, 0) + 1
            cluster.patch(path(name), {"metadata": {"annotations": {"bind.test/n": str(written[name])}}})

    with meanwhile(meddle, every=0):
        result = run("virtual_service_gateways", tmp_path, pairs=PAIRS, names=BULK_NAMES)
    assert "failed" not in result and result["counts"]["changed"] == len(BULK)
    assert {tuple(gateways(cluster, name)) for name in BULK} == {(OLD, NEW)}
    for name in busy:
        assert cluster.get(path(name))["metadata"]["annotations"]["bind.test/n"] == str(written[name])
    back = {"pairs": PAIRS, "names": BULK_NAMES, "state": "unbound", "from": "green"}
    result = run("virtual_service_gateways", tmp_path, **back)
    assert result["counts"]["changed"] == len(BULK)


def test_a_killed_run_is_overtaken_resumed_and_rolled_back(cluster, bulk, tmp_path):
    before = specs(cluster)
    killed = run("migration_journal", tmp_path, **JOURNAL, state="open", takeover=True, run_id="killed")["epoch"]
    bind = {"pairs": PAIRS, "names": BULK_NAMES}
    process = start(
        "virtual_service_gateways", tmp_path, **bind, concurrency=1,
        journal={**JOURNAL, "epoch": killed, "phase": "bind"},
    )  # fmt: skip
    while gateways(cluster, BULK[20]) == [OLD]:
        assert process.poll() is None, process.communicate()[0]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert gateways(cluster, BULK[0]) == [OLD, NEW] and gateways(cluster, BULK[-1]) == [OLD]

    refused = run("migration_journal", tmp_path, **JOURNAL, state="open", run_id="next")
    assert refused["failure"]["code"] == "run_active" and "run killed" in refused["msg"]
    epoch = run("migration_journal", tmp_path, **JOURNAL, state="open", run_id="next", takeover=True)["epoch"]
    stale = run("virtual_service_gateways", tmp_path, **bind, journal={**JOURNAL, "epoch": killed, "phase": "bind"})
    assert stale["failure"]["code"] == "stale_epoch" and "run next" in stale["msg"]

    fresh = {**JOURNAL, "epoch": epoch, "phase": "bind"}
    resumed = run("virtual_service_gateways", tmp_path, **bind, journal=fresh)
    assert 0 < resumed["counts"]["changed"] < len(BULK)
    assert run("virtual_service_gateways", tmp_path, **bind, journal=fresh)["changed"] is False
    undo(tmp_path, epoch)
    assert specs(cluster) == before


def test_no_permission_is_named(cluster, tmp_path):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    cluster.create(path_of("v1", "serviceaccounts", "mesh-bind"), account)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.create(path_of("v1", "serviceaccounts", "mesh-bind", "nobody", "token"), request)["status"]["token"]
    config = json.loads(subprocess.check_output(["kubectl", "config", "view", "--raw", "-o", "json"], text=True))
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config), encoding="utf-8")
    kubeconfig.chmod(0o600)
    result = run("virtual_service_gateways", tmp_path, pairs=PAIRS, kubeconfig=str(kubeconfig))
    assert result["failure"]["status"] == 403 and "virtualservices" in result["msg"] and "cannot list" in result["msg"]
