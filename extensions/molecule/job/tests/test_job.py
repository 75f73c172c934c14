# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the cluster in place of the operator's host: probes.
"""

from __future__ import annotations

import json
import os
import pathlib
import time
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


def until(condition: t.Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


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
    """The operator may make Jobs in one namespace."""
    names = ("job",)
    for name in names:
        role(cluster, name)
    bind(cluster, "job", {"apiGroup": GROUP, "kind": "User", "name": "operator"}, SPACE)
    yield
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
    until(lambda: gone(cluster), 30)


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
        ({"python": "/bin/false"}, "job_failed", ("BackoffLimitExceeded", "ended with 1")),
    ],
)  # fmt: skip
def test_a_job_that_does_not_run_is_an_error(cluster, found, tmp_path, job, code, words):
    result = verify(found, tmp_path, job={"start_timeout": 6, **job})
    assert result["failed"] and result["failure"]["code"] == code, result
    assert all(word in result["msg"] for word in (f"Job {SPACE}/", *words)), result["msg"]
    until(lambda: gone(cluster), 30)


def test_a_deadline_is_an_error(found, tmp_path):
    nowhere = {"addresses": ["192.0.2.1"], "ports": {"8443": 443, "8080": 80}}
    result = verify(found, tmp_path, green=nowhere, passes=2, deadline=600, job={"start_timeout": 2, "deadline": 3})
    assert result["failed"] and result["failure"]["code"] == "job_failed", result
    assert "DeadlineExceeded" in result["msg"] and "more time" in result["msg"]


def test_a_quota_is_an_error(cluster, found, tmp_path):
    quotas = path_of("v1", "resourcequotas", SPACE)
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.create(quotas, body)
    try:
        until(lambda: "hard" in cluster.get(f"{quotas}/none").get("status", {}))
        result = verify(found, tmp_path, job={"start_timeout": 4})
    finally:
        cluster.delete(f"{quotas}/none")
    assert result["failure"]["code"] == "job_not_started" and "exceeded quota" in result["msg"], result["msg"]
    assert "Raise the quota" in result["msg"]
