# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares by blue's own Service: which there are, in which order they are made, and what is left afterwards."""

from __future__ import annotations

import copy
import dataclasses
import json
import signal
import typing as t

import pytest
from ansible_collections.bluegreen.mesh.plugins.module_utils import _endpoints as rules
from ansible_collections.bluegreen.mesh.plugins.module_utils import _objects, _service_endpoints
from ansible_collections.bluegreen.mesh.plugins.module_utils._objects import CARRIES
from ansible_collections.bluegreen.mesh.plugins.modules import migration_journal, service_endpoints
from fake_cluster import FakeCluster, run_module

PORTS = (("status-port", 15021, 15021), ("http2", 80, 8080), ("https", 443, 8443))
GREEN_PORTS = (("status-port", 15021, 15021), ("http2", 80, 80), ("https", 443, 443))


def service(
    namespace: str, name: str, ports: t.Sequence[tuple[str, int, int]] = PORTS, **spec: t.Any
) -> dict[str, t.Any]:  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "type": "NodePort",
            "selector": {"app": f"{namespace}-{name}"},
            "ports": [{"name": n, "port": p, "targetPort": to, "protocol": "TCP"} for n, p, to in ports],
            "ipFamilies": ["IPv4"],
            **spec,
        },
    }


@dataclasses.dataclass
class Pod:
    ready: bool = True
    node: str = "node-1"
    terminating: bool = False


class Lab(FakeCluster):
    """With the part of kube-controller-manager that keeps EndpointSlices: it runs at every list, or each `every`th."""

    def __init__(self, *objects: dict[str, t.Any], working: bool = True) -> None:
        super().__init__(*objects)
        self.pods: dict[str, dict[str, Pod]] = {}  # by "NAMESPACE-SERVICE", which is the label app; then by address
        self.working = working
        self.every = 1
        self.lists = 0
        self.on("GET", "*/endpointslices", lambda _request: self.listed())

    def have(self, app: str, *addresses: str, **fields: t.Any) -> None:
        self.pods[app] = {address: Pod(**fields) for address in addresses}

    def listed(self) -> None:
        self.lists += 1
        if self.lists % self.every == 0:
            self.reconcile()

    def reconcile(self) -> None:
        if not self.working:
            return
        for namespace in ("old", "new"):
            for name in self.names("services", namespace):
                body = self.peek("services", namespace, name)
                selector = body["spec"].get("selector") or {}
                for family in body["spec"].get("ipFamilies") or ["IPv4"]:
                    self._slice(namespace, name, body, selector, family)

    def _slice(self, namespace: str, name: str, body: dict, selector: dict, family: str) -> None:
        pods = self.pods.get(selector.get("app", ""), {}) if selector.keys() == {"app"} else {}
        wanted = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "namespace": namespace,
                "name": f"{name}-{family.lower()}-x1",
                "labels": {rules.SERVICE_NAME: name, rules.MANAGED_BY: rules.CONTROLLER},
            },
            "addressType": family,
            "ports": [{"name": p["name"], "port": p["targetPort"], "protocol": "TCP"} for p in body["spec"]["ports"]],
            "endpoints": [
                {
                    "addresses": [address if family == "IPv4" else f"fd00::{address.rpartition('.')[2]}"],
                    "conditions": {"ready": p.ready, "serving": p.ready, "terminating": p.terminating},
                    "nodeName": p.node,
                    "targetRef": {
                        "kind": "Pod", "namespace": namespace, "name": f"pod-{address}", "uid": f"uid-{address}"
                    },
                }
                for address, p in sorted(pods.items())
            ],
        }
        have = self.peek("endpointslices", namespace, wanted["metadata"]["name"])
        if have is None or have["endpoints"] != wanted["endpoints"]:
            self.add(wanted)


@pytest.fixture
def lab() -> Lab:
    """Two Services, three pods of each side behind each."""
    names = ("pub", "tls")
    lab = Lab(*(service("old", name) for name in names), *(service("new", name, GREEN_PORTS) for name in names))
    for index, name in enumerate(("pub", "tls")):
        lab.have(f"old-{name}", *(f"10.0.{index}.{n}" for n in (1, 2, 3)))
        lab.have(f"new-{name}", *(f"10.1.{index}.{n}" for n in (1, 2, 3)))
    lab.reconcile()
    return lab


WORKLOADS = [
    {"name": n, "blue": {"namespace": "old", "service": n}, "green": {"namespace": "new", "release": n}}
    for n in ("pub", "tls")
]


def run(lab: Lab, check: bool = False, **params: t.Any) -> dict[str, t.Any]:
    defaults = {"workloads": WORKLOADS, "require_keeper": False, "timeout": 0.3}
    return run_module(service_endpoints, {**defaults, **params}, lab, check=check)


def objects(lab: Lab) -> dict[str, t.Any]:
    """All of it but what every write moves."""
    found = {}
    for plural in ("services", "endpointslices", "leases"):
        for namespace in ("old", "new"):
            for name in lab.names(plural, namespace):
                body = copy.deepcopy(lab.peek(plural, namespace, name))
                for field in ("resourceVersion", "generation", "uid"):
                    body["metadata"].pop(field, None)
                found[f"{plural} {namespace}/{name}"] = body
    return found


def put(lab: Lab, name: str = "pub", family: str = "ipv4") -> list[str]:
    """Green's ready addresses behind blue's Service."""
    body = lab.peek("endpointslices", "old", f"{name}-bluegreen-{family}-0")
    return [e["addresses"][0] for e in body["endpoints"] if e["conditions"]["ready"]] if body else []


def blue(lab: Lab, name: str = "pub") -> list[str]:
    lab.reconcile()
    body = lab.peek("endpointslices", "old", f"{name}-ipv4-x1")
    return [e["addresses"][0] for e in body["endpoints"] if e["conditions"]["ready"]]


# -- shares ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("percent", "green", "left"), [(25, 1, 3), (40, 2, 3), (50, 3, 3), (100, 3, 0)])
def test_a_share_is_so_many_endpoints(lab: Lab, percent: float, green: int, left: int) -> None:
    done = run(lab, green_percent=percent, expect_green_percent=0)
    assert done["changed"] and done["green_percent"] == percent, done
    for name in ("pub", "tls"):
        assert (len(put(lab, name)), len(blue(lab, name))) == (green, left)
    again = run(lab, green_percent=percent, expect_green_percent=percent)
    assert again["changed"] is False and again["green_percent"] == percent


@pytest.mark.parametrize("percent", [1, 10, 30, 75, 99])
def test_a_share_that_cannot_be_had_is_refused_with_those_that_can(lab: Lab, percent: float) -> None:
    before = objects(lab)
    refused = run(lab, green_percent=percent)
    assert refused["failure"]["code"] == "unrepresentable"
    assert "25, 40, 50, 100 %" in refused["msg"] and "mesh_cutover_steps" in refused["msg"]
    assert objects(lab) == before


def test_a_share_within_half_a_point_is_taken(lab: Lab) -> None:
    lab.have("new-pub", "10.1.0.1")
    lab.have("new-tls", "10.1.1.1")
    lab.have("old-pub", "10.0.0.1", "10.0.0.2")
    lab.have("old-tls", "10.0.1.1", "10.0.1.2")
    assert run(lab, green_percent=33)["green_percent"] == 33.33


def test_all_steps_are_looked_at_before_the_first(lab: Lab) -> None:
    assert run(lab, steps=[25, 50, 100])["changed"] is False
    assert run(lab, steps=[25, 75, 100])["failure"]["code"] == "unrepresentable"


def test_services_with_different_numbers_of_pods_have_only_what_both_can(lab: Lab) -> None:
    lab.have("old-tls", "10.0.1.1")
    lab.have("new-tls", "10.1.1.1")
    assert run(lab, green_percent=25)["failure"]["code"] == "unrepresentable"
    assert run(lab, green_percent=50)["green_percent"] == 50


def test_going_down_takes_the_next_lower_share_that_all_have(lab: Lab) -> None:
    run(lab, green_percent=50)
    lab.have("old-tls", "10.0.1.1")
    done = run(lab, green_percent=25)
    assert done["changed"] and done["green_percent"] == 0
    assert put(lab) == put(lab, "tls") == []


@pytest.mark.parametrize("value", [-1, 101])
def test_no_percentage(lab: Lab, value: float) -> None:
    assert run(lab, green_percent=value)["failure"]["code"] == "bad_option"


# -- what is written -------------------------------------------------------------------------------------------------
def test_ports_are_blues_by_name_and_greens_by_number(lab: Lab) -> None:
    run(lab, green_percent=25)
    body = lab.peek("endpointslices", "old", "pub-bluegreen-ipv4-0")
    assert {p["name"]: p["port"] for p in body["ports"]} == {"status-port": 15021, "http2": 80, "https": 443}
    (entry,) = body["endpoints"]
    assert entry["nodeName"] == "node-1" and entry["targetRef"]["namespace"] == "new" and "hints" not in entry
    assert entry["conditions"] == {"ready": True, "serving": True, "terminating": False}
    owner = lab.peek("services", "old", "pub")["metadata"]["uid"]
    assert [o["uid"] for o in body["metadata"]["ownerReferences"]] == [owner]


def test_a_port_of_another_name_is_found_by_its_number(lab: Lab) -> None:
    lab.edit("services", "old", "pub", lambda s: s["spec"]["ports"][1].update(name="http"))
    run(lab, green_percent=25)
    body = lab.peek("endpointslices", "old", "pub-bluegreen-ipv4-0")
    assert {p["name"]: p["port"] for p in body["ports"]}["http"] == 80


def test_a_port_that_green_lacks_is_refused(lab: Lab) -> None:
    more = {"name": "tcp", "port": 31400, "targetPort": 1}
    lab.edit("services", "old", "tls", lambda s: s["spec"]["ports"].append(more))
    before = objects(lab)
    refused = run(lab, green_percent=25)
    assert refused["failure"]["code"] == "port_missing" and "port tcp" in refused["msg"]
    assert objects(lab) == before


def test_everything_is_by_one_label_in_the_selector(lab: Lab) -> None:
    run(lab, green_percent=100)
    selector = lab.peek("services", "old", "pub")["spec"]["selector"]
    assert selector == {"app": "old-pub", CARRIES: "green"}
    # Blue's pods are blue's pods to everybody here, and istiod finds the ports in a Service that still selects them.
    assert _objects.selects(selector, {"app": "old-pub"})
    assert not _objects.selects({CARRIES: "green"}, {"app": "old-pub"})
    assert _objects.selector_of(lab.peek("services", "old", "pub")) == {"app": "old-pub"}
    helper = lab.peek("services", "old", "pub-bluegreen")
    assert helper["spec"]["selector"] == {"app": "old-pub"} and helper["spec"]["type"] == "ClusterIP"
    assert [(p["port"], p["targetPort"]) for p in helper["spec"]["ports"]] == [(15021, 15021), (80, 8080), (443, 8443)]
    backends = [s for s in run(lab)["backends"] if s["backend"] == "old/pub"]
    told = {s["server"]: (s["colour"], s["weight"], s["health"]) for s in backends}
    assert told["pod-10.0.0.1"] == ("blue", 0, "UP") and told["pod-10.1.0.1"] == ("green", 1, "UP")


def test_order_up_and_down(lab: Lab) -> None:
    """Green is there before blue goes, and blue before green goes."""

    def writes(percent: float) -> list[str]:
        start = len(lab.log)
        assert run(lab, workloads=WORKLOADS[:1], green_percent=percent)["green_percent"] == percent
        return [f"{r.method} {r.path.rpartition('/')[2]}" for r in lab.log[start:] if r.method != "GET"]

    assert writes(100) == ["POST services", "POST endpointslices", "PATCH pub"]
    assert writes(25) == ["PATCH pub", "PUT pub-bluegreen-ipv4-0"]
    assert writes(0) == ["DELETE pub-bluegreen-ipv4-0", "DELETE pub-bluegreen"]


def test_a_controller_that_takes_its_time(lab: Lab) -> None:
    """It needs some to fill the helper's slices, to empty blue's, and to fill them again."""
    lab.every = 7
    for percent in (25, 100, 50, 0):
        done = run(lab, workloads=WORKLOADS[:1], green_percent=percent, timeout=5)
        assert done.get("green_percent") == percent, done


@pytest.mark.parametrize("shares", [[100], [25, 50, 100], [50, 100, 50]])
def test_back_to_nothing_leaves_nothing(lab: Lab, shares: list[float]) -> None:
    before = objects(lab)
    for percent in shares:
        assert run(lab, green_percent=percent)["green_percent"] == percent
    assert run(lab, green_percent=0)["green_percent"] == 0
    lab.reconcile()
    assert {k: v for k, v in objects(lab).items() if "-bluegreen-ipv4-x1" not in k} == before


def test_green_may_be_gone_when_nothing_is_asked_of_it(lab: Lab) -> None:
    run(lab, green_percent=100)
    for name in ("pub", "tls"):
        lab.pods[f"new-{name}"] = {}
        lab.call("DELETE", f"/api/v1/namespaces/new/services/{name}")
    assert run(lab, green_percent=0)["green_percent"] == 0


def test_check_mode_foresees_and_writes_nothing(lab: Lab) -> None:
    before, writes = objects(lab), lab.writes
    foreseen = run(lab, check=True, green_percent=100)
    assert lab.writes == writes and objects(lab) == before
    done = run(lab, green_percent=100)
    assert (foreseen["changed"], foreseen["green_percent"], foreseen["diff"]) == (True, 100, done["diff"])
    assert done["diff"]["after"]["Service old/pub"] == {
        "green_percent": 100, "selector": {"app": "old-pub", CARRIES: "green"}
    }  # fmt: skip


def test_a_plan_can_be_made_before_green_is_there(lab: Lab) -> None:
    for name in ("pub", "tls"):
        lab.pods[f"new-{name}"] = {}
    assert run(lab, check=True, green_percent=10)["failure"]["code"] == "green_not_ready"
    foreseen = run(lab, check=True, green_percent=10, require_ready=False)
    assert foreseen["changed"] and foreseen["green_percent"] == 10


def test_both_address_families(lab: Lab) -> None:
    for namespace in ("old", "new"):
        lab.edit("services", namespace, "pub", lambda s: s["spec"].update(ipFamilies=["IPv4", "IPv6"]))
    assert run(lab, green_percent=25)["green_percent"] == 25
    assert put(lab) == ["10.1.0.1"] and put(lab, family="ipv6") == ["fd00::1"]


def test_green_without_a_family_that_blue_has(lab: Lab) -> None:
    lab.edit("services", "old", "pub", lambda s: s["spec"].update(ipFamilies=["IPv4", "IPv6"]))
    assert run(lab, green_percent=25)["failure"]["code"] == "green_not_ready"


def test_who_owned_the_selector_owns_it_again(lab: Lab) -> None:
    field = {"apiVersion": "v1", "fieldsV1": {"f:spec": {"f:selector": {}}}}
    applied = {"manager": "flux", "operation": "Apply", **field}
    ours = {"manager": "bluegreen-mesh", "operation": "Update", **field}
    lab.edit("services", "old", "pub", lambda s: s["metadata"].update(managedFields=[applied]))
    run(lab, green_percent=100)
    lab.edit("services", "old", "pub", lambda s: s["metadata"].update(managedFields=[ours]))  # as the API server does
    run(lab, green_percent=0)
    assert lab.peek("services", "old", "pub")["metadata"]["managedFields"] == [applied]


def test_names_that_would_be_too_long() -> None:
    long = "g" * 63
    assert len(rules.base_name(long)) <= 63 and rules.base_name(long) != rules.base_name("g" * 62)


# -- refusals and failures -------------------------------------------------------------------------------------------
def test_what_cannot_be_shifted(lab: Lab) -> None:
    lab.edit("services", "old", "pub", lambda s: s["spec"].pop("selector"))
    assert run(lab)["failure"]["code"] == "no_selector"
    assert run(lab, workloads=[])["failure"]["code"] == "bad_option"
    assert run(lab, workloads=[WORKLOADS[1]] * 2)["failure"]["code"] == "bad_option"
    assert run(lab, workloads=[{"blue": {}}])["failure"]["code"] == "bad_option"
    gone = {**WORKLOADS[1], "blue": {"namespace": "old", "service": "none"}}
    assert run(lab, workloads=[gone])["failure"]["code"] == "no_such_service"
    lab.add(service("old", "tls-bluegreen"))
    assert run(lab, workloads=WORKLOADS[1:])["failure"]["code"] == "name_taken"


def test_endpoints_that_somebody_else_keeps(lab: Lab) -> None:
    body = lab.peek("endpointslices", "old", "pub-ipv4-x1")
    body["metadata"] = {"namespace": "old", "name": "by-hand", "labels": {rules.SERVICE_NAME: "pub"}}
    lab.add(body)
    refused = run(lab, green_percent=25)
    assert refused["failure"]["code"] == "foreign_slices" and "by-hand (by nobody named)" in refused["msg"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda lab: lab.edit("services", "old", "tls", lambda s: s["spec"]["selector"].pop(CARRIES)), id="selector"
        ),
        pytest.param(
            lambda lab: lab.call(
                "DELETE", "/apis/discovery.k8s.io/v1/namespaces/old/endpointslices/tls-bluegreen-ipv4-0"
            ),
            id="slice",
        ),
    ],
)  # fmt: skip
def test_what_somebody_else_changed_is_noticed_and_left(lab: Lab, change: t.Callable[[Lab], t.Any]) -> None:
    run(lab, green_percent=100)
    change(lab)
    before = objects(lab)
    assert run(lab)["green_percent"] is None
    refused = run(lab, green_percent=50, expect_green_percent=100)
    assert refused["failure"]["code"] == "foreign_change"
    assert "old/tls" in refused["msg"] and "old/pub" not in refused["msg"]
    before_names = {k for k in before if "x1" not in k}
    assert {k for k in objects(lab) if "x1" not in k} == before_names
    assert run(lab, green_percent=0)["green_percent"] == 0


def test_a_pod_that_came_is_nobodys_change(lab: Lab) -> None:
    run(lab, green_percent=25)
    lab.pods["old-pub"]["10.0.0.4"] = Pod()
    found = run(lab)
    assert [s["green_percent"] for s in found["shares"]] == [20, 25] and found["green_percent"] == 25
    done = run(lab, workloads=WORKLOADS[:1], green_percent=100, expect_green_percent=25)
    assert done["green_percent"] == 100


def test_asked_for_again_a_share_stays_whatever_became_of_blues_pods(lab: Lab) -> None:
    run(lab, green_percent=25)
    lab.pods["old-pub"]["10.0.0.4"] = Pod()
    del lab.pods["old-tls"]["10.0.1.1"]
    assert run(lab, green_percent=25, expect_green_percent=25)["changed"] is False
    assert len(put(lab)) == len(put(lab, "tls")) == 1
    del lab.pods["new-pub"]["10.1.0.1"]
    assert run(lab, green_percent=25)["changed"] and put(lab) == ["10.1.0.2"] and put(lab, "tls") == ["10.1.1.1"]


def test_blue_keeps_its_part_while_no_controller_answers(lab: Lab) -> None:
    run(lab, green_percent=50)
    lab.call("DELETE", "/apis/discovery.k8s.io/v1/namespaces/old/endpointslices/pub-bluegreen-ipv4-x1")
    lab.working = False
    refused = run(lab, green_percent=100)
    assert refused["failure"]["cause"] == "controller_silent", refused
    assert CARRIES not in lab.peek("services", "old", "pub")["spec"]["selector"]


def test_green_keeps_its_endpoints_until_blue_has_some(lab: Lab) -> None:
    run(lab, green_percent=100)
    lab.working = False  # the controller is down
    refused = run(lab, green_percent=0)
    assert refused["failure"]["code"] == "set_failed" and refused["failure"]["cause"] == "blue_not_ready", refused
    assert put(lab) == ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
    lab.working = True
    assert run(lab, green_percent=0)["green_percent"] == 0


def test_one_that_fails_has_the_others_put_back(lab: Lab) -> None:
    run(lab, green_percent=25)
    before = objects(lab)
    lab.fail("PATCH", "*/old/services/tls", 403)
    refused = run(lab, green_percent=100)
    assert refused["failure"]["code"] == "set_failed" and refused["failure"]["not_put_back"] == []
    assert refused["failure"]["put_back"] == ["old/tls", "old/pub"]
    lab.reconcile()
    assert objects(lab) == before


def test_a_conflict_is_tried_again_from_a_fresh_read(lab: Lab) -> None:
    def meanwhile(_request: t.Any) -> None:
        lab.edit("services", "old", "pub", lambda s: s["metadata"].setdefault("labels", {}).update(team="a"))

    lab.on("PATCH", "*/old/services/pub", meanwhile, times=1)
    assert run(lab, green_percent=100)["green_percent"] == 100
    assert lab.peek("services", "old", "pub")["metadata"]["labels"] == {"team": "a"}


def test_one_who_always_writes_against_it_is_named(lab: Lab) -> None:
    lab.on("PATCH", "*/old/services/pub", lambda _r: lab.edit("services", "old", "pub", lambda s: None))
    refused = run(lab, green_percent=100)
    assert refused["failure"]["cause"] == "conflict" and "Find out who" in refused["msg"]
    assert run(lab)["green_percent"] == 0


# -- nodes that keep to themselves -----------------------------------------------------------------------------------
def local(lab: Lab) -> None:
    lab.edit("services", "old", "pub", lambda s: s["spec"].update(externalTrafficPolicy="Local"))
    for n, node in ((1, "a"), (2, "b"), (3, "b")):
        lab.pods["old-pub"][f"10.0.0.{n}"] = Pod(node=node)


def test_a_node_must_not_fall_silent(lab: Lab) -> None:
    local(lab)
    for n in (1, 2, 3):
        lab.pods["new-pub"][f"10.1.0.{n}"] = Pod(node="b")
    refused = run(lab, green_percent=100)
    assert refused["failure"]["code"] == "node_dark" and refused["failure"]["nodes"] == ["a"]


def test_with_local_the_share_is_of_nodes_that_answer(lab: Lab) -> None:
    local(lab)
    for n, node in ((1, "a"), (2, "b"), (3, "c")):  # on c there is no blue
        lab.pods["new-pub"][f"10.1.0.{n}"] = Pod(node=node)
    shares = run(lab, workloads=WORKLOADS[:1])["shares"]
    assert shares[0]["possible"] == [25, pytest.approx(100 * (1 / 2 + 1 / 3) / 2, abs=0.01), 100]
    assert run(lab, workloads=WORKLOADS[:1], green_percent=25)["green_percent"] == 25
    assert put(lab) == ["10.1.0.1"]


def test_pods_are_taken_from_all_nodes_in_turn(lab: Lab) -> None:
    for n, node in ((1, "a"), (2, "a"), (3, "b")):
        lab.pods["new-pub"][f"10.1.0.{n}"] = Pod(node=node)
    run(lab, workloads=WORKLOADS[:1], green_percent=40)
    assert put(lab) == ["10.1.0.1", "10.1.0.3"]


# -- in step with the pods -------------------------------------------------------------------------------------------
def test_a_pod_that_goes_is_replaced(lab: Lab) -> None:
    run(lab, green_percent=25)
    assert put(lab) == ["10.1.0.1"]
    del lab.pods["new-pub"]["10.1.0.1"]
    assert run(lab, check=True, state="refreshed")["changed"] and put(lab) == ["10.1.0.1"]
    done = run(lab, state="refreshed")
    assert done["changed"] and done["refreshes"] == 1 and put(lab) == ["10.1.0.2"] and put(lab, "tls") == ["10.1.1.1"]
    assert run(lab, state="refreshed")["changed"] is False


def test_at_everything_each_pod_is_there_with_its_conditions(lab: Lab) -> None:
    run(lab, green_percent=100)
    lab.pods["new-pub"]["10.1.0.1"].ready = False
    lab.pods["new-pub"]["10.1.0.4"] = Pod()
    assert run(lab, state="refreshed")["changed"]
    body = lab.peek("endpointslices", "old", "pub-bluegreen-ipv4-0")
    assert {e["addresses"][0]: e["conditions"]["ready"] for e in body["endpoints"]} == {
        "10.1.0.1": False, "10.1.0.2": True, "10.1.0.3": True, "10.1.0.4": True
    }  # fmt: skip


def test_the_share_outlives_a_green_without_pods(lab: Lab) -> None:
    run(lab, green_percent=25)
    gone = lab.pods["new-pub"]
    lab.pods["new-pub"] = {}
    run(lab, state="refreshed")
    assert put(lab) == [] and {s["wanted_percent"] for s in run(lab)["shares"]} == {25}
    lab.pods["new-pub"] = gone
    run(lab, state="refreshed")
    assert run(lab)["green_percent"] == 25


def test_refreshing_starts_nothing(lab: Lab) -> None:
    before = objects(lab)
    assert run(lab, state="refreshed")["changed"] is False
    assert {k: v for k, v in objects(lab).items() if not k.startswith("leases")} == before


def test_green_is_given_more_only_while_someone_follows_its_pods(lab: Lab) -> None:
    refused = run(lab, green_percent=25, require_keeper=True)
    assert refused["failure"]["code"] == "not_kept_in_step" and "keep_in_step.yml" in refused["msg"]
    assert put(lab) == []
    run(lab, state="refreshed")
    assert run(lab, green_percent=25, require_keeper=True)["green_percent"] == 25
    for name in ("pub", "tls"):
        past = {"renewTime": "2020-01-01T00:00:00.000000Z"}
        lab.edit("leases", "old", f"{name}-bluegreen", lambda lease: lease["spec"].update(past))
    assert run(lab, green_percent=50, require_keeper=True)["failure"]["code"] == "not_kept_in_step"
    assert run(lab, green_percent=0, require_keeper=True)["green_percent"] == 0  # the way back needs nobody


def test_a_look_is_seven_requests_for_each_workload(lab: Lab) -> None:
    """docs/balancers/service.md says so: three Services, two lists of EndpointSlices, and the Lease."""
    run(lab, green_percent=25)
    run(lab, state="refreshed")
    names = _service_endpoints.names_of(WORKLOADS)
    begun = len(lab.log)
    assert _service_endpoints.follow(lab, names, 0, 1) == 0
    asked = [request.method for request in lab.log[begun:]]
    assert len(asked) == len(names) * (5 + 7), "it is read once before"
    assert asked.count("PATCH") == len(names)


def test_whoever_ends_says_so(lab: Lab) -> None:
    assert run(lab, state="refreshed", for_seconds=0.05, interval=0.01)["refreshes"] == 0
    assert lab.names("leases") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_lease_that_is_being_made_when_it_is_stopped_goes(lab: Lab, number: signal.Signals) -> None:
    """As a signal does to a request that has been sent, whose answer has not been read."""
    lab.on("POST", "*/leases", lambda _request: signal.raise_signal(number), times=1)
    before = signal.getsignal(number)
    with pytest.raises(SystemExit, match="stopped"):
        _service_endpoints.follow(lab, _service_endpoints.names_of(WORKLOADS), 60, 0.01)
    assert [r.method for r in lab.log if "/leases" in r.path].count("DELETE") == len(WORKLOADS)
    assert lab.names("leases") == []
    assert signal.getsignal(number) is before


def test_one_look_that_fails_does_not_end_it(lab: Lab) -> None:
    run(lab, green_percent=25)
    del lab.pods["new-pub"]["10.1.0.1"]
    names = _service_endpoints.names_of(WORKLOADS)
    lab.fail("PUT", "*", 403, times=1)
    assert _service_endpoints.follow(lab, names, 0.05, 0.01) == 1
    assert put(lab) == ["10.1.0.2"]


# -- handed over -----------------------------------------------------------------------------------------------------
def test_blues_service_is_blues_once_the_balancer_sends_to_green(lab: Lab) -> None:
    before = objects(lab)
    run(lab, green_percent=100)
    assert run(lab, state="released")["failure"]["code"] == "not_handed_over"
    assert run(lab, handed_over=True)["green_percent"] == 100
    done = run(lab, state="released", handed_over=True)
    assert done["changed"] and done["green_percent"] == 100
    assert {k: v for k, v in objects(lab).items() if "-bluegreen-ipv4-x1" not in k} == before
    assert run(lab, state="released", handed_over=True)["changed"] is False


def test_nothing_behind_blues_node_ports_moves_traffic_then(lab: Lab) -> None:
    run(lab, green_percent=100)
    for percent in (0, 50, 100):
        refused = run(lab, green_percent=percent, handed_over=True)
        assert refused["failure"]["code"] == "handed_over" and "back at blue's NodePorts" in refused["msg"]


# -- the journal -----------------------------------------------------------------------------------------------------
def test_the_journal_has_the_way_back_before_anything_is_done(lab: Lab) -> None:
    where = {"namespace": "mesh", "name": "m"}
    before = objects(lab)
    epoch = run_module(migration_journal, {**where, "state": "open", "operator": "ada"}, lab)["epoch"]
    seen = []

    def look(_request: t.Any) -> None:
        seen.append(json.loads(lab.peek("configmaps", "mesh", "m")["data"]["steps"]))

    lab.on("POST", "*/endpointslices", look, times=1)
    journal = {**where, "epoch": epoch, "phase": "cutover"}
    assert run(lab, green_percent=25, journal=journal)["changed"]
    assert [(s["op"], s["key"], s["state"]) for s in seen[0]] == [
        ("endpoints", "old/pub", "recorded"), ("endpoints", "old/tls", "recorded")
    ]  # fmt: skip
    run(lab, green_percent=100, journal=journal)
    steps = json.loads(lab.peek("configmaps", "mesh", "m")["data"]["steps"])
    assert [s["state"] for s in steps] == ["done", "done"]  # the second share has the first one's way back
    for step in steps:
        params = step["inverse"]["params"]
        run_module(service_endpoints, {**params, "exact": False, "timeout": 0.3}, lab)
    assert {k: v for k, v in objects(lab).items() if "bluegreen-ipv4-x1" not in k} == before


def test_what_was_handed_over_has_no_way_back_here(lab: Lab) -> None:
    """Undone, it would send those to green who were sent back to blue because of green."""
    where = {"namespace": "mesh", "name": "m"}
    epoch = run_module(migration_journal, {**where, "state": "open", "operator": "ada"}, lab)["epoch"]
    run(lab, green_percent=100)
    done = run(lab, state="released", handed_over=True, journal={**where, "epoch": epoch, "phase": "soak"})
    assert done["changed"] and json.loads(lab.peek("configmaps", "mesh", "m")["data"]["steps"]) == []


def test_a_stale_run_changes_nothing(lab: Lab) -> None:
    where = {"namespace": "mesh", "name": "m"}
    for _run in range(2):
        run_module(migration_journal, {**where, "state": "open", "operator": "ada", "takeover": True}, lab)
    refused = run(lab, green_percent=25, journal={**where, "epoch": 1, "phase": "cutover"})
    assert refused["failure"]["code"] == "stale_epoch" and put(lab) == []
