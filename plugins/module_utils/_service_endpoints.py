# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue's Services in the cluster: reading them, and moving their endpoints so that no connection finds none.

The order is the same everywhere: what is to get connections is there before what had them goes. kube-proxy and istiod
see the writes of one kind in the order in which they were made, so that this holds on every node, whenever it gets to
know.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import threading
import time
import typing as t

from . import _endpoints as rules
from . import _field_owners
from ._client import FIELD_MANAGER, ApiError, Cluster, ClusterError, path_of
from ._endpoints import Pair, Plan
from ._module import Refusal
from ._objects import CARRIES, OUR_LABELS
from ._resources import read_all

TRIES = 5
POLL_SECONDS = 0.2
LEASES = "coordination.k8s.io/v1"
MICRO = "%Y-%m-%dT%H:%M:%S.%fZ"
Names = tuple[str, str]
POINTER = CARRIES.replace("/", "~1")


# -- reading ---------------------------------------------------------------------------------------------------------
def names_of(workloads: t.Sequence[dict[str, t.Any]]) -> list[Names]:
    """(blue's Service, green's Service) of each workload, as NAMESPACE/NAME. Raises Refusal bad_option."""
    found = []
    for number, workload in enumerate(workloads):
        try:
            blue, green = workload["blue"], workload["green"]
            pair = (f"{blue['namespace']}/{blue['service']}", f"{green['namespace']}/{green['release']}")
        except (KeyError, TypeError) as exc:
            raise Refusal(
                "bad_option",
                f"workloads[{number}]: found {workload}, expected blue with namespace and service, and green with"
                " namespace and release.",
            ) from exc
        if pair[0] in [blue for blue, _green in found]:
            raise Refusal("bad_option", f"workloads: Service {pair[0]} is named twice.")
        found.append(pair)
    if not found:
        raise Refusal("bad_option", "workloads: none is named.")
    return found


def read(cluster: Cluster, names: Names) -> Pair:
    """Raises Refusal: no_such_service, no_selector, wrong_type, name_taken."""
    (namespace, name), (green_namespace, green_name) = (pair.split("/") for pair in names)
    base = rules.base_name(name)
    service, green, helper = read_all(
        cluster,
        [
            path_of("v1", "services", namespace, name),
            path_of("v1", "services", green_namespace, green_name),
            path_of("v1", "services", namespace, base),
        ],
    )
    if service is None:
        raise Refusal("no_such_service", f"Service {names[0]} does not exist. Check mesh_workloads.")
    if service["spec"].get("type") == "ExternalName":
        raise Refusal("wrong_type", f"Service {names[0]}: spec.type is ExternalName, which has no endpoints.")
    if not service["spec"].get("selector"):
        raise Refusal(
            "no_selector",
            f"Service {names[0]}: spec.selector is empty, so somebody keeps its endpoints by hand and no controller"
            " would fill them again. Shift the traffic where these endpoints come from, or by another balancer.",
        )
    if helper is not None and (helper["metadata"].get("annotations") or {}).get(rules.STANDS_FOR) != name:
        raise Refusal(
            "name_taken",
            f"Service {namespace}/{base} exists and is not ours (annotation {rules.STANDS_FOR} is not {name!r}). It has"
            " the name that stands for blue's pods; remove or rename it.",
        )
    wanted = {"labelSelector": f"{rules.SERVICE_NAME} in ({name},{base})"}
    slices = cluster.list(path_of(rules.DISCOVERY, "endpointslices", namespace), wanted)
    greens = cluster.list(
        path_of(rules.DISCOVERY, "endpointslices", green_namespace),
        {"labelSelector": f"{rules.SERVICE_NAME}={green_name},{rules.MANAGED_BY}={rules.CONTROLLER}"},
    )
    behind = rules.endpoints_of(rules.of_service(slices, name, rules.CONTROLLER))
    stood_for = rules.endpoints_of(rules.of_service(slices, base, rules.CONTROLLER))
    return Pair(
        blue=names[0], green=names[1], service=service, green_service=green, helper=helper, behind=behind,
        own=stood_for if CARRIES in service["spec"]["selector"] else behind,
        target=rules.endpoints_of(greens), slices=rules.of_service(slices, name, rules.OURS),
        foreign=rules.foreign(slices, name),
    )  # fmt: skip


# -- one Service -----------------------------------------------------------------------------------------------------
def settle(cluster: Cluster, names: Names, decide: t.Callable[[Pair], Plan], timeout: float) -> Pair:
    """Makes the Service as decide(what is there) says, until what is read back is so. Raises Refusal conflict."""
    why: t.Any = "its pods came and went"
    for _attempt in range(TRIES):
        pair = read(cluster, names)
        wanted = decide(pair)
        if not rules.differs(pair, wanted):
            return pair
        try:
            act(cluster, pair, wanted, timeout)
        except ApiError as exc:
            if exc.status not in (404, 409):
                raise
            why = exc
    pair = read(cluster, names)
    if not rules.differs(pair, decide(pair)):
        return pair
    raise Refusal(
        "conflict",
        f"Service {names[0]} or its EndpointSlices did not stay as they were written in {TRIES} tries ({why}). Find out"
        " who else writes them (kubectl get endpointslices -o yaml --show-managed-fields), and run again.",
    )


def act(cluster: Cluster, pair: Pair, wanted: Plan, timeout: float) -> None:
    if wanted.percent:
        ensure_helper(cluster, pair)
    if not wanted.held:
        if pair.held:
            give_back(cluster, pair)
        # Green must not lose its part before blue has endpoints again.
        if pair.held or not {e.address for e in pair.put} <= {e.address for e in wanted.endpoints}:
            await_blue(cluster, pair, timeout)
    write_slices(cluster, pair, wanted)
    if wanted.held and not pair.held:
        await_helper(cluster, pair, timeout)
        take(cluster, pair)
        await_none(cluster, pair, timeout)
    if not wanted.percent and pair.helper is not None:
        meta = pair.helper["metadata"]
        remove(cluster, path_of("v1", "services", meta["namespace"], meta["name"]), meta)


def ensure_helper(cluster: Cluster, pair: Pair) -> None:
    wanted = rules.helper_of(pair)
    meta = wanted["metadata"]
    if pair.helper is None:
        owners = [
            {**e, "fieldsV1": {"f:spec": {"f:selector": e["fieldsV1"]["f:spec"]["f:selector"]}}}
            for e in pair.service["metadata"].get("managedFields") or ()
            if "f:selector" in ((e.get("fieldsV1") or {}).get("f:spec") or {}) and e.get("manager") != FIELD_MANAGER
        ]
        meta["annotations"][rules.OWNERS] = json.dumps(owners, separators=(",", ":"))
        cluster.create(path_of("v1", "services", meta["namespace"]), wanted)
    elif not rules.same_helper(pair.helper, wanted):  # blue's Service has got other ports
        spec = {"selector": wanted["spec"]["selector"], "ports": wanted["spec"]["ports"]}
        version = {"resourceVersion": pair.helper["metadata"]["resourceVersion"]}
        cluster.patch(
            path_of("v1", "services", meta["namespace"], meta["name"]), {"metadata": version, "spec": spec}
        )  # fmt: skip


def take(cluster: Cluster, pair: Pair) -> None:
    """Blue's Service selects none of blue's pods from here on."""
    cluster.patch(_path(pair), [_version(pair.service), _op("add", "green")], kind="json")


def give_back(cluster: Cluster, pair: Pair) -> None:
    """Blue's Service selects blue's pods again, and the field belongs to those whose it was."""
    body = cluster.patch(_path(pair), [_version(pair.service), _op("remove")], kind="json")
    noted = ((pair.helper or {"metadata": {}})["metadata"].get("annotations") or {}).get(rules.OWNERS)
    managed = _field_owners.given_back(json.loads(noted or "[]"), body, FIELD_MANAGER)
    if managed is not None:
        patch = [_version(body), {"op": "replace", "path": "/metadata/managedFields", "value": managed}]
        cluster.patch(_path(pair), patch, kind="json")


def _path(pair: Pair) -> str:
    return path_of("v1", "services", *pair.blue.split("/"))


def _version(body: dict[str, t.Any]) -> dict[str, t.Any]:
    """The API server answers 409 where the object is not the one that was read."""
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]}


def _op(op: str, value: str | None = None) -> dict[str, t.Any]:
    return {"op": op, "path": f"/spec/selector/{POINTER}", **({"value": value} if value else {})}


def write_slices(cluster: Cluster, pair: Pair, wanted: Plan) -> None:
    have = {body["metadata"]["name"]: body for body in pair.slices}
    slices = {body["metadata"]["name"]: body for body in rules.slices_of(pair, wanted)}
    where = path_of(rules.DISCOVERY, "endpointslices", pair.blue.split("/")[0])
    for name, body in slices.items():
        if name not in have:
            cluster.create(where, body)
        elif have[name]["addressType"] == body["addressType"] and not rules.same_slice(have[name], body):
            body["metadata"]["resourceVersion"] = have[name]["metadata"]["resourceVersion"]
            cluster.replace(f"{where}/{name}", body)
    for name in have.keys() - slices.keys():  # last: its endpoints are in another one by now, or are to go
        remove(cluster, f"{where}/{name}", have[name]["metadata"])


def remove(cluster: Cluster, path: str, meta: dict[str, t.Any]) -> None:
    try:
        cluster.delete(path, uid=meta["uid"])
    except ApiError as exc:
        if exc.status != 404:
            raise


def _behind(cluster: Cluster, pair: Pair, name: str | None = None) -> int:
    """Ready endpoints of blue's Service that its controller has made, of the family that has fewest."""
    namespace, own = pair.blue.split("/")
    name = name or own
    query = {"labelSelector": f"{rules.SERVICE_NAME}={name},{rules.MANAGED_BY}={rules.CONTROLLER}"}
    found = rules.endpoints_of(cluster.list(path_of(rules.DISCOVERY, "endpointslices", namespace), query))
    return min(len(rules.ready(found, family)) for family in pair.families)


def await_blue(cluster: Cluster, pair: Pair, timeout: float) -> None:
    """Raises Refusal blue_not_ready; green then keeps what it has."""
    needed = max(1, min(len(rules.ready(pair.own, family)) for family in pair.families))
    found = _await(lambda: _behind(cluster, pair), lambda count: count >= needed, timeout)
    if found < needed:
        raise Refusal(
            "blue_not_ready",
            f"Service {pair.blue} has {found} ready endpoints of blue's after {timeout:g} s, expected {needed} or more."
            " Green keeps its endpoints there, so that connections find some. Look at blue's pods; run again when they"
            " are ready.",
            found=found, expected=needed,
        )  # fmt: skip


def await_helper(cluster: Cluster, pair: Pair, timeout: float) -> None:
    """Raises Refusal controller_silent before anything is taken from blue."""
    base = rules.base_name(pair.blue.split("/")[1])
    needed = min(len(rules.ready(pair.own, family)) for family in pair.families)
    found = _await(lambda: _behind(cluster, pair, base), lambda count: count >= needed, timeout)
    if found < needed:
        raise Refusal(
            "controller_silent",
            f"Service {pair.blue.split('/')[0]}/{base}, which stands for blue's pods, has {found} ready endpoints after"
            f" {timeout:g} s, expected {needed}. Does the cluster's EndpointSlice controller (kube-controller-manager)"
            " run? Blue keeps its part.",
            found=found, expected=needed,
        )  # fmt: skip


def await_none(cluster: Cluster, pair: Pair, timeout: float) -> None:
    found = _await(lambda: _behind(cluster, pair), lambda count: count == 0, timeout)
    if found:
        raise Refusal(
            "blue_left",
            f"Service {pair.blue} selects none of blue's pods, and still has {found} of their endpoints after"
            f" {timeout:g} s. Does the cluster's EndpointSlice controller (kube-controller-manager) run?",
            found=found,
        )


def _await(look: t.Callable[[], int], good: t.Callable[[int], bool], timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if good(found) or time.monotonic() >= deadline:
            return found
        time.sleep(POLL_SECONDS)


# -- all Services ----------------------------------------------------------------------------------------------------
def inverses(pairs: t.Sequence[Pair]) -> list[tuple[t.Any, ...]]:
    """For the journal: a step for each Service, as each must come back to its own share."""
    steps = []
    for pair in pairs:
        workload = {
            "blue": dict(zip(("namespace", "service"), pair.blue.split("/"))),
            "green": dict(zip(("namespace", "release"), pair.green.split("/"))),
        }
        params = {"workloads": [workload], "green_percent": pair.noted}
        steps.append(("endpoints", pair.blue, {"module": "service_endpoints", "params": params}, False, None))
    return steps


def move(
    cluster: Cluster, pairs: t.Sequence[Pair], plans: dict[str, Plan], exact: bool, timeout: float
) -> list[Pair]:
    """Gives green its share at all Services; where one can't, the others get back what they had. What it comes to is
    decided anew from each fresh read.

    Raises Refusal set_failed with details put_back and not_put_back, lists of Services.
    """
    done: list[Pair] = []
    touched: list[Pair] = []
    try:
        for pair in pairs:
            touched.append(pair)
            percent = plans[pair.blue].percent

            def decide(now: Pair, percent: float = percent, stays: bool = rules.stays(pair, percent)) -> Plan:
                return rules.refreshed(now) if stays else rules.plan(now, percent, exact)

            done.append(settle(cluster, (pair.blue, pair.green), decide, timeout))
        return done
    except ClusterError as exc:
        cause: Exception = exc
        code = "api"
    except Refusal as exc:
        cause, code = exc, exc.code
    put_back, failed = [], []
    for pair in reversed(touched):
        before = pair.noted
        try:
            settle(
                cluster, (pair.blue, pair.green), lambda now, share=before: rules.plan(now, share, exact=False), timeout
            )  # fmt: skip
            put_back.append(pair.blue)
        except (ClusterError, Refusal) as exc:
            failed.append(f"{pair.blue}: {exc}")
    outcome = (
        f"Could NOT be put back: {'; '.join(failed)}" if failed else f"As before again: {', '.join(put_back)}."
    )  # fmt: skip
    raise Refusal("set_failed", f"{cause} {outcome}", cause=code, put_back=put_back, not_put_back=failed) from cause


def refresh(cluster: Cluster, names: Names) -> bool:
    """Brings the slices of ours in step with green's pods; no share, no selector. Returns whether something was
    written. A conflict is somebody else's refresh: the next one looks again."""
    pair = read(cluster, names)
    wanted = rules.refreshed(pair)
    if not pair.slices or not _behind_times(pair, wanted):
        return False
    try:
        write_slices(cluster, pair, wanted)
    except ApiError as exc:
        if exc.status not in (404, 409):
            raise
        return False
    return True


def late(cluster: Cluster, names: t.Sequence[Names]) -> list[str]:
    """Services whose slices of ours are not as green's pods are now."""
    pairs = [read(cluster, pair) for pair in names]
    return [pair.blue for pair in pairs if pair.slices and _behind_times(pair, rules.refreshed(pair))]


def follow(cluster: Cluster, names: t.Sequence[Names], seconds: float, interval: float) -> int:
    """Refreshes for so long, or once, and says meanwhile that somebody does. Returns how often something was written. A
    look that fails does not end it; the last one's failure is raised. SIGTERM and Ctrl-C end it between two looks: a
    request that is broken off may still be carried out, and would make the Lease again that was just given up."""
    pairs = [read(cluster, pair) for pair in names]
    holder = f"{os.uname().nodename}-{os.getpid()}"
    until, count = time.monotonic() + seconds, 0
    stopped = threading.Event()
    former = {one: signal.signal(one, lambda *_args: stopped.set()) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        while True:
            problem: Exception | None = None
            try:
                count += sum(refresh(cluster, pair) for pair in names)
                for pair in pairs:
                    renew(cluster, pair, holder, int(max(15, 3 * interval)))
            except (ClusterError, Refusal) as exc:
                problem = exc
            if time.monotonic() >= until or stopped.wait(min(interval, max(0.0, until - time.monotonic()))):
                break
        if seconds:  # whoever calls this again and again is still there in between
            for pair in pairs:
                give_up(cluster, pair, holder)
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
    if stopped.is_set():
        raise SystemExit("stopped")
    if problem is not None:
        raise problem
    return count


def _behind_times(pair: Pair, wanted: Plan) -> bool:
    have = {body["metadata"]["name"]: body for body in pair.slices}
    slices = {body["metadata"]["name"]: body for body in rules.slices_of(pair, wanted)}
    return have.keys() != slices.keys() or any(not rules.same_slice(have[name], body) for name, body in slices.items())


# -- who keeps them in step ------------------------------------------------------------------------------------------
def lease_path(pair: Pair) -> str:
    namespace, name = pair.blue.split("/")
    return path_of(LEASES, "leases", namespace, rules.base_name(name))


def renew(cluster: Cluster, pair: Pair, holder: str, seconds: int) -> None:
    """Says that somebody keeps this Service's slices in step, and for how long that holds."""
    path = lease_path(pair)
    spec = {
        "holderIdentity": holder, "leaseDurationSeconds": seconds,
        "renewTime": datetime.datetime.now(datetime.timezone.utc).strftime(MICRO),
    }  # fmt: skip
    found = cluster.find(path)
    if found is None:
        meta = {
            "name": path.rpartition("/")[2], "namespace": pair.blue.split("/")[0], "labels": OUR_LABELS,
            "ownerReferences": [rules.owned_by(pair.service)],
        }  # fmt: skip
        body = {"apiVersion": LEASES, "kind": "Lease", "metadata": meta, "spec": spec}
        try:
            cluster.create(path.rpartition("/")[0], body)
        except ApiError as exc:
            if exc.status != 409:
                raise
        return
    try:
        cluster.patch(path, {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": spec})
    except ApiError as exc:
        if exc.status != 409:  # another one renews it too
            raise


def give_up(cluster: Cluster, pair: Pair, holder: str) -> None:
    found = cluster.find(lease_path(pair))
    if found and found["spec"].get("holderIdentity") == holder:
        remove(cluster, lease_path(pair), found["metadata"])


def refuse_unkept(cluster: Cluster, pairs: t.Sequence[Pair]) -> None:
    """Raises Refusal not_kept_in_step where nobody follows green's pods."""
    now = datetime.datetime.now(datetime.timezone.utc)
    unkept = []
    for pair in pairs:
        spec = (cluster.find(lease_path(pair)) or {"spec": {}})["spec"]
        try:
            renewed = datetime.datetime.strptime(spec.get("renewTime") or "", MICRO)
            alive = (now - renewed.replace(tzinfo=datetime.timezone.utc)).total_seconds() < spec["leaseDurationSeconds"]
            told = f"{spec.get('holderIdentity')} last did at {spec['renewTime']}"
        except (KeyError, ValueError):
            alive, told = False, "nobody ever did"
        if not alive:
            unkept.append(f"Service {pair.blue} ({told})")
    if unkept:
        raise Refusal(
            "not_kept_in_step",
            f"Nobody keeps green's endpoints in step at {', '.join(unkept)}: when a pod of green's goes, its part of"
            " all new connections would fail until the next step. Run playbooks/keep_in_step.yml beside this, or say"
            " mesh_balancer.unattended: true.",
            unkept=[text.split()[1] for text in unkept],
        )
