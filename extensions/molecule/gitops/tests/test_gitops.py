# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration by Git, to green alone and back: what the phases want in the cluster comes and goes with commits that a
controller applies (controller.py), and so do a team's VirtualServices and green itself. Under traffic.

The tests build on each other, in their order.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import FIELD_MANAGER, Cluster, path_of

STATE = pathlib.Path(os.environ["LAB_STATE"])
DIR = STATE / "gitops"
REPO, BARE = DIR / "copy", DIR / "remote.git"
TRAFFIC = str(STATE / "traffic-gitops")
ISTIO, SECURITY, ADMISSION = "networking.istio.io/v1", "security.istio.io/v1", "admissionregistration.k8s.io/v1"
GREEN = "istio-gateway"
LABEL = "bluegreen.mesh/migration"
POLICY, GUARD = "bluegreen-mesh-bind-by-git", "bluegreen-mesh-keep-by-git"
WATCHED = (
    (ISTIO, "gateways"),
    (ISTIO, "virtualservices"),
    (SECURITY, "authorizationpolicies"),
    (ADMISSION, "mutatingadmissionpolicies"),
    (ADMISSION, "mutatingadmissionpolicybindings"),
    (ADMISSION, "validatingadmissionpolicies"),
    (ADMISSION, "validatingadmissionpolicybindings"),
)
COMMITTED = {
    f"gateways {GREEN}/public-ingressgateway", f"gateways {GREEN}/httpbin-gateway",
    f"authorizationpolicies {GREEN}/gitops-edge-public-ingressgateway",
    f"mutatingadmissionpolicies /{POLICY}", f"mutatingadmissionpolicybindings /{POLICY}",
    f"validatingadmissionpolicies /{GUARD}", f"validatingadmissionpolicybindings /{GUARD}",
}  # fmt: skip
WORKLOAD = {
    "name": "public",
    "blue": {"namespace": "istio-system", "service": "public-ingressgateway"},
    "green": {
        "namespace": GREEN, "release": "public-ingressgateway",
        "labels": {"app": "public-gateway", "istio": "public-gateway"},
        "node_ports": {"status-port": 30022, "http2": 30081, "https": 30444},
    },
}  # fmt: skip
PAIRS = [
    {"blue": "istio-system/public", "green": f"{GREEN}/public-ingressgateway", "workload": "public"},
    {"blue": "httpbin/httpbin-gateway", "green": f"{GREEN}/httpbin-gateway", "workload": "public"},
]
SETTINGS: dict[str, t.Any] = {
    "mesh_migration": "by-git",
    "mesh_journal_namespace": "mesh-gitops",
    "mesh_gateways": PAIRS,
    "mesh_workloads": [WORKLOAD],
    "mesh_deploy_method": "existing",
    "mesh_certificates": "require",
    "mesh_gitops": {
        "repo": str(REPO), "branch": "main", "path": "migration", "command": ["git", "push", "--quiet"], "wait": 240,
        "paths": [str(REPO / "apps")],
    },
    "mesh_overrides_dir": str(REPO / "overrides"),
    "mesh_balancer": {
        "type": "haproxy", "runtime_apis": ["tcp:172.30.0.20:9999"], "backends": ["public_http", "public_https"],
        "blue_servers": "^blue-", "green_servers": "^green-",
    },
    "mesh_findings_waived": ["gateway_left_behind"],  # the passthrough one, on purpose
    "mesh_parity": "none",
    # Few probes and few steps: what is tested is Git.
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [50, 100],
    "mesh_soak": {"window": 5, "deadline": 90},
    **lab.QUICK,
}  # fmt: skip


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", str(REPO), *arguments], capture_output=True, text=True, check=True).stdout


def deliver(message: str) -> None:
    """What people do."""
    git("add", "--all", "apps", "green")
    git("commit", "--quiet", "--message", message)
    git("push", "--quiet", "--set-upstream", "origin", "main")


def applied() -> str:
    path = DIR / "work" / "revision"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def until(condition: t.Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, (DIR / "work" / "log").read_text(encoding="utf-8")[-4000:]
        time.sleep(0.2)


def look(cluster: Cluster) -> dict[str, dict[str, t.Any]]:
    """What is watched, by plural, namespace and name."""
    return {
        f"{plural} {body['metadata'].get('namespace', '')}/{body['metadata']['name']}": body
        for group_version, plural in WATCHED
        for body in cluster.list(path_of(group_version, plural))
    }


def said(body: dict[str, t.Any]) -> t.Any:
    """What an object says, without what every write moves."""
    applied_last = (body["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/last-applied-configuration")
    return body["spec"], json.loads(applied_last) if applied_last else None


def names(seen: dict[str, dict[str, t.Any]], namespace: str = "") -> set[str]:
    """Every gateway that a VirtualService of the namespace names, at the top."""
    found = [body for name, body in seen.items() if name.startswith(f"virtualservices {namespace}")]
    return {name for body in found for name in body["spec"].get("gateways") or []}


def play(*argv: str, **more: t.Any) -> str:
    done = lab.play({**SETTINGS, **more}, *argv)
    assert done.returncode == 0, done.stdout[-4000:] + (DIR / "work" / "log").read_text(encoding="utf-8")[-2000:]
    return done.stdout


# -- the sources -----------------------------------------------------------------------------------------------------
def team() -> None:
    """Its VirtualServices, as it has applied them before."""
    folder = REPO / "apps"
    folder.mkdir()
    bodies = list(yaml.safe_load_all((lab.ROOT / "tests/lab/apps/hosts/pay.yaml").read_text(encoding="utf-8")))
    routes = [body for body in bodies if body["kind"] == "VirtualService"]
    (folder / "routes.yaml").write_text(yaml.safe_dump_all(routes), encoding="utf-8")
    kustomization = {"kind": "Kustomization", "resources": ["routes.yaml"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")


def green(tmp_path: pathlib.Path) -> None:
    """Istio's chart, rendered."""
    own = WORKLOAD["green"]
    values = lab.run(
        "gateway_values_info", tmp_path, service="istio-system/public-ingressgateway", labels=own["labels"],
        node_ports=own["node_ports"],
    )  # fmt: skip
    chart = f"{os.environ['ISTIO_CHARTS']}/gateway"
    command = ["helm", "template", own["release"], chart, "--namespace", GREEN, "--values=-"]
    text = subprocess.run(
        command, input=yaml.safe_dump(values["chart_values"]), capture_output=True, text=True, check=True
    ).stdout
    folder = REPO / "green"
    folder.mkdir()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GREEN}}
    (folder / "all.yaml").write_text(f"{yaml.safe_dump(namespace)}---\n{text}", encoding="utf-8")
    kustomization = {"kind": "Kustomization", "resources": ["all.yaml"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")


@pytest.fixture(scope="module")
def before(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[dict[str, dict[str, t.Any]]]:
    """The lab as it is found, with a policy that blue has, a repository, and its controller at work."""
    shutil.rmtree(DIR, ignore_errors=True)
    (DIR / "work").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(BARE)], check=True)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(REPO)], check=True)
    for name, value in (("user.name", "ada"), ("user.email", "ada@lab.test"), ("remote.origin.url", str(BARE))):
        git("config", name, value)
    edge = {
        "apiVersion": SECURITY, "kind": "AuthorizationPolicy",
        "metadata": {"namespace": "istio-system", "name": "gitops-edge"},
        "spec": {
            "selector": {"matchLabels": {"app": "public-ingressgateway"}}, "action": "DENY",
            "rules": [{"to": [{"operation": {"ports": ["8443"], "paths": ["/gitops-denied"]}}]}],
        },
    }  # fmt: skip
    cluster.create(path_of(SECURITY, "authorizationpolicies", "istio-system"), edge)
    team()
    green(tmp_path_factory.mktemp("values"))
    deliver("As it is, and green")
    controller = pathlib.Path(__file__).parents[1] / "controller.py"
    argv = [sys.executable, str(controller), str(BARE), str(DIR / "work"), f"{LABEL}=by-git"]
    with subprocess.Popen(argv) as process:
        try:
            until(lambda: applied() == git("rev-parse", "HEAD").strip())
            # The certificate comes by other means than Git, as it always has to.
            cert = cluster.get(path_of("v1", "secrets", "istio-system", "public-cert"))
            meta = {"namespace": GREEN, "name": "public-cert"}
            copy = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": cert["type"], "data": cert["data"]}
            cluster.create(path_of("v1", "secrets", GREEN), copy)
            yield look(cluster)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def there(cluster: Cluster, before: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """At 100 %, with both sides bound."""
    play("--tags", "preflight,keep,bind,deploy,verify,cutover,soak")
    return look(cluster)


@pytest.fixture(scope="module")
def unbound(cluster: Cluster, there: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """The team uses what was written for it; the others have said that they will see to theirs."""
    path = REPO / "apps" / "kustomization.yaml"
    used = {**yaml.safe_load(path.read_text(encoding="utf-8")), "components": ["../overrides/kustomize"]}
    path.write_text(yaml.safe_dump(used), encoding="utf-8")
    others = [name.split()[1] for name in there if name.startswith("virtualservices ") and " pay/" not in name]
    play("--tags", "unbind", mesh_unbind_waived=others)
    return look(cluster)


@pytest.fixture(scope="module")
def back(cluster: Cluster, unbound: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    play("--tags", "rollback", mesh_rollback_to="deploy")
    # Bound to both sides, as before deploy, and green has nothing of ours yet.
    kept = {name for name in COMMITTED if POLICY in name or GUARD in name}
    assert look(cluster).keys() & COMMITTED == kept
    play("--tags", "rollback", mesh_rollback_to="keep")
    return look(cluster)


# -- there -----------------------------------------------------------------------------------------------------------
def test_what_the_phases_want_comes_from_git(before: dict[str, t.Any], there: dict[str, t.Any]) -> None:
    assert there.keys() - before.keys() == COMMITTED
    for name in COMMITTED:
        meta = there[name]["metadata"]
        assert meta["labels"][LABEL] == "by-git", name
        assert FIELD_MANAGER not in {entry["manager"] for entry in meta["managedFields"]}, name


def test_every_phase_has_committed_its_own_folder(there: dict[str, t.Any]) -> None:
    log = git("log", "--reverse", "--format=%b", "--", "migration").split("\n")
    wanted = [f"Migration: by-git{end}" for end in ("", "/keep: keep", "/bind: bind", "/deploy: deploy")]
    assert [line for line in log if line] == wanted
    files = git("show", "--name-only", "--format=", "HEAD").split()
    assert files[-1] == "migration/kustomization.yaml" and {f.split("/")[0] for f in files} == {"migration"}
    assert len([file for file in files if file.startswith("migration/deploy/")]) == 4
    assert git("ls-files", "overrides") == ""  # they are for unbind
    assert applied() == git("rev-parse", "HEAD").strip()


def test_no_private_key_is_in_git(cluster: Cluster, there: dict[str, t.Any]) -> None:
    secret = cluster.get(path_of("v1", "secrets", GREEN, "public-cert"))
    assert base64.b64decode(secret["data"]["tls.key"]).decode().splitlines()[1] not in git("log", "--patch")
    assert secret["data"]["tls.key"] not in git("log", "--patch")


def test_everything_is_bound_to_both_sides(there: dict[str, t.Any]) -> None:
    assert {"istio-system/public", PAIRS[0]["green"]} <= names(there, "pay/")
    assert set(name for name, weight in lab.weights().items() if name.startswith("public") and weight == 100) == {
        f"public_{port}/green-node-{n}" for port in ("http", "https") for n in (1, 2)
    }


def test_a_second_run_commits_nothing(cluster: Cluster, there: dict[str, t.Any]) -> None:
    head = git("rev-parse", "HEAD")
    assert " changed=0 " in play("--tags", "deploy")
    assert git("rev-parse", "HEAD") == head


# -- green alone -----------------------------------------------------------------------------------------------------
def test_a_team_s_routes_are_green_at_their_source(unbound: dict[str, t.Any]) -> None:
    routes = {name: body for name, body in unbound.items() if name.startswith("virtualservices pay/")}
    assert names(routes) == {PAIRS[0]["green"]}
    for name, body in routes.items():
        _spec, source = said(body)
        assert source["spec"].get("gateways", [PAIRS[0]["green"]]) == [PAIRS[0]["green"]], name


def test_the_policy_went_by_git_too(unbound: dict[str, t.Any]) -> None:
    assert not [name for name in unbound if POLICY in name]
    assert {name for name in COMMITTED if POLICY not in name} <= unbound.keys()
    log = [line for line in git("log", "--reverse", "--format=%b").split("\n") if line]
    assert log[-3:] == ["Migration: by-git/unbind", *["Migration: by-git/unbind: bind"] * 2]
    assert not (REPO / "migration" / "bind").exists()


# -- and back --------------------------------------------------------------------------------------------------------
def test_everything_is_as_it_was(before: dict[str, t.Any], back: dict[str, t.Any]) -> None:
    assert back.keys() == before.keys()
    differing = {name: back[name]["spec"] for name in before if said(back[name]) != said(before[name])}
    assert not differing, json.dumps(differing, indent=1)[:4000]
    assert set(lab.weights().items()) >= {
        (f"public_{port}/{colour}-node-{n}", weight)
        for port in ("http", "https") for colour, weight in (("blue", 100), ("green", 0)) for n in (1, 2)
    }  # fmt: skip


def test_git_is_as_it_was_but_for_the_folder(back: dict[str, t.Any]) -> None:
    first = git("rev-list", "--max-parents=0", "HEAD").strip()
    assert git("diff", "--name-only", first, "HEAD").split() == ["migration/kustomization.yaml"]
    assert git("status", "--porcelain", "apps", "migration") == ""
    assert applied() == git("rev-parse", "HEAD").strip() == git("ls-remote", "origin", "main").split()[0]


def test_the_journal_says_so(cluster: Cluster, back: dict[str, t.Any]) -> None:
    data = cluster.get(path_of("v1", "configmaps", "mesh-gitops", "by-git"))["data"]
    steps = json.loads(data["steps"])
    assert {step["state"] for step in steps} == {"undone"}
    assert {step["phase"] for step in steps if step["op"] == "git_commit"} == {"keep", "bind", "deploy", "unbind"}
    assert not {step["op"] for step in steps} & {"binding_policy", "twin_gateway", "copy_authorizationpolicy"}


def test_no_request_was_lost(back: dict[str, t.Any]) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] > 3000
    assert time.time() - seen["total"]["last"] < 10


def test_cleanup_takes_the_guard_out_of_git_when_everything_is_released(
    host: t.Any, cluster: Cluster, back: dict[str, t.Any]
) -> None:
    delete = "kubectl delete gateways.networking.istio.io public --namespace istio-system --dry-run=server"
    play("--tags", "keep")
    assert f"validatingadmissionpolicies /{GUARD}" in look(cluster)
    refused = host.run(delete)
    assert refused.rc != 0 and "is kept by migration by-git" in refused.stderr
    done = lab.part(SETTINGS, "cleanup", "unguard.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert look(cluster).keys() == back.keys()
    assert host.run(delete).rc == 0
    log = [line for line in git("log", "--format=%b").split("\n") if line]
    assert log[:2] == ["Migration: by-git/cleanup: keep", "Migration: by-git/keep: keep"]
