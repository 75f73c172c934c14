# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journey from the lab's Istio gateway to Traefik, and of applications from Istio's mesh to Linkerd's, and back,
under live clients. Of Linkerd itself its charts' stand-ins are here: see docs/journeys/istio_to_linkerd.md.

The tests build on each other, in their order.
"""

from __future__ import annotations

import os
import pathlib
import socket
import ssl
import subprocess
import time
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import Cluster, path_of

STATE = os.environ["LAB_STATE"]
TRAFFIC = f"{STATE}/traffic-edge"
INGRESSES = path_of("networking.k8s.io/v1", "ingresses")
JOURNEY = yaml.safe_load((lab.ROOT / "tests/demo/journeys/istio_to_linkerd.yml").read_text(encoding="utf-8"))
SETTINGS = {
    **{name: value for name, value in JOURNEY.items() if name.startswith("mesh_")},
    "mesh_migration": "edge",
    "mesh_journal_namespace": "mesh-edge",
    "mesh_report_dir": f"{STATE}/reports",
    "mesh_cutover_steps": [50, 100],
    "mesh_verify": {"ca_file": f"{STATE}/apps/certs/ca.crt", "passes": 1},
    "mesh_gate": {"min_samples": 20, "min_green_samples": 5, "p99_floor_ms": 5000},
}
STAYING = {**SETTINGS["mesh_ingress"], "stay_hosts": ["orders.lab.test"]}
OLD, NEW = "istio.", "ingress."


def play(*tags: str, **more: t.Any) -> str:
    done = lab.play({**SETTINGS, **more}, "--tags", ",".join(tags))
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def weights() -> dict[str, set[int]]:
    """By the beginning of servers' names, the weights in force at the journey's listeners."""
    rows = [line.split() for line in lab.ask("show servers state").splitlines()]
    mine = [row for row in rows if len(row) > 7 and row[1] in ("edge_http", "edge_https")]
    return {side: {int(row[7]) for row in mine if row[3].startswith(side)} for side in (OLD, NEW)}


def ingresses(cluster: Cluster, part: str) -> dict[str, str]:
    """Host -> namespace, of those of ours that forward (interim) or route (route)."""
    found = {}
    for one in cluster.list(INGRESSES):
        if (one["metadata"].get("annotations") or {}).get("bluegreen.mesh/part") == part:
            found |= {rule["host"]: one["metadata"]["namespace"] for rule in one["spec"]["rules"]}
    return found


def proxies(cluster: Cluster) -> dict[str, set[str]]:
    """Namespace -> what its pods have beside the application."""
    return {
        name: {
            container["name"]
            for pod in cluster.list(path_of("v1", "pods", name)) if not pod["metadata"].get("deletionTimestamp")
            for container in pod["spec"]["containers"][1:]
        }
        for name in JOURNEY["mesh_swap"]["namespaces"]
    }  # fmt: skip


def modes(cluster: Cluster) -> set[str]:
    return {one["spec"]["mtls"]["mode"] for one in cluster.list(path_of("security.istio.io/v1", "peerauthentications"))}


def callers(since: float) -> set[str]:
    """Pods that called the applications, as these say."""
    seen = _traffic.read_records(_traffic.records_path(TRAFFIC), since=since)
    return {record["via"] for record in seen if record.get("via")}


def pods(cluster: Cluster, namespace: str) -> set[str]:
    return {pod["status"]["podIP"] for pod in cluster.list(path_of("v1", "pods", namespace))}


def upgraded() -> bool:
    """Whether live.lab.test takes a WebSocket at the new controller."""
    context = ssl.create_default_context(cafile=f"{STATE}/apps/certs/ca.crt")
    try:
        raw = socket.create_connection(("172.30.0.25", 443), 10)
        with raw, context.wrap_socket(raw, server_hostname="live.lab.test") as tls:
            tls.sendall(
                b"GET /socket HTTP/1.1\r\nHost: live.lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            return tls.recv(4096).startswith(b"HTTP/1.1 101")
    except OSError:  # a certificate of the controller's own among them
        return False


@pytest.fixture(scope="module")
def through(cluster: Cluster) -> str:
    assert weights() == {OLD: {100}, NEW: {0}} and cluster.list(INGRESSES) == []
    return play("preflight", "keep", "bind", "deploy", "verify", "cutover")


def test_all_clients_come_by_the_new_controller_and_it_forwards_to_the_old_gateway(
    through: str, cluster: Cluster
) -> None:
    assert weights() == {OLD: {0}, NEW: {100}}
    forwarded = ingresses(cluster, "interim")
    assert {"orders.lab.test", "ledger.lab.test", "*.wild.lab.test"} <= forwarded.keys()
    assert set(forwarded.values()) == {"istio-system"} and ingresses(cluster, "route") == {}
    assert "shop.lab.test" not in forwarded, "it is moved otherwise"


def test_websockets_come_through_the_ingress_that_forwards(
    through: str, cluster: Cluster, tmp_path: pathlib.Path
) -> None:
    """The one host that has them is moved otherwise in this journey, so it is forwarded here for a while."""
    names = ("gateways", "gateway_service", "controller_service", "class_name", "dialect", "except_hosts")
    options = {name: SETTINGS["mesh_ingress"][name] for name in names}
    others = [host for host in options["except_hosts"] if host != "live.lab.test"]
    made = lab.run("interim_ingress", tmp_path, **{**options, "except_hosts": others})
    assert made.get("changed") and "live.lab.test" in ingresses(cluster, "interim"), made
    target = {
        "name": "live", "url": "https://live.lab.test/socket", "connect_to": "172.30.0.25:443", "protocol": "websocket",
        "expect_status": 101, "connection_lifetime": 1, "via_pattern": r"(?m)^IP=(\S+)$",
    }  # fmt: skip
    client = {"dir": str(tmp_path / "traffic"), "cluster": False}

    def sent() -> int:
        return lab.run("traffic_probe", tmp_path, state="read", **client)["total"]["requests"]

    # It takes each of the controller's pods a moment to know the host: what counts is what is asked once both do.
    lab.until(lambda: all(upgraded() for _number in range(15)))
    started = lab.run(
        "traffic_probe", tmp_path, state="started", targets=[target], rate=20, ca_file=f"{STATE}/apps/certs/ca.crt",
        max_seconds=120, **client,
    )  # fmt: skip
    assert started.get("running"), started
    lab.until(lambda: sent() >= 100)
    seen = lab.run("traffic_probe", tmp_path, state="stopped", **client)
    assert seen["total"]["failed"] == 0 and seen["protocols"].keys() == {"websocket"}, seen
    records = _traffic.read_records(_traffic.records_path(client["dir"]))
    assert {one["via"] for one in records} <= pods(cluster, "istio-system"), "the old gateway called the application"
    removed = lab.run("interim_ingress", tmp_path, **options)
    assert removed.get("changed") and "live.lab.test" not in ingresses(cluster, "interim"), removed


def received() -> dict[str, str]:
    """Headers with which an application was asked, as it says, where a client came by the new controller."""
    argv = ["curl", "--silent", "--fail", "--cacert", f"{STATE}/apps/certs/ca.crt", "--connect-to", "::172.30.0.25:",
            "https://orders.lab.test/"]  # fmt: skip
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout
    rows = [line.partition("=")[2].partition(":") for line in said.splitlines() if line.startswith("RequestHeader=")]
    return {name.lower(): value for name, _colon, value in rows}


def test_the_client_is_still_whom_the_controller_names_and_not_the_controller(through: str, cluster: Cluster) -> None:
    headers, controller = received(), pods(cluster, "traefik")
    client, *proxies_named = headers["x-forwarded-for"].replace(" ", "").split(",")
    assert len(proxies_named) == 1 and set(proxies_named) <= controller, headers
    assert headers["x-envoy-external-address"] == client and client not in controller, headers


def test_every_field_of_the_routes_is_accounted_for(through: str) -> None:
    page = (pathlib.Path(STATE) / "reports" / "edge-lab-routes.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    verdicts = {row[4] for row in rows}
    assert {"translated", "not_translated"} <= verdicts
    assert {"orders.lab.test", "bookinfo.lab.test", "shop.lab.test"} <= {row[0] for row in rows}
    assert all(row[5] for row in rows if row[4] == "not_translated"), "with a reason"


def test_sidecars_take_calls_from_outside_the_mesh_and_nothing_has_left_it(through: str, cluster: Cluster) -> None:
    assert modes(cluster) == {"PERMISSIVE"}
    assert set(map(frozenset, proxies(cluster).values())) == {frozenset({"istio-proxy"})}


@pytest.fixture(scope="module")
def without_injector(through: str, cluster: Cluster) -> str:
    """A soak while pods get no proxy of Linkerd's, and one host stays where it is."""
    injector = path_of("admissionregistration.k8s.io/v1", "mutatingadmissionpolicybindings", None, "linkerd-proxy-injector")
    there = cluster.get(injector)
    cluster.delete(injector)
    swap = {**SETTINGS["mesh_swap"], "timeout": 45}
    refused = lab.play({**SETTINGS, "mesh_ingress": STAYING, "mesh_swap": swap}, "--tags", "soak")
    again = {key: there["metadata"][key] for key in ("name", "labels", "annotations") if key in there["metadata"]}
    cluster.create(injector.rpartition("/")[0], {**there, "metadata": again})
    assert refused.returncode != 0
    return refused.stdout


def test_a_wave_that_does_not_arrive_goes_back_to_istios_mesh(without_injector: str, cluster: Cluster) -> None:
    assert "injector did not act" in without_injector and "went back to Istio's mesh" in without_injector
    assert set(map(frozenset, proxies(cluster).values())) == {frozenset({"istio-proxy"})}
    spaces = {one["metadata"]["name"]: one["metadata"] for one in cluster.list(path_of("v1", "namespaces"))}
    assert all(
        spaces[name]["labels"]["istio-injection"] == "enabled" and "linkerd.io/inject" not in spaces[name].get("annotations", {})
        for name in JOURNEY["mesh_swap"]["namespaces"]
    )


@pytest.fixture(scope="module")
def staying(without_injector: str) -> str:
    """A soak that does all but for that host."""
    refused = lab.play({**SETTINGS, "mesh_ingress": STAYING}, "--tags", "soak")
    assert refused.returncode != 0
    return " ".join(refused.stdout.split())


def test_a_host_that_stays_is_forwarded_while_all_else_is_done(staying: str, cluster: Cluster) -> None:
    assert "Everything else is done. The old gateway still serves orders.lab.test (it could move)" in staying
    assert ingresses(cluster, "interim").keys() == {"orders.lab.test"}
    assert ingresses(cluster, "route")["bookinfo.lab.test"] == "bookinfo"
    assert set(map(frozenset, proxies(cluster).values())) == {frozenset({"linkerd-proxy"})}


@pytest.fixture(scope="module")
def moved(staying: str) -> str:
    return play("soak")


def test_every_workload_is_in_linkerds_mesh_with_policies_that_say_what_istios_did(moved: str, cluster: Cluster) -> None:
    assert set(map(frozenset, proxies(cluster).values())) == {frozenset({"linkerd-proxy"})}
    servers = cluster.list(path_of("policy.linkerd.io/v1beta3", "servers", "pay"))
    allowed = cluster.list(path_of("policy.linkerd.io/v1alpha1", "meshtlsauthentications", "pay"))
    assert servers and [one["spec"]["identityRefs"] for one in allowed] == [
        [{"kind": "ServiceAccount", "name": "traefik", "namespace": "traefik"}]
    ]


def test_every_host_has_moved_and_none_is_forwarded(moved: str, cluster: Cluster) -> None:
    assert ingresses(cluster, "interim") == {}
    routed = ingresses(cluster, "route")
    assert routed["orders.lab.test"] == "shop" and routed["bookinfo.lab.test"] == "bookinfo"


def test_the_controller_itself_calls_the_applications(moved: str, cluster: Cluster) -> None:
    begun = time.time()
    old, new = pods(cluster, "istio-system"), pods(cluster, "traefik")
    while not callers(begun) & new:
        assert time.time() - begun < 30
        time.sleep(0.2)
    assert not callers(begun) & old


def test_a_second_run_changes_nothing(moved: str) -> None:
    done = lab.play(SETTINGS, "--tags", "soak")
    assert done.returncode == 0 and "changed=0 " in done.stdout, done.stdout[-3000:]


def test_istio_does_not_go_while_a_host_needs_it(moved: str) -> None:
    play("unbind")
    ingress = {**SETTINGS["mesh_ingress"], "remove": ["gateways", "control_plane"]}
    refused = lab.play({**SETTINGS, "mesh_ingress": ingress}, "--tags", "cleanup")
    assert refused.returncode != 0 and "findings stand in the way" in refused.stdout, refused.stdout[-3000:]


CHART = {
    "Chart.yaml": "{apiVersion: v2, name: spare, version: 1.0.0}",
    "templates/hook.yaml": """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector-spare}
webhooks:
  - name: spare.istio.io
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Ignore
    clientConfig: {service: {namespace: istio-system, name: spare}}
    objectSelector: {matchLabels: {nobody: has-this}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
""",
    "templates/beside.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: spare-beside, namespace: istio-system}}",
}
HOOK = path_of("admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", None, "istio-sidecar-injector-spare")
BESIDE = path_of("v1", "configmaps", "istio-system", "spare-beside")
# The lab's other gateways, and applications that stay in Istio's mesh, need it still.
NEEDED = ["removal_pod", "removal_injection", "removal_interim", "removal_operator", "removal_gateway_api"]


def releases() -> set[str]:
    command = ["helm", "--kube-context", "lab", "--namespace", "istio-system", "list", "--all", "--short"]
    return set(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split())


@pytest.fixture(scope="module")
def removed(moved: str, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    """Istio's webhooks go, of which there is one, by a release that has something else, too."""
    chart = tmp_path_factory.mktemp("spare")
    (chart / "templates").mkdir()
    for name, text in CHART.items():
        (chart / name).write_text(text, encoding="utf-8")
    at = ["helm", "--kube-context", "lab", "--namespace", "istio-system"]
    subprocess.run([*at, "install", "spare", str(chart)], check=True, stdout=subprocess.DEVNULL)
    yield play("cleanup", mesh_ingress={**SETTINGS["mesh_ingress"], "remove": ["webhooks"], "waived": NEEDED})
    subprocess.run([*at, "uninstall", "spare", "--ignore-not-found"], check=True, stdout=subprocess.DEVNULL)


def test_a_release_of_istios_goes_in_its_stage(removed: str, cluster: Cluster) -> None:
    assert "spare" not in releases()
    assert cluster.find(HOOK) is None and cluster.find(BESIDE) is None


@pytest.fixture(scope="module")
def back(removed: str) -> None:
    # Every workload goes back by a rollout of its own.
    done = lab.play({**SETTINGS, "mesh_rollback_to": "keep"}, "--tags", "rollback", timeout=1000)
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_release_comes_back(back: None, cluster: Cluster) -> None:
    assert "spare" in releases() and cluster.find(HOOK) and cluster.find(BESIDE)


def test_the_way_back_gives_the_old_gateway_everything(back: None, cluster: Cluster) -> None:
    assert weights() == {OLD: {100}, NEW: {0}}
    assert cluster.list(INGRESSES) == []
    assert set(map(frozenset, proxies(cluster).values())) == {frozenset({"istio-proxy"})} and modes(cluster) == {"STRICT"}
    assert cluster.find(path_of("v1", "namespaces", name="linkerd")) is None
    secrets = cluster.list(path_of("v1", "secrets"), {"labelSelector": "app.kubernetes.io/managed-by=bluegreen.mesh"})
    assert [one for one in secrets if one["type"] == "kubernetes.io/tls"] == []


def test_no_request_was_lost(back: None) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0 and seen["total"]["requests"] > 5000, str(seen["errors"])
    assert seen["protocols"].keys() == {"http1", "h2", "grpc"}
