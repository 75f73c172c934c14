# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that has no Istio, there and back, under live clients.

Deploy brings Istio's kinds, istiod and the gateway by Istio's own charts, in this order, with the chart's own accounts,
injector and webhooks. What the Ingresses become is written as files alone, and a played GitOps controller brings it
there. The Ingress controller, by a chart of its own, goes with its webhook, and comes back. Then the other journey leads
back to it, and all of Istio is removed, and comes back. Last, a rollback of the first journey takes it away again.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import typing as t

import lab
import pytest
import yaml
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic

CHARTS = pathlib.Path(os.environ["ISTIO_CHARTS"])
STATE = pathlib.Path(os.environ["LAB_STATE"]) / "bare"
JOURNEY = yaml.safe_load((lab.ROOT / "tests/demo/journeys/ingress_to_istio.yml").read_text(encoding="utf-8"))
LOADED = yaml.safe_load_all((lab.ROOT / "tests/lab/apps/ingresses/ingresses.yaml").read_text(encoding="utf-8"))
HOSTS = {rule["host"] for one in LOADED if one["kind"] == "Ingress" for rule in one["spec"]["rules"]}
TARGETS = yaml.safe_load((lab.ROOT / "tests/lab/apps/ingresses/targets.yml").read_text(encoding="utf-8"))
# The lab's Envoy is upstream's, without Istio's own filters, and its pods have no DNS by which to ask for certificates.
VALUES = {"meshConfig": {"enableAutoMtls": False}, "telemetry": {"enabled": False}}
ISTIO = {
    "base": {"ref": f"{CHARTS}/base"},
    "istiod": {"ref": f"{CHARTS}/istio-control/istio-discovery", "values": VALUES},
}  # fmt: skip
RELEASES = ["istio-base", "istiod", "istio-ingress"]
CERTAIN = {
    "mesh_verify": {"ca_file": f"{STATE}/apps/certs/ca.crt", "passes": 1},
    "mesh_gate": {"min_samples": 100, "min_green_samples": 10, "p99_floor_ms": 5000},
    "mesh_cutover_steps": [100],
    "mesh_soak": {"window": 5, "deadline": 120, "sources": {"haproxy": {}}},
    "mesh_report_dir": f"{STATE}/reports",
}
THERE = {
    **{name: value for name, value in JOURNEY.items() if name.startswith("mesh_")},
    **CERTAIN,
    "mesh_conversion": {
        **JOURNEY["mesh_conversion"], "istio": ISTIO, "apply": False, "dest": f"{STATE}/converted", "remove_controller": True,
    },
    "mesh_traffic": {"haproxy": {}, "probe": {"dir": f"{STATE}/traffic-there"}},
}
# What a chart of an Ingress controller has beside the lab's objects. Nobody answers, and so nothing is asked of it.
ADMISSION = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: traefik-admission}
webhooks:
  - name: validate.traefik.test
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    objectSelector: {matchLabels: {traefik.test/asked: "true"}}
    rules:
      - {apiGroups: [networking.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [ingresses]}
    clientConfig: {service: {namespace: traefik, name: traefik, path: /admit}}
"""
CONTROLLER = (
    "deployment/traefik", "service/traefik", "serviceaccount/traefik", "ingressclass/nginx", "clusterrole/traefik",
    "clusterrolebinding/traefik", "validatingwebhookconfiguration/traefik-admission",
)  # fmt: skip
# A host that only Istio serves, and a second Service in front of its gateway, of which a cloud has made a load balancer.
SOLO = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: solo, namespace: istio-ingress}
spec:
  selector: {app: istio-ingress, istio: ingress}
  servers:
    - port: {number: 443, name: https-solo, protocol: HTTPS}
      tls: {mode: SIMPLE, credentialName: shop-ingress-cert}
      hosts: [solo.ingress.test]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: solo, namespace: shop}
spec:
  hosts: [solo.ingress.test]
  gateways: [istio-ingress/solo]
  http:
    - route: [{destination: {host: web.shop.svc.cluster.local, port: {number: 80}}}]
---
apiVersion: v1
kind: Service
metadata:
  name: cloud
  namespace: istio-ingress
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec:
  type: LoadBalancer
  allocateLoadBalancerNodePorts: false
  selector: {app: istio-ingress, istio: ingress}
  ports: [{name: https, port: 443, targetPort: 443}]
"""
GATEWAY = {"namespace": "istio-ingress", "labels": {"app": "istio-ingress", "istio": "ingress"}, "account": "istio-ingress"}
STAGES = ["gateways", "webhooks", "control_plane", "access", "configuration", "crds"]
AWAY = {
    **CERTAIN,
    "mesh_journey": "istio_to_linkerd",
    "mesh_migration": "away",
    "mesh_gateways": [],
    "mesh_ingress": {
        "gateways": ["istio-ingress/solo"],
        "gateway_service": "istio-ingress/istio-ingress",
        "gateway": GATEWAY,
        "controller_service": "traefik/traefik",
        "controller": {"namespace": "traefik", "labels": {"app": "traefik"}, "account": "traefik"},
        "class_name": "nginx",
        "dialect": "traefik_nginx",
        "node_ports": {"443": 31443},
        "waived": ["interim_trusted_proxies"],  # scenario istio_to_linkerd is about the client's address
        "differs": [{"route": "istio-ingress/solo:.* bluegreen-probe[.]", "why": "Each has its own words for such a host."}],
    },
    "mesh_workloads": [
        {
            "name": "solo",
            "method": "existing",
            "blue": {"namespace": "istio-ingress", "service": "istio-ingress"},
            "green": {
                "namespace": "traefik", "release": "traefik", "labels": {"app": "traefik"},
                "node_ports": {"http": 31080, "https": 31443},
            },
        }
    ],
    "mesh_balancer": {**JOURNEY["mesh_balancer"], "blue_servers": r"^istio\.", "green_servers": r"^ingress\."},
    "mesh_traffic": {"haproxy": {}},
}  # fmt: skip


def bare(*command: str) -> subprocess.CompletedProcess[str]:
    """On the operator's host of the lab in the lab."""
    _argv, options = lab.playing({})
    options["env"] |= {"LAB_STATE": str(STATE), "LAB_BARE": "1"}
    argv = [str(lab.ROOT / "tests/lab/lab"), "exec", "--", *command]
    return subprocess.run(argv, capture_output=True, timeout=1800, check=False, **options)


def playing(settings: dict[str, t.Any], *argv: str) -> subprocess.CompletedProcess[str]:
    command, _options = lab.playing(settings, *argv)
    return bare(*command)


def play(settings: dict[str, t.Any], *argv: str) -> str:
    done = playing(settings, *argv)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def kubectl(*command: str) -> str:
    done = bare("kubectl", *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(*what: str) -> list[dict[str, t.Any]]:
    return json.loads(kubectl("get", *what, "--output=json"))["items"]


def releases() -> list[str]:
    """Names of Istio's releases, in the order in which they were installed."""
    done = bare("helm", "list", "--all-namespaces", "--output=json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {one["status"] for one in found} <= {"deployed"}
    return [one["name"] for one in sorted(found, key=lambda one: one["updated"]) if one["namespace"] != "traefik"]


def controller() -> set[str]:
    """What there is of it, as in CONTROLLER."""
    found = bare("kubectl", "get", *CONTROLLER, "--namespace=traefik", "--ignore-not-found", "--output=name")
    assert found.returncode == 0, found.stderr
    return {line.partition(".")[0].partition("/")[0] + "/" + line.partition("/")[2] for line in found.stdout.split()}


def kinds() -> set[str]:
    names = (item["metadata"]["name"] for item in listed("customresourcedefinitions"))
    return {name for name in names if name.endswith(".istio.io")}


def of_istio() -> set[str]:
    """Everything in the cluster that has Istio's name, as KIND NAMESPACE/NAME, of every kind that can be listed."""
    plurals = kubectl("api-resources", "--verbs=list", "--output=name").split()
    found = listed(",".join(name for name in plurals if not name.startswith(("events", "leases"))), "--all-namespaces")
    names = ((one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in found)
    return {f"{kind} {namespace}/{name}" for kind, namespace, name in names if "istio" in name}


def clients(name: str, targets: list[dict[str, t.Any]] | None = None) -> None:
    """Starts them with targets, stops them without."""
    about = {"traffic_state": "started" if targets else "stopped", "traffic_dir": f"{STATE}/{name}", "traffic_rate": 60}
    if targets:
        file = STATE / f"{name}.yml"
        file.write_text(yaml.safe_dump(targets), encoding="utf-8")
        about["traffic_file"] = str(file)
    done = bare("ansible-playbook", "--inventory=inventories/lab/hosts.yml", "tests/demo/traffic.yml", "--extra-vars",
                json.dumps(about))  # fmt: skip
    assert done.returncode == 0, done.stdout


def none_was_lost(name: str) -> None:
    """Of at least some hundreds of requests."""
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(str(STATE / name))))
    assert seen["total"]["requests"] > 500, seen["total"]
    assert seen["total"]["failed"] == 0, str(seen["errors"])


def reconcile() -> bool:
    """What a GitOps controller does with the folder. Until Istio's kinds are there, it does not succeed."""
    if (STATE / "converted" / "kustomization.yaml").exists():
        bare("kubectl", "apply", "--kustomize", f"{STATE}/converted")
    return False


@pytest.fixture(scope="module")
def chart() -> None:
    """Helm has the controller, as where it was installed by its chart."""
    objects = yaml.safe_load_all((lab.ROOT / "tests/lab/apps/traefik.yaml").read_text(encoding="utf-8"))
    files = {
        "Chart.yaml": {"apiVersion": "v2", "name": "traefik", "version": "1.0.0"},
        **{f"templates/{number}.yaml": one for number, one in enumerate(objects) if one["kind"] != "Namespace"},
        "templates/admission.yaml": yaml.safe_load(ADMISSION),
    }
    for name, body in files.items():
        path = STATE / "chart" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(body), encoding="utf-8")
    done = bare("helm", "install", "traefik", f"{STATE}/chart", "--namespace=traefik", "--take-ownership", "--wait")
    assert done.returncode == 0, done.stderr
    assert controller() == set(CONTROLLER)


def test_a_plan_says_that_the_controller_goes(chart: None) -> None:
    play({**THERE, "mesh_plan_dir": f"{STATE}/plans"}, "--tags", "plan")
    plan = json.loads((STATE / f"plans/{THERE['mesh_migration']}-lab.json").read_text(encoding="utf-8"))
    (changes,) = [phase["changes"] for phase in plan["phases"] if phase["phase"] == "cleanup"]
    assert {"Helm release traefik/traefik", "Deployment traefik/traefik"} <= {change["object"] for change in changes}


def test_without_a_chart_it_is_refused_before_anything_is_made(chart: None) -> None:
    assert kinds() == set() and releases() == [] and of_istio() == set()
    clients("traffic-there", TARGETS)
    settings = {**THERE, "mesh_conversion": {**THERE["mesh_conversion"], "istio": {}}}
    play(settings, "--tags", "preflight,keep,bind")
    done = playing(settings, "--tags", "deploy")
    assert done.returncode != 0 and "Istio's kinds are not in the cluster. Name its charts" in done.stdout, done.stdout[-4000:]
    assert kinds() == set() and releases() == []


@pytest.fixture(scope="module")
def deployed() -> str:
    with lab.meanwhile(reconcile):
        return play(THERE, "--tags", "deploy,verify")


def test_base_istiod_and_gateway_come_by_their_charts_in_this_order(deployed: str) -> None:
    assert releases() == RELEASES
    assert {"virtualservices.networking.istio.io", "gateways.networking.istio.io"} <= kinds()
    (istiod,) = listed("pods", "--namespace=istio-system", "--selector=app=istiod")
    assert istiod["status"]["containerStatuses"][0]["ready"] and istiod["spec"]["serviceAccountName"] == "istiod"


def test_the_gateways_pods_were_injected_and_serve_what_blue_serves(deployed: str) -> None:
    """verify has compared each route on both sides."""
    pods = listed("pods", "--namespace=istio-ingress")
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert pods and "auto" not in images and all("proxyv2" in image for image in images)


def test_routes_came_by_the_files_alone(deployed: str) -> None:
    routes = listed("virtualservices.networking.istio.io,gateways.networking.istio.io", "--all-namespaces", "--show-managed-fields")
    assert {one["kind"] for one in routes} == {"Gateway", "VirtualService"}
    assert {field["manager"] for one in routes for field in one["metadata"]["managedFields"]} == {"kubectl-client-side-apply"}


def test_a_second_run_changes_nothing_and_adopts_what_is_there(deployed: str) -> None:
    said = play(THERE, "--tags", "deploy")
    assert " changed=0 " in said, said[-4000:]
    assert "istiod is there, and stays as it is" in " ".join(said.split())
    assert releases() == RELEASES


@pytest.fixture(scope="module")
def through(deployed: str) -> str:
    """The rest of the journey, to its end. Nobody has to bring anything any more."""
    return play(THERE)


def test_all_clients_were_moved_and_the_ingresses_are_gone(through: str) -> None:
    assert listed("ingresses", "--all-namespaces") == []
    clients("traffic-there")
    none_was_lost("traffic-there")


def test_the_controller_went_with_its_webhook_and_its_class(through: str) -> None:
    assert controller() == set()
    lab.until(lambda: listed("pods", "--namespace=traefik") == [], what="its pods to end")
    said = playing(THERE, "--tags", "cleanup")
    assert said.returncode == 0 and " changed=0 " in said.stdout, said.stdout[-4000:]


@pytest.fixture(scope="module")
def again(through: str) -> str:
    return play(THERE, "--tags", "rollback", "--extra-vars", "mesh_rollback_to=cleanup")


def test_the_controller_comes_back_and_serves(again: str) -> None:
    assert controller() == set(CONTROLLER)
    assert {rule["host"] for one in listed("ingresses", "-A") for rule in one["spec"]["rules"]} == HOSTS
    (hook,) = json.loads(kubectl("get", "validatingwebhookconfiguration", "traefik-admission", "--output=json"))["webhooks"]
    assert hook["failurePolicy"] == "Fail" and hook["clientConfig"]["service"]["name"] == "traefik"
    assert bare("helm", "status", "traefik", "--namespace=traefik").returncode == 0


@pytest.fixture(scope="module")
def away(again: str) -> tuple[str, str]:
    """Back to the controller by the other journey, for one host that only Istio serves; the others are Ingresses again by
    the rollback of cleanup. What preflight and soak say, where the gateway's pods are to tell whether it is idle."""
    file = STATE / "solo.yaml"
    file.write_text(SOLO, encoding="utf-8")
    kubectl("apply", "--filename", str(file))
    status = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}})
    kubectl("patch", "service", "cloud", "--namespace=istio-ingress", "--subresource=status", "--patch", status)
    probe = ("curl", "--silent", "--fail", "--output", "/dev/null", "--cacert", f"{STATE}/apps/certs/ca.crt",
             "--connect-to", "::172.30.0.24:", "https://solo.ingress.test/")  # fmt: skip
    lab.until(lambda: bare(*probe).returncode == 0, what="Istio serves the new host")
    solo = {**TARGETS[0], "name": "solo", "url": "https://solo.ingress.test/", "protocol": "http1"}
    clients("traffic-away", [*TARGETS, solo])
    by_pods = {**AWAY, "mesh_soak": {"window": 5}}
    said = play(by_pods, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    refused = playing(by_pods, "--tags", "soak")
    assert refused.returncode != 0, refused.stdout[-4000:]
    return " ".join(said.split()), " ".join(refused.stdout.split())


def test_that_idleness_can_not_be_told_is_said_before_clients_move_and_not_a_day_after(away: tuple[str, str]) -> None:
    """Istio's chart has its pods show few of Envoy's counters."""
    said, refused = away
    assert "soak would refuse: istio-ingress-" in said and "none of istio_tcp_connections_opened_total" in said
    assert "Whether the old gateway is idle will not be told, however long one waits: istio-ingress-" in refused


@pytest.fixture(scope="module")
def removed(away: tuple[str, str]) -> str:
    """All of Istio goes, once the balancer has told that it is idle. What a cloud does to release a load balancer is
    played."""
    play(AWAY, "--tags", "soak,unbind")
    ingress = {**AWAY["mesh_ingress"], "remove": STAGES}
    with lab.meanwhile(release):
        return play({**AWAY, "mesh_ingress": ingress}, "--tags", "cleanup")


RELEASED_BEFORE: set[str] = set()  # webhooks that were there still when the load balancer was let go


def release() -> bool:
    """What a cloud's controller does once the Service is deleted, at its leisure."""
    done = bare("kubectl", "get", "service", "cloud", "--namespace=istio-ingress", "--output=json")
    if done.returncode or not json.loads(done.stdout)["metadata"].get("deletionTimestamp"):
        return False
    RELEASED_BEFORE.update(name for name in of_istio() if "WebhookConfiguration" in name)
    kubectl("patch", "service", "cloud", "--namespace=istio-ingress", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
    return True


def test_nothing_of_istio_is_left_but_what_is_named(removed: str) -> None:
    assert releases() == [] and kinds() == set()
    left = of_istio()
    trust = {name for name in left if name.startswith("ConfigMap ")}
    assert {name.partition("/")[2] for name in trust} == {"istio-ca-root-cert", "istio-ca-crl"}
    assert left - trust == {"Namespace /istio-ingress", "Namespace /istio-system", "Secret istio-system/istio-ca-secret"}
    assert "removal_ca" in removed and "istio-ca-root-cert and istio-ca-crl in every namespace: " in " ".join(removed.split())


def test_the_load_balancer_was_released_before_the_next_stage(removed: str) -> None:
    assert {name.split("/")[1] for name in RELEASED_BEFORE} == {
        "istio-sidecar-injector", "istio-validator-istio-system", "istiod-default-validator",
    }  # fmt: skip


def test_clients_did_not_see_it_go(removed: str) -> None:
    none_was_lost("traffic-away")
    (moved,) = [one for one in listed("ingresses", "--all-namespaces") if one["spec"]["rules"][0]["host"] == "solo.ingress.test"]
    assert moved["metadata"]["namespace"] == "shop" and moved["metadata"]["annotations"]["bluegreen.mesh/part"] == "route"


@pytest.fixture(scope="module")
def back(removed: str) -> str:
    return play(AWAY, "--tags", "rollback", "--extra-vars", "mesh_rollback_to=keep")


def test_all_of_it_comes_back_and_serves(back: str) -> None:
    assert sorted(releases()) == sorted(RELEASES)
    assert {"virtualservices.networking.istio.io", "gateways.networking.istio.io"} <= kinds()
    assert "solo.ingress.test" not in {rule["host"] for one in listed("ingresses", "-A") for rule in one["spec"]["rules"]}
    clients("traffic-away")
    none_was_lost("traffic-away")


def test_a_rollback_of_the_first_journey_takes_them_away_again(back: str) -> None:
    kubectl("delete", "--filename", str(STATE / "solo.yaml"), "--wait=false")
    release()
    play(THERE, "--tags", "rollback", "--extra-vars", "mesh_rollback_to=deploy")
    assert releases() == []
    assert listed("ingresses", "--all-namespaces")
