# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the cluster in place of the operator's host: probes, and what takes a step back after a run was killed.

The tests of the migration build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, Cluster, path_of

GROUP = "rbac.authorization.k8s.io"
RBAC = f"{GROUP}/v1"
SPACE = "mesh-job"
JOBS, PODS = path_of("batch/v1", "jobs", SPACE), path_of("v1", "pods", SPACE)
IMAGE = "lab/execution-environment"


@pytest.fixture(scope="module")
def found() -> dict[str, t.Any]:
    return json.loads((pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "routes.json").read_text())


def role(cluster: Cluster, name: str) -> None:
    """A role as it is shipped."""
    try:
        cluster.create(path_of(RBAC, "clusterroles"), yaml.safe_load((lab.ROOT / f"docs/rbac/{name}.yml").read_text()))
    except ApiError as exc:
        assert exc.reason == "AlreadyExists"


def bind(cluster: Cluster, name: str, subject: dict[str, str], namespace: str | None) -> None:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    body = {
        "apiVersion": RBAC, "kind": kind, "metadata": {"name": f"mesh-job-{name}"}, "subjects": [subject],
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": f"bluegreen-mesh-{name}"},
    }  # fmt: skip
    cluster.create(path_of(RBAC, f"{kind.lower()}s", namespace), body)


@pytest.fixture(scope="module")
def roles(cluster: Cluster) -> t.Iterator[None]:
    """The operator may make Jobs in one namespace; a service account of it may do what the watchdog needs."""
    names = ("job", "journal", "verify", "cutover")
    for name in names:
        role(cluster, name)
    bind(cluster, "job", {"apiGroup": GROUP, "kind": "User", "name": "operator"}, SPACE)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "watchdog"}}
    cluster.create(path_of("v1", "serviceaccounts", SPACE), account)
    for name in names[1:]:
        bind(cluster, name, {"kind": "ServiceAccount", "name": "watchdog", "namespace": SPACE}, None)
    yield
    for name in names[1:]:
        cluster.delete(path_of(RBAC, "clusterrolebindings", name=f"mesh-job-{name}"))
    for name in names:
        cluster.delete(path_of(RBAC, "clusterroles", name=f"bluegreen-mesh-{name}"))


# -- probes ----------------------------------------------------------------------------------------------------------
def verify(found: dict[str, t.Any], tmp_path: pathlib.Path, **changes: t.Any) -> dict[str, t.Any]:
    routes = [route for route in found["routes"] if route["host"] == "plain.verify.test"]
    assert routes
    job = {"image": IMAGE, "namespace": SPACE, **changes.pop("job", {})}
    return lab.run("route_verify", tmp_path, **{"routes": routes, **found["sides"], "job": job, **changes})


def gone(cluster: Cluster) -> bool:
    """Whether nothing is left of any Job: it, its pods, its Secret."""
    ours = {"labelSelector": "bluegreen.mesh/job"}
    return not any(cluster.list(path, ours) for path in (JOBS, PODS, path_of("v1", "secrets", SPACE)))


@pytest.mark.usefixtures("roles")
def test_the_shipped_permissions_are_enough_and_nothing_stays(cluster, found, tmp_path):
    result = verify(found, tmp_path, context="operator", deadline=30)
    assert result["verified"] and result["counts"]["equal"] == 6, result
    lab.until(lambda: gone(cluster), 120)


@pytest.mark.usefixtures("roles")
def test_nowhere_else_may_that_user_make_jobs(found, tmp_path):
    result = verify(found, tmp_path, context="operator", job={"namespace": "default"})
    assert result["failed"] and result["failure"]["status"] == 403 and "docs/permissions.md" in result["msg"]


def test_a_side_that_is_not_there_is_unreachable_from_a_pod_too(found, tmp_path):
    sides = json.loads(json.dumps(found["sides"]))
    sides["green"]["ports"]["8443"] = 30999
    result = verify(found, tmp_path, green=sides["green"])
    assert result["failed"] and result["counts"]["unreachable"] == 6 and not result["verified"]


@pytest.mark.parametrize(
    ("job", "code", "words"),
    [
        ({"image": "lab/no-such-image"}, "job_not_started", ("BackOff", "lab/no-such-image", "image_pull_secrets")),
        ({"service_account": "nobody"}, "job_not_started", ('"nobody" not found', "Check service_account")),
        ({"python": "/bin/false", "start_timeout": 120}, "job_failed", ("BackoffLimitExceeded", "ended with 1")),
    ],
)  # fmt: skip
def test_a_job_that_does_not_run_is_an_error(cluster, found, tmp_path, job, code, words):
    result = verify(found, tmp_path, job={"start_timeout": 6, **job})
    assert result["failed"] and result["failure"]["code"] == code, result
    assert all(word in result["msg"] for word in (f"Job {SPACE}/", *words)), result["msg"]
    lab.until(lambda: gone(cluster), 120)


def test_a_deadline_is_an_error(found, tmp_path):
    nowhere = {"addresses": ["192.0.2.1"], "ports": {"8443": 443, "8080": 80}}
    result = verify(found, tmp_path, green=nowhere, passes=2, deadline=600, job={"start_timeout": 12, "deadline": 1})
    assert result["failed"] and result["failure"]["code"] == "job_failed", result
    assert "DeadlineExceeded" in result["msg"] and "more time" in result["msg"]


def test_a_quota_is_an_error(cluster, found, tmp_path):
    quotas = path_of("v1", "resourcequotas", SPACE)
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.create(quotas, body)
    try:
        lab.until(lambda: "hard" in cluster.get(f"{quotas}/none").get("status", {}), 300)
        result = verify(found, tmp_path, job={"start_timeout": 10})
    finally:
        cluster.delete(f"{quotas}/none")
    assert result["failure"]["code"] == "job_not_started" and "exceeded quota" in result["msg"], result["msg"]
    assert "Raise the quota" in result["msg"]


# -- the migration ---------------------------------------------------------------------------------------------------
SETTINGS = {
    "mesh_migration": "job",
    "mesh_journal_namespace": SPACE,
    "mesh_traffic": {"probe": {"dir": f"{os.environ['LAB_STATE']}/traffic-job"}},
    **lab.QUICK,
    "mesh_vantage_job": {"image": IMAGE},
    # The lab has no DNS for the API server's name.
    "mesh_watchdog": {
        "server": "https://172.30.0.1:6443", "job": {"image": IMAGE, "service_account": "watchdog"},
    },
}  # fmt: skip


def forward(*tags: str, **more: t.Any) -> None:
    done = lab.play({**SETTINGS, **more}, "--tags", ",".join(tags))
    assert done.returncode == 0, done.stdout[-4000:]


def made(cluster: Cluster, kind: str) -> set[str]:
    """The Jobs of a kind that there have been, by their events."""
    found = cluster.list(path_of("v1", "events", SPACE), {"fieldSelector": "involvedObject.kind=Job"})
    names = {one["involvedObject"]["name"] for one in found}
    return {name for name in names if name.startswith(f"bluegreen-mesh-{kind}-")}


def weights(green: int) -> bool:
    expected = {"blue": 100 - green, "green": green}
    return all(weight == expected[name.partition("/")[2].partition("-")[0]] for name, weight in lab.weights().items())


def run_of(cluster: Cluster) -> dict[str, t.Any]:
    return json.loads(cluster.get(path_of("v1", "configmaps", SPACE, "job"))["data"]["run"])


@pytest.mark.usefixtures("roles")
def test_a_migration_is_verified_from_pods(cluster):
    routes = path_of("v1", "namespaces", name="mesh-verify")  # their Gateways are on blue, and would have no green
    cluster.delete(routes)
    lab.until(lambda: cluster.find(routes) is None, 180)
    before = made(cluster, "probe")
    forward("preflight", "keep", "bind", "deploy", "verify")
    assert len(made(cluster, "probe") - before) == 3  # one for each pair of Gateways
    lab.until(lambda: gone(cluster), 120)


def test_a_step_that_holds_leaves_no_watchdog(cluster):
    forward("cutover", mesh_cutover_to="green:20")
    assert weights(20) and len(made(cluster, "watchdog")) == 1
    lab.until(lambda: gone(cluster), 120)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image": "lab/no-such-image", "start_timeout": 30}, ("ImagePullBackOff", "image_pull_secrets")),
        ({"service_account": "default"}, ("does not watch", "not allowed (403)")),
    ],
)
def test_a_step_that_nobody_could_watch_is_not_made(cluster, changes, words):
    usual = SETTINGS["mesh_watchdog"]
    watchdog = {**usual, "job": {**usual["job"], **changes}}
    settings = {**SETTINGS, "mesh_cutover_to": "green:50", "mesh_watchdog": watchdog}
    done = lab.play(settings, "--tags", "cutover")
    assert done.returncode != 0 and all(word in done.stdout for word in words), done.stdout[-4000:]
    assert weights(20)
    lab.until(lambda: gone(cluster), 120)


def test_a_step_whose_run_was_killed_is_taken_back_from_within_the_cluster(cluster):
    # Samples that never come: the run is in the gate until it is killed.
    gate = {**SETTINGS["mesh_gate"], "min_samples": 10**9, "deadline": 600}
    watchdog = {**SETTINGS["mesh_watchdog"], "deadline": 60}
    settings = {**SETTINGS, "mesh_cutover_to": "green:50", "mesh_gate": gate, "mesh_watchdog": watchdog}
    lab.kill_when(lambda: weights(50), settings, "--tags", "cutover", seconds=300)
    assert weights(50) and run_of(cluster)["state"] == "active"
    lab.until(lambda: weights(20), 300)
    lab.until(lambda: run_of(cluster)["state"] == "closed", 300)
    assert run_of(cluster)["operator"] == "watchdog" and run_of(cluster)["host"].startswith("bluegreen-mesh-watchdog-")
    (left,) = cluster.list(JOBS)
    lab.until(lambda: cluster.get(f"{JOBS}/{left['metadata']['name']}")["status"].get("succeeded") == 1, 300)


def test_all_of_it_is_undone():
    forward("rollback", mesh_rollback_to="keep")
    assert weights(0)
