# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server has of a green that was cloned and of one that Big Bang deployed, and how both are undone.

The tests build on each other, in their order.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

HERE = pathlib.Path(__file__).parents[1]
VALUES = pathlib.Path(os.environ["LAB_STATE"]) / "deploy" / "bigbang-values.yaml"
SETTINGS = yaml.safe_load((HERE / "files" / "settings.yml").read_text(encoding="utf-8"))
FLUX = "helm.toolkit.fluxcd.io/v2"
ISTIO = "networking.istio.io/v1"


def test_the_copy_has_what_the_cluster_gave_it_and_nothing_of_blues_owner(cluster: Cluster) -> None:
    service = cluster.get(path_of("v1", "services", "mesh-clone", "passthrough-green"))
    blue = cluster.get(path_of("v1", "services", "istio-system", "passthrough-ingressgateway"))
    assert {p["name"]: p["nodePort"] for p in service["spec"]["ports"]} == SETTINGS["mesh_workloads"][1]["green"][
        "node_ports"
    ]
    assert service["spec"]["clusterIP"] != blue["spec"]["clusterIP"]
    deployment = cluster.get(path_of("apps/v1", "deployments", "mesh-clone", "passthrough-green"))
    assert deployment["status"]["readyReplicas"] >= 1
    for item in (service, deployment):
        assert item["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "bluegreen.mesh"
        assert not [key for key in item["metadata"]["annotations"] if "helm" in key]
    budget = cluster.get(path_of("policy/v1", "poddisruptionbudgets", "mesh-clone", "passthrough-green"))
    assert budget["spec"]["selector"] == {"matchLabels": {"app": "passthrough-green"}}
    hpa = cluster.get(path_of("autoscaling/v2", "horizontalpodautoscalers", "mesh-clone", "passthrough-green"))
    assert hpa["spec"]["scaleTargetRef"]["name"] == "passthrough-green"


def test_what_is_only_found_once_green_is_there_is_shown(cluster: Cluster) -> None:
    """With green's Service unlike blue's, as whoever deploys it may have made it."""
    service = path_of("v1", "services", "mesh-clone", "passthrough-green")
    others = [{k: v for k, v in one.items() if k != "method"} for one in SETTINGS["mesh_workloads"]]
    cluster.patch(service, {"spec": {"internalTrafficPolicy": "Local"}})
    try:
        known = {"mesh_findings_waived": ["same_workload"]}  # Big Bang's takes blue's pods, too
        existing = {**SETTINGS, **known, "mesh_deploy_method": "existing", "mesh_workloads": others}
        done = lab.play(existing, "--tags", "deploy")
    finally:
        cluster.patch(service, {"spec": {"internalTrafficPolicy": "Cluster"}})
    assert done.returncode == 0, done.stdout[-3000:]
    said = " ".join(done.stdout.split())
    assert "warning service_differs: Service mesh-clone/passthrough-green spec.internalTrafficPolicy: Local" in said


def test_what_stands_in_big_bangs_way_is_found_before_anything_is_written(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("istio: {mtls: {mode: PERMISSIVE}}\n", encoding="utf-8")
    bigbang = {**SETTINGS["mesh_bigbang"], "more_files": [str(old)]}
    done = lab.play({**SETTINGS, "mesh_migration": "look", "mesh_bigbang": bigbang}, "--tags", "preflight,keep")
    assert done.returncode != 0, done.stdout[-3000:]
    assert "istio.mtls.mode is said in the old charts' way only" in " ".join(done.stdout.split())
    data = cluster.get(path_of("v1", "configmaps", "mesh-deploy", "look"))["data"]
    assert {name: phase["state"] for name, phase in json.loads(data["phases"]).items()} == {"preflight": "started"}


def test_blues_autoscaler_is_pinned_to_what_blue_has(cluster: Cluster) -> None:
    hpa = cluster.get(path_of("autoscaling/v2", "horizontalpodautoscalers", "istio-system", "public-ingressgateway"))
    assert hpa["spec"]["minReplicas"] == 2 and "bluegreen.mesh/pinned" in hpa["metadata"]["annotations"]


def test_blues_gateway_selects_blues_pods_only(cluster: Cluster) -> None:
    selector = cluster.get(path_of(ISTIO, "gateways", "istio-system", "public"))["spec"]["selector"]
    pods = cluster.list(path_of("v1", "pods"), {"labelSelector": ",".join(f"{k}={v}" for k, v in selector.items())})
    assert len(selector) == 2 and {pod["metadata"]["namespace"] for pod in pods} == {"istio-system"}


def test_the_values_file_has_greens_values_and_everything_else_as_it_was() -> None:
    before = (HERE / "files" / "bigbang-values.yaml").read_text(encoding="utf-8").splitlines()
    after = VALUES.read_text(encoding="utf-8").splitlines()
    assert [line for line in before if line not in after] == []
    upstream = yaml.safe_load("\n".join(after))["istioGateway"]["values"]["gateways"]["public"]["upstream"]
    assert upstream["autoscaling"] == {"minReplicas": 2, "maxReplicas": 4} and upstream["labels"] == {"colour": "green"}
    assert sorted(p["nodePort"] for p in upstream["service"]["ports"]) == [31022, 31081, 31444]


def test_the_wait_ends_when_the_status_is_of_the_present_generation(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    path = path_of(FLUX, "helmreleases", "bigbang", "public-ingressgateway")
    cluster.patch(path, {"spec": {"interval": "6m"}})
    once = lab.run("flux_release_info", tmp_path, namespace="bigbang", settle=0)
    assert list(once["failure"]["releases"]) == ["public-ingressgateway"] and "generation 2" in once["msg"]
    waiting = lab.start("flux_release_info", tmp_path, namespace="bigbang", settle=1, deadline=60)
    ready = {"type": "Ready", "status": "False", "reason": "Progressing", "message": "running an upgrade"}
    for status in ("False", "True"):
        assert waiting.poll() is None
        body = {"status": {"observedGeneration": 2, "conditions": [{**ready, "status": status}]}}
        cluster.patch(f"{path}/status", body)
    out, _err = waiting.communicate(timeout=300)
    assert json.loads(out)["ready"] == ["bigbang", "public-ingressgateway"]


@pytest.fixture
def gone(cluster: Cluster) -> None:
    """Big Bang's green has to be deployed again: it has no Service, and Flux knows nothing of it."""
    cluster.delete(path_of(FLUX, "helmreleases", "bigbang", "public-ingressgateway"))
    cluster.delete(path_of("v1", "services", "mesh-bigbang", "public-ingressgateway"))


def bigbang(**more: str) -> dict[str, t.Any]:
    """The settings, with another way to run the deploy step."""
    other = {name: value for name, value in SETTINGS["mesh_bigbang"].items() if name != "command"}
    return {**SETTINGS, "mesh_bigbang": {**other, **more}}


def ports(cluster: Cluster) -> dict[str, int]:
    service = cluster.get(path_of("v1", "services", "mesh-bigbang", "public-ingressgateway"))
    return {port["name"]: port["nodePort"] for port in service["spec"]["ports"]}


def test_without_a_command_it_says_what_to_run_and_waits_for_it(cluster: Cluster, gone: None) -> None:
    command, options = lab.playing(bigbang(package="/srv/site.tar.zst"), "--tags", "deploy")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as play:
        assert play.stdout
        said: list[str] = []
        for line in play.stdout:
            said.append(line)
            if "Run this now" in line:
                break
        line_to_run = f"zarf package deploy /srv/site.tar.zst --set BIGBANG_VALUES_FILE={VALUES}"
        assert line_to_run in said[-1], "".join(said)[-3000:]
        assert play.poll() is None, "it waits"
        subprocess.run([sys.executable, str(HERE / "files" / "bigbang.py"), str(VALUES)], check=True, timeout=300)
        after = play.stdout.read()
    assert play.returncode == 0, after[-3000:]
    assert ports(cluster) == SETTINGS["mesh_workloads"][0]["green"]["node_ports"]


def test_the_deploy_step_may_be_tasks(cluster: Cluster, gone: None) -> None:
    done = lab.play(bigbang(tasks=str(HERE / "tasks" / "bigbang.yml")), "--tags", "deploy")
    assert done.returncode == 0 and "Run this now" not in done.stdout, done.stdout[-3000:]
    assert ports(cluster) == SETTINGS["mesh_workloads"][0]["green"]["node_ports"]


def test_green_that_is_smaller_than_blue_is_refused_with_numbers_and_made_as_large_before_a_step(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    blue, green = "istio-system/passthrough-ingressgateway", "mesh-clone/passthrough-green"
    assert lab.run("replicas_pin", tmp_path, service=blue, minimum=2, timeout=100)["ready"] >= 2
    told = lab.run("gateway_ready_info", tmp_path, workloads=SETTINGS["mesh_workloads"])
    assert told["failed"] and "1 of 1 pods are ready, blue has 2" in told["msg"]
    done = lab.part({**SETTINGS, "mesh_migration": "capacity"}, "cutover", "capacity.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    told = lab.run("gateway_ready_info", tmp_path, workloads=SETTINGS["mesh_workloads"], deadline=30)
    assert {"name": "passthrough", "blue_ready": 2, "green_ready": 2} in told["workloads"]
    for service in (blue, green):
        assert lab.run("replicas_pin", tmp_path, service=service, state="released")["changed"]
    deployment = path_of("apps/v1", "deployments", *blue.split("/"))
    cluster.patch(deployment, {"spec": {"replicas": 1}})


def test_rolling_back_leaves_what_was_there(cluster: Cluster) -> None:
    done = lab.play({**SETTINGS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0, done.stdout[-3000:]
    for group_version, plural in (("v1", "services"), ("apps/v1", "deployments"), ("v1", "serviceaccounts")):
        assert [i["metadata"]["name"] for i in cluster.list(path_of(group_version, plural, "mesh-clone"))] in (
            [],
            ["default"],
        )
    assert cluster.find(path_of(ISTIO, "gateways", "mesh-clone", "passthrough")) is None
    assert cluster.find(path_of(ISTIO, "gateways", "mesh-bigbang", "httpbin")) is None
    assert cluster.get(path_of(ISTIO, "gateways", "istio-system", "public"))["spec"]["selector"] == {
        "app": "public-ingressgateway"
    }
    hpa = cluster.get(path_of("autoscaling/v2", "horizontalpodautoscalers", "istio-system", "public-ingressgateway"))
    assert hpa["spec"]["minReplicas"] == 1 and "annotations" not in hpa["metadata"]
    assert VALUES.read_text(encoding="utf-8") == (HERE / "files" / "bigbang-values.yaml").read_text(encoding="utf-8")
    assert not [
        vs["metadata"]["name"] for vs in cluster.list(path_of(ISTIO, "virtualservices"))
        if any("mesh-clone" in g or "mesh-bigbang" in g for g in vs["spec"].get("gateways", []))
    ]  # fmt: skip
    # Deploy made this one, and nothing is in it any more. Big Bang's own is Big Bang's to remove.
    lab.until(lambda: cluster.find(path_of("v1", "namespaces", name="mesh-clone")) is None, 180, "the namespace to go")
    assert cluster.find(path_of("v1", "services", "mesh-bigbang", "public-ingressgateway"))


# -- a release that was there before ---------------------------------------------------------------------------------
PLACE = ("mesh-helm", "passthrough-helm")
RELEASE = {
    "mesh_migration": "release",
    "mesh_journal_namespace": "mesh-deploy",
    "mesh_deploy_timeout": 300,
    "mesh_deploy_method": "helm",
    "mesh_workloads": [
        {
            "name": "passthrough",
            "blue": {"namespace": "istio-system", "service": "passthrough-ingressgateway"},
            "green": {
                "namespace": PLACE[0], "release": PLACE[1], "labels": {"app": "passthrough-helm"},
                "node_ports": {"status-port": 31322, "http2": 31381, "https": 31644},
            },
        }
    ],
}  # fmt: skip


def release(undo: bool, **more: t.Any) -> subprocess.CompletedProcess[str]:
    command, options = lab.playing({**RELEASE, "release_undo": undo, **more})
    command[command.index("playbooks/migrate.yml")] = str(HERE / "files" / "release.yml")
    return subprocess.run(command, capture_output=True, timeout=900, check=False, **options)


def helm(*argv: str) -> str:
    command = ["helm", "--kube-context", "lab", "--namespace", PLACE[0], *argv]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def revision() -> int:
    return json.loads(helm("status", PLACE[1], "--output", "json"))["version"]


CHART = f"{os.environ['ISTIO_CHARTS']}/gateway"


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> t.Iterator[dict[str, str]]:
    """Istio's chart in a chart repository, as mesh_gateway_chart has it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_words: t.Any) -> None:
            pass

    version = yaml.safe_load(pathlib.Path(f"{CHART}/Chart.yaml").read_text(encoding="utf-8"))["version"]
    for argv in (["package", CHART, "--destination", str(tmp_path)], ["repo", "index", str(tmp_path)]):
        subprocess.run(["helm", *argv], check=True, stdout=subprocess.DEVNULL)
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"ref": "gateway", "repository": f"http://127.0.0.1:{server.server_port}", "version": version}
        server.shutdown()


def test_a_release_that_was_there_is_journalled_and_fenced_and_goes_back_to_its_revision(
    cluster: Cluster, repository: dict[str, str]
) -> None:
    service = path_of("v1", "services", *PLACE)
    blue = path_of("v1", "services", "istio-system", "passthrough-ingressgateway")
    ours, own = "service.kubernetes.io/topology-mode", "metallb.io/loadBalancerIPs"
    marks = {"annotations": {ours: "Auto", own: "192.0.2.1"}}
    cluster.patch(blue, {"metadata": marks, "spec": {"internalTrafficPolicy": "Local"}})
    given = ["--set", "service.type=ClusterIP", "--set", "replicaCount=0", "--set", "autoscaling.enabled=false"]
    helm("install", PLACE[1], CHART, "--create-namespace", *given)
    try:
        done = release(undo=False, mesh_gateway_chart=repository)
        assert done.returncode == 0, done.stdout[-3000:]
        assert revision() == 2
        ports = {p["name"]: p["nodePort"] for p in cluster.get(service)["spec"]["ports"]}
        assert ports == RELEASE["mesh_workloads"][0]["green"]["node_ports"]
        found = cluster.get(service)
        assert found["spec"]["internalTrafficPolicy"] == "Local" and found["metadata"]["annotations"][ours] == "Auto"
        assert own not in found["metadata"]["annotations"]
        # A run that another one has taken over from installs nothing, and takes nothing back.
        for undo in (False, True):
            late = release(undo=undo, _mesh_epoch=0, mesh_gateway_chart={"ref": "/nowhere"})
            assert late.returncode != 0 and "stale_epoch" in late.stdout, late.stdout[-3000:]
        assert revision() == 2
        done = release(undo=True)
        assert done.returncode == 0, done.stdout[-3000:]
        assert revision() == 3 and cluster.get(service)["spec"]["type"] == "ClusterIP"
        again = release(undo=True)
        assert again.returncode == 0 and revision() == 3
    finally:
        helm("uninstall", PLACE[1])
        gone = {"annotations": {ours: None, own: None}}
        cluster.patch(blue, {"metadata": gone, "spec": {"internalTrafficPolicy": "Cluster"}})


def test_a_chart_of_an_oci_registry_is_left_to_helm(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no registry here: what Helm is asked for is written down, and taken from a folder."""
    asked, helm_itself = tmp_path / "asked", shutil.which("helm")
    stub = f"""#!/bin/sh
for word; do
  shift
  case "$word" in oci://*) echo "$word of" "$@" >> {asked}; word={CHART} ;; esac
  set -- "$@" "$word"
done
exec {helm_itself} "$@"
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").write_text(stub, encoding="utf-8")
    (tmp_path / "bin" / "helm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    try:
        done = release(undo=False, mesh_gateway_chart={"ref": "oci://registry.test/istio/gateway", "version": "1.30.2"})
        assert done.returncode == 0, done.stdout[-3000:]
        said = asked.read_text(encoding="utf-8").splitlines()
        assert [line for line in said if "upgrade" in line], said
        assert all(line.startswith("oci://registry.test/istio/gateway of ") and "1.30.2" in line for line in said), said
        done = release(undo=True)
        assert done.returncode == 0, done.stdout[-3000:]
        assert PLACE[1] not in helm("list", "--all", "--short").split()
    finally:
        helm("uninstall", PLACE[1], "--ignore-not-found")
