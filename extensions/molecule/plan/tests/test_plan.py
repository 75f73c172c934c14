# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan, refusal of a cluster that has moved, the runbook run by a shell, the journal lost and restored, and abort.

The tests build on each other, in their order. They go as far as the middle of the cutover, with a run that is stuck
there, and come back.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

ISTIO = "networking.istio.io/v1"
STATE = pathlib.Path(os.environ["LAB_STATE"])
DIR = STATE / "plan-scenario"
JOURNAL = {"namespace": "mesh-plan", "name": "plan"}
SETTINGS = {
    "mesh_migration": "plan",
    "mesh_journal_namespace": "mesh-plan",
    "mesh_plan_dir": str(DIR),
    "mesh_report_dir": str(DIR / "reports"),
    "mesh_journal_backup_dir": str(DIR / "journals"),
    "mesh_ticket": "CHG-1234",
    "mesh_operator": "ada",
    "mesh_traffic": {"probe": {"dir": f"{STATE}/traffic-plan"}},
    # Few probes and one small step: what is tested is the way back.
    "mesh_cutover_steps": [50],
    **lab.QUICK,
    **lab.UNHURRIED,
}
PLAN = DIR / "plan-lab.json"
BLUE = {f"{listener}/{colour}-node-{n}": weight for listener in (
    "public_http", "public_https", "passthrough_http", "passthrough_https")
    for colour, weight in (("blue", 100), ("green", 0)) for n in (1, 2)}  # fmt: skip


def versions(cluster: Cluster) -> dict[str, str]:
    kinds = [(ISTIO, "virtualservices"), (ISTIO, "gateways"), ("v1", "secrets"), ("v1", "services")]
    bodies = [body for kind in [*kinds, ("v1", "configmaps")] for body in cluster.list(path_of(*kind))]
    return {f"{b['kind']} {b['metadata'].get('namespace')}/{b['metadata']['name']}": b["metadata"]["resourceVersion"]
            for b in bodies}  # fmt: skip


def lists(body: t.Any) -> t.Any:
    """What a VirtualService says, with the members of each list of gateways in no order."""
    if isinstance(body, dict):
        return {k: sorted(v) if k == "gateways" else lists(v) for k, v in body.items()}
    return [lists(item) for item in body] if isinstance(body, list) else body


def specs(cluster: Cluster) -> dict[str, t.Any]:
    bodies = cluster.list(path_of(ISTIO, "virtualservices"))
    return {f"{b['metadata']['namespace']}/{b['metadata']['name']}": lists(b["spec"]) for b in bodies}


def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "mesh-plan", "plan"))["data"]
    return {name: json.loads(data[name]) for name in ("phases", "steps", "run", "runs")}


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> dict[str, t.Any]:
    assert lab.weights() == BLUE
    return {"versions": versions(cluster), "specs": specs(cluster)}


@pytest.fixture(scope="module")
def planned(before: dict[str, t.Any]) -> dict[str, t.Any]:
    done = lab.play(SETTINGS, "--tags", "plan")
    assert done.returncode == 0, done.stdout[-4000:]
    return json.loads(PLAN.read_text(encoding="utf-8"))


def changes(plan: dict[str, t.Any], phase: str) -> list[dict[str, t.Any]]:
    return next(p["changes"] for p in plan["phases"] if p["phase"] == phase)


# -- plan ------------------------------------------------------------------------------------------------------------
def test_a_plan_changes_nothing(cluster: Cluster, before: dict[str, t.Any], planned: dict[str, t.Any]) -> None:
    assert versions(cluster) == before["versions"] and lab.weights() == BLUE


def test_a_plan_says_what_each_phase_does(planned: dict[str, t.Any]) -> None:
    assert not [phase for phase in planned["phases"] if phase["refused"]]
    bound = {change["object"]: change for change in changes(planned, "bind") if change["field"] == "spec.gateways"}
    assert bound["VirtualService shop/shop"]["before"] == ["istio-system/public"]
    assert "istio-gateway/public-ingressgateway" in bound["VirtualService shop/shop"]["after"]
    made = {change["object"] for change in changes(planned, "deploy")}
    assert {"Namespace istio-gateway", "Secret istio-gateway/public-cert",
            "Gateway istio-gateway/public-ingressgateway",
            "Helm release istio-gateway/public-ingressgateway"} <= made  # fmt: skip
    steps = {(change["before"], change["after"]) for change in changes(planned, "cutover")}
    assert steps == {(100, 50), (0, 50)}
    assert "Helm release istio-system/istio-ingress" in {change["object"] for change in changes(planned, "cleanup")}
    assert not [phase for phase in planned["phases"] if phase["unknown"]]
    served = {change["object"]: change for change in changes(planned, "unbind") if change["field"] == "spec.gateways"}
    assert served["VirtualService shop/shop"]["before"] == bound["VirtualService shop/shop"]["after"]
    assert served["VirtualService shop/shop"]["after"] == ["istio-gateway/public-ingressgateway"]
    (policy,) = {c["object"] for c in changes(planned, "bind") if "PolicyBinding" in c["object"]}
    assert next(c["after"] for c in changes(planned, "unbind") if c["object"] == policy) is None


def test_its_text_is_for_a_change_request(planned: dict[str, t.Any]) -> None:
    text = PLAN.with_suffix(".txt").read_text(encoding="utf-8")
    for part in ("by ada, ticket CHG-1234", planned["cluster"], "the way back", "VirtualService shop/shop"):
        assert part in text
    assert "PRIVATE KEY" not in text


def test_a_cluster_that_has_moved_is_refused(cluster: Cluster, planned: dict[str, t.Any]) -> None:
    path = path_of(ISTIO, "virtualservices", "shop", "offers")
    cluster.patch(path, {"spec": {"gateways": ["istio-system/public", "mesh"]}})
    moved = versions(cluster)
    # Another setting, too.
    done = lab.play({**SETTINGS, "mesh_plan": str(PLAN), "mesh_deploy_timeout": 91}, "--tags", "preflight,keep,bind")
    assert done.returncode != 0
    for part in ("settings: setting mesh_deploy_timeout: approved 90, now 91; bind: ",
                 "bind: VirtualService shop/offers spec.gateways: approved"):  # fmt: skip
        assert part in done.stdout, done.stdout[-3000:]
    assert versions(cluster) == moved  # not even a journal
    cluster.patch(path, {"spec": {"gateways": ["istio-system/public"]}})


@pytest.fixture(scope="module")
def halfway(cluster: Cluster, planned: dict[str, t.Any]) -> dict[str, t.Any]:
    first = lab.play({**SETTINGS, "mesh_plan": str(PLAN)}, "--tags", "preflight,keep,bind")
    assert first.returncode == 0, first.stdout[-4000:]
    # What has been done is no difference.
    done = lab.play({**SETTINGS, "mesh_plan": str(PLAN)}, "--tags", "bind,deploy,verify,cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    assert set(lab.weights().values()) == {50}
    return journal(cluster)


def test_what_was_approved_can_be_done_in_parts(halfway: dict[str, t.Any]) -> None:
    states = {name: phase["state"] for name, phase in halfway["phases"].items()}
    assert states["deploy"] == states["verify"] == "done" and states["cutover"] == "started"
    assert [(run["operator"], run["ticket"]) for run in halfway["runs"]] == [("ada", "CHG-1234")] * 2


def test_the_plan_covers_unbind_once_bind_has_run(halfway: dict[str, t.Any]) -> None:
    done = lab.play({**SETTINGS, "mesh_plan": str(PLAN)}, "--tags", "unbind")
    assert done.returncode != 0 and "Not done according to journal" in done.stdout, done.stdout[-3000:]
    assert "plan_drift" not in done.stdout and "does not cover" not in done.stdout


# -- the journal, lost and restored ----------------------------------------------------------------------------------
def test_a_lost_journal_is_restored(cluster: Cluster, halfway: dict[str, t.Any]) -> None:
    path = path_of("v1", "configmaps", "mesh-plan", "plan")
    copies = sorted((DIR / "journals").glob("plan-*.json"))
    assert copies and all(oct(copy.stat().st_mode & 0o777) == "0o600" for copy in copies)
    body = cluster.get(path)
    cluster.delete(path)
    for secret in cluster.list(path_of("v1", "secrets", "mesh-plan")):
        cluster.delete(path_of("v1", "secrets", "mesh-plan", secret["metadata"]["name"]))
    done = lab.play({**SETTINGS, "mesh_journal_restore": str(copies[-1])}, "--tags", "restore")
    assert done.returncode == 0, done.stdout[-3000:]
    assert json.loads(cluster.get(path)["data"]["steps"]) == json.loads(body["data"]["steps"])


# -- the runbook -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def stuck(halfway: dict[str, t.Any], tmp_path_factory: pytest.TempPathFactory) -> int:
    """Another run has the journal and does not end."""
    taken = lab.run(
        "migration_journal", tmp_path_factory.mktemp("stuck"), **JOURNAL, state="open", run_id="stuck", takeover=True
    )
    return taken["epoch"]


@pytest.fixture(scope="module")
def runbook(stuck: int) -> dict[str, t.Any]:
    done = lab.play(SETTINGS, "--tags", "report")
    assert done.returncode == 0, done.stdout[-3000:]
    return json.loads((DIR / "reports" / "plan-lab.json").read_text(encoding="utf-8"))


def by_hand(report: dict[str, t.Any], name: str, tmp_path: pathlib.Path) -> str:
    """A section of the runbook, run literally."""
    section = next(section for section in report["sections"] if section["name"] == name)
    script = "\n".join([report["preamble"], *(command["run"] for command in section["commands"])])
    command = ["sh", "-eu", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_where_are_we(runbook: dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    said = by_hand(runbook, "where", tmp_path)
    assert '"cutover"' in said and '"stuck"' in said and "public_https blue-node-1 50" in said


def test_all_traffic_back_to_blue_by_hand(runbook: dict[str, t.Any], tmp_path: pathlib.Path) -> None:
    assert set(lab.weights().values()) == {50}
    by_hand(runbook, "traffic", tmp_path)
    assert lab.weights() == BLUE


def test_bindings_restored_by_hand(
    cluster: Cluster, before: dict[str, t.Any], runbook: dict[str, t.Any], tmp_path: pathlib.Path
) -> None:
    assert specs(cluster) != before["specs"]
    by_hand(runbook, "clients", tmp_path)
    by_hand(runbook, "bind", tmp_path)
    assert specs(cluster) == before["specs"]


# -- abort -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def half(cluster: Cluster, stuck: int) -> None:
    """Half of the traffic is at green again."""
    for server in lab.weights():
        lab.ask(f"set server {server} weight 50")
    assert set(lab.weights().values()) == {50}


def test_abort_leaves_traffic_where_blue_is_not_good(cluster: Cluster, half: None) -> None:
    for node in (1, 2):
        lab.ask(f"set server public_http/blue-node-{node} state maint")
    done = lab.play(SETTINGS, "--tags", "abort")
    for node in (1, 2):
        lab.ask(f"set server public_http/blue-node-{node} state ready")
    assert done.returncode != 0 and "blue is not good to go back" in done.stdout, done.stdout[-3000:]
    assert "backends without a server of blue's that is up: public_http;" in done.stdout
    assert set(lab.weights().values()) == {50}
    assert "cutover" in {step["phase"] for step in journal(cluster)["steps"] if step["state"] == "done"}


def test_abort_gives_blue_all_traffic_however_little_time_it_has(cluster: Cluster, half: None) -> None:
    steps = [(step["id"], step["state"]) for step in journal(cluster)["steps"]]
    in_no_time = {"mesh_abort_timeout": 1, "mesh_cut_connections": True}
    done = lab.play({**SETTINGS, **in_no_time}, "--tags", "abort")
    assert done.returncode != 0 and "the 1 s of mesh_abort_timeout are over" in done.stdout, done.stdout[-3000:]
    assert lab.weights() == BLUE
    found = journal(cluster)
    assert [(step["id"], step["state"]) for step in found["steps"]] == steps, "there was no time for these"
    assert found["phases"]["deploy"]["state"] == "done" and found["run"]["state"] == "closed"


def test_abort_goes_on_past_what_fails_and_lists_it(cluster: Cluster, before: dict[str, t.Any], half: None) -> None:
    """A finalizer of someone else's: green's Gateway is not gone when it was deleted. And a webhook that says no."""
    deny = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "plan-deny"},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["networking.istio.io"], "apiVersions": ["*"],
                                                    "operations": ["DELETE"], "resources": ["gateways"]}]},
            "validations": [{"expression": "false", "message": "not tonight"}],
        },
    }  # fmt: skip
    bound = {
        "apiVersion": deny["apiVersion"], "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "plan-deny"},
        "spec": {"policyName": "plan-deny", "validationActions": ["Deny"]},
    }  # fmt: skip
    policies, bindings = (f"/apis/{deny['apiVersion']}/validatingadmissionpolic{kind}" for kind in ("ies", "ybindings"))
    cluster.create(policies, deny)
    cluster.create(bindings, bound)
    target = path_of(ISTIO, "gateways", "istio-gateway", "public-ingressgateway")
    lab_wait(lambda: "not tonight" in refusal_of(cluster, target))
    done = lab.play(SETTINGS, "--tags", "abort")
    cluster.delete(f"{bindings}/plan-deny")
    cluster.delete(f"{policies}/plan-deny")
    assert done.returncode != 0 and "Not everything could be undone" in done.stdout, done.stdout[-3000:]
    assert "not tonight" in done.stdout
    assert lab.weights() == BLUE and specs(cluster) == before["specs"]
    left = {step["op"] for step in journal(cluster)["steps"] if step["state"] != "undone"}
    assert left == {"twin_gateway"}
    lab_wait(lambda: "not tonight" not in refusal_of(cluster, target))


def refusal_of(cluster: Cluster, path: str) -> str:
    try:
        cluster.delete(path, dry_run=True)
    except Exception as exc:
        return str(exc)
    return ""


def lab_wait(condition: t.Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_abort_again_ends_it(cluster: Cluster, before: dict[str, t.Any]) -> None:
    done = lab.play(SETTINGS, "--tags", "abort")
    assert done.returncode == 0, done.stdout[-3000:]
    found = journal(cluster)
    assert {step["state"] for step in found["steps"]} == {"undone"} and found["run"]["state"] == "closed"
    assert lab.weights() == BLUE and specs(cluster) == before["specs"]
    gateways = [body["metadata"] for body in cluster.list(path_of(ISTIO, "gateways"))]
    assert not [meta for meta in gateways if meta["namespace"] == "istio-gateway"]
