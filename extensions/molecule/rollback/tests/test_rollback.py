# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""To the middle of the cutover and back to before `keep`: cluster and balancer are as they were, byte for byte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _traffic
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import (
    FIELD_MANAGER,
    Cluster,
    path_of,
)

TRAFFIC = f"{os.environ['LAB_STATE']}/traffic-rollback"
ISTIO = "networking.istio.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
WATCHED = (
    (ISTIO, "gateways"),
    (ISTIO, "virtualservices"),
    (ADMISSION, "mutatingadmissionpolicies"),
    (ADMISSION, "mutatingadmissionpolicybindings"),
    (ADMISSION, "validatingadmissionpolicies"),
    (ADMISSION, "validatingadmissionpolicybindings"),
    ("v1", "services"),
    ("v1", "secrets"),
    ("v1", "configmaps"),
    ("v1", "serviceaccounts"),
    ("apps/v1", "deployments"),
)
OURS = {"mesh_migration": "there-and-back", "mesh_journal_namespace": "mesh-rollback"}
# Few probes and one small step: what is tested is the way back.
HALF = {
    **OURS,
    "mesh_traffic": {"probe": {"dir": TRAFFIC}},
    "mesh_cutover_steps": [50],
    **lab.QUICK,
}
RECORD = "secrets istio-system/sh.helm.release.v1.istio-ingress.v1"


# Of these fields we stay the owner: what was written there is what was there before, but it is ours. A list of routes
# belongs to one owner as a whole.
TAKEN = {"virtualservices": ("f:gateways", "f:http", "f:tls", "f:tcp"), RECORD: ("f:data",)}


class Seen(t.NamedTuple):
    """objects: kind and name -> body without what every write moves; touched: their resourceVersions; weights."""

    objects: dict[str, dict[str, t.Any]]
    touched: dict[str, str]
    weights: dict[str, int]


def owners(entries: list[dict[str, t.Any]], taken: t.Collection[str]) -> list[dict[str, t.Any]]:
    """Who owns which field, but not since when. Without `taken`, which is all that we may own of what is not ours."""
    found = []
    for entry in entries:
        fields = entry.get("fieldsV1") or {}
        if entry["manager"] == FIELD_MANAGER and taken:
            left = without(fields, (*taken, "."))
            assert not left, f"ours as well: {left}"
        elif without(fields, taken):
            found.append({**entry, "time": None, "fieldsV1": without(fields, taken)})
    return sorted(found, key=lambda entry: json.dumps(entry, sort_keys=True))  # they come by their times


def without(fields: dict[str, t.Any], names: t.Collection[str]) -> dict[str, t.Any]:
    inner = {key: without(value, names) for key, value in fields.items() if key not in names}
    # A spec of which someone owned but one list is an empty spec once that list is another's.
    if not inner.get("f:spec", {}).keys() - {"."}:
        inner.pop("f:spec", None)
    return {key: value for key, value in inner.items() if value or not fields[key]}


def look(cluster: Cluster) -> Seen:
    objects, touched = {}, {}
    for group_version, plural in WATCHED:
        for body in cluster.list(path_of(group_version, plural)):
            meta = body["metadata"]
            name = f"{plural} {meta.get('namespace', '')}/{meta['name']}"
            touched[name] = meta.pop("resourceVersion")
            meta.pop("generation", None)
            body.get("status", {}).pop("observedGeneration", None)  # annotations move a Deployment's
            meta["managedFields"] = owners(meta.pop("managedFields", []), TAKEN.get(name, TAKEN.get(plural, ())))
            objects[name] = body
    return Seen(objects, touched, lab.weights())


@pytest.fixture(scope="module")
def before(cluster: Cluster) -> Seen:
    """The lab as it is found; objects of the migration must not be there yet."""
    seen = look(cluster)
    assert not [name for name in seen.objects if "istio-gateway/" in name or "mesh-rollback/" in name]
    return seen


@pytest.fixture(scope="module")
def halfway(cluster: Cluster, before: Seen) -> Seen:
    done = lab.play(HALF, "--tags", "preflight,keep,bind,deploy,verify,cutover")
    assert done.returncode == 0, done.stdout[-4000:]
    return look(cluster)


@pytest.fixture(scope="module")
def breached(halfway: Seen) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """A further step under a gate that no gateway can pass: green would have to be ten thousand times as fast as blue."""
    gate = {**HALF["mesh_gate"], "p99_floor_ms": 0, "p99_ratio": 0.0001}
    done = lab.play({**HALF, "mesh_cutover_steps": [50, 75], "mesh_gate": gate}, "--tags", "cutover")
    return done, lab.weights()


@pytest.fixture(scope="module")
def failing(
    breached: tuple[subprocess.CompletedProcess[str], dict[str, int]]
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """The same step again, under a gate that green would hold, if HAProxy could reach it at both nodes."""
    counted = {"haproxy": {"gate": {"min_samples": 40, "min_green_samples": 5}}, **HALF["mesh_traffic"]}
    gate = {**HALF["mesh_gate"], "deadline": 60}
    with lab.refused_at_one_node():
        settings = {**HALF, "mesh_cutover_steps": [50, 75], "mesh_gate": gate, "mesh_traffic": counted}
        done = lab.play(settings, "--tags", "cutover")
    return done, lab.weights()


@pytest.fixture(scope="module")
def lossy(
    cluster: Cluster, failing: tuple[subprocess.CompletedProcess[str], dict[str, int]]
) -> tuple[subprocess.CompletedProcess[str], dict[str, int]]:
    """A rollback while one route, that no client asks for, is green's alone: the binding policy leaves it as it is."""
    spec = {
        "hosts": ["late.lab.test"], "gateways": ["istio-gateway/public-ingressgateway"],
        "http": [{"directResponse": {"status": 200}}],
    }  # fmt: skip
    metadata = {"name": "late", "labels": {"bluegreen.mesh/bind": "false"}}
    routes = path_of(ISTIO, "virtualservices", "shop")
    cluster.create(routes, {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": metadata, "spec": spec})
    done = lab.play({**OURS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    return done, lab.weights()


@pytest.fixture(scope="module")
def back(cluster: Cluster, lossy: tuple[subprocess.CompletedProcess[str], dict[str, int]]) -> Seen:
    done = lab.play({**OURS, "mesh_rollback_to": "keep", "mesh_rollback_anyway": True}, "--tags", "rollback")
    cluster.delete(path_of(ISTIO, "virtualservices", "shop", "late"))  # it was never the migration's
    assert done.returncode == 0, done.stdout[-4000:]
    assert "By your leave, traffic goes to a blue that is not good: going back would lose a route" in done.stdout
    return look(cluster)


def journal(cluster: Cluster) -> dict[str, t.Any]:
    data = cluster.get(path_of("v1", "configmaps", "mesh-rollback", "there-and-back"))["data"]
    return {name: json.loads(data[name]) for name in ("phases", "steps", "run")}


def test_there_was_something_to_undo(before: Seen, halfway: Seen) -> None:
    """Else the comparisons below would say nothing."""
    new = halfway.objects.keys() - before.objects.keys()
    assert {
        "gateways istio-gateway/public-ingressgateway",
        "secrets istio-gateway/public-cert",
        "services istio-gateway/public-ingressgateway",
        "deployments istio-gateway/passthrough-ingressgateway",
    } <= new
    for kind in ("validatingadmissionpolicies ", "mutatingadmissionpolicies "):
        assert [name for name in new if name.startswith(kind)]
    changed = {name for name in before.objects if halfway.objects.get(name) != before.objects[name]}
    assert {"gateways istio-system/public", "gateways httpbin/httpbin-gateway", RECORD} <= changed
    assert len([name for name in changed if name.startswith("virtualservices ")]) > 25
    assert set(halfway.weights.values()) == {50}


def test_a_step_that_does_not_hold_is_taken_back_and_says_why(
    halfway: Seen, breached: tuple[subprocess.CompletedProcess[str], dict[str, int]]
) -> None:
    done, after = breached
    assert done.returncode != 0
    assert "The step to 75 % did not hold: probe: green's p99 is" in done.stdout, done.stdout[-3000:]
    assert "more than 0.0001 times as long. Green is back at 50" in done.stdout, done.stdout[-3000:]
    assert after == halfway.weights


def test_a_step_in_which_requests_fail_is_taken_back_and_says_how_many(
    halfway: Seen, failing: tuple[subprocess.CompletedProcess[str], dict[str, int]]
) -> None:
    done, after = failing
    said = " ".join(done.stdout.split())
    told = re.search(r"The step to 75 % did not hold: (.*?) Green is back at 50 %", said)
    assert done.returncode != 0 and told, done.stdout[-3000:]
    assert re.match(r"haproxy: [1-9]\d* of green's \d+ requests failed", told[1]) and "p99" not in told[1]
    assert after == halfway.weights


def test_no_traffic_goes_back_to_a_blue_that_lacks_a_route(
    halfway: Seen, lossy: tuple[subprocess.CompletedProcess[str], dict[str, int]]
) -> None:
    done, after = lossy
    assert done.returncode != 0
    assert "Blue is not good to go back to: going back would lose a route: VirtualService shop/late" in done.stdout
    assert "mesh_rollback_anyway=true" in done.stdout and after == halfway.weights


def test_everything_that_was_there_is_as_it_was(before: Seen, back: Seen) -> None:
    assert before.objects.keys() <= back.objects.keys()
    differing = {name: back.objects[name] for name, body in before.objects.items() if back.objects[name] != body}
    assert not differing, json.dumps(differing, indent=1)[:4000]


def test_helm_has_its_record_back_byte_for_byte(before: Seen, back: Seen) -> None:
    assert back.objects[RECORD]["data"] == before.objects[RECORD]["data"]


def test_nothing_of_green_is_left(before: Seen, back: Seen) -> None:
    # What controllers give to every namespace, and the route that was made here.
    given = {"istio-ca-crl", "istio-ca-root-cert", "kube-root-ca.crt", "default"}
    left = {name for name in back.objects.keys() - before.objects.keys() if name.rpartition("/")[2] not in given}
    assert {name for name in left if "mesh-rollback/there-and-back" not in name} == set()


def test_the_balancer_has_its_weights_back(before: Seen, back: Seen) -> None:
    assert back.weights == before.weights
    assert set(back.weights.items()) == {
        (f"{listener}/{colour}-node-{n}", weight)
        for listener in ("public_http", "public_https", "passthrough_http", "passthrough_https")
        for colour, weight in (("blue", 100), ("green", 0))
        for n in (1, 2)
    }


def test_what_was_not_concerned_was_never_written(before: Seen, back: Seen) -> None:
    for name in ("virtualservices shop/mesh-only", "services team-a/app"):
        assert back.touched[name] == before.touched[name]


def test_the_journal_says_so(cluster: Cluster, back: Seen) -> None:
    found = journal(cluster)
    undone = dict.fromkeys(("keep", "bind", "deploy", "verify", "cutover"), "undone")
    assert {name: phase["state"] for name, phase in found["phases"].items()} == {"preflight": "done", **undone}
    assert {step["state"] for step in found["steps"]} == {"undone"}
    assert found["run"]["state"] == "closed"


def test_going_back_again_changes_nothing(cluster: Cluster, back: Seen) -> None:
    done = lab.play({**OURS, "mesh_rollback_to": "keep"}, "--tags", "rollback")
    assert done.returncode == 0 and "changed=0 " in done.stdout, done.stdout[-4000:]
    again = look(cluster)
    journals = {name for name in back.touched if "mesh-rollback/" in name}
    assert {name: v for name, v in again.touched.items() if name not in journals} == {
        name: v for name, v in back.touched.items() if name not in journals
    }


def test_no_phase_after_it_can_run(cluster: Cluster, back: Seen) -> None:
    done = lab.play({**OURS, "mesh_cutover_steps": [50]}, "--tags", "cutover")
    assert done.returncode != 0 and "-t verify" in done.stdout, done.stdout[-4000:]
    assert look(cluster).weights == back.weights


def test_no_request_was_lost(back: Seen) -> None:
    seen = _traffic.summarise(_traffic.read_records(_traffic.records_path(TRAFFIC)))
    assert seen["total"]["failed"] == 0, str(seen["errors"])
    assert seen["total"]["requests"] > 3000
    assert time.time() - seen["total"]["last"] < 10
