# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How few pods a gateway may have while it is needed: its autoscaler's minimum is raised, and given back later.

The minimum, and not a scale-down policy: whoever looks at the autoscaler sees the number, and a controller that puts
its own minimum back is seen at once. Pure, but for the operation at the end.
"""

from __future__ import annotations

import dataclasses
import json
import time
import typing as t

from . import _field_owners, _values
from ._client import ApiError, Cluster, path_of
from ._clone import live_replicas
from ._give_back import give_back
from ._journal import Journal
from ._module import Refusal
from ._node_ports import put_back_by
from ._resources import Ref, Resources, parse_namespaced

Object = dict[str, t.Any]
PINNED = "bluegreen.mesh/pinned"  # on the autoscaler: {"minReplicas", "maxReplicas"} before, and "to"
HPA = ("autoscaling/v2", "HorizontalPodAutoscaler")
TRIES = 5
POLL_SECONDS = 1.0


@dataclasses.dataclass(frozen=True)
class Change:
    """What is written to one object. spec: fields; mark: the annotation's new value, None to remove it, "" to leave it."""

    ref: Ref
    before: dict[str, t.Any]
    spec: dict[str, t.Any]
    mark_before: str | None
    mark: str | None

    @property
    def acts(self) -> bool:
        return self.before != self.spec or self.mark_before != self.mark


# -- rules, over plain objects ---------------------------------------------------------------------------------------
def scalers_of(deployment: Object, hpas: t.Sequence[Object]) -> list[Object]:
    target = ("Deployment", deployment["metadata"]["name"])
    refs = [(hpa, hpa["spec"]["scaleTargetRef"]) for hpa in hpas]
    return [hpa for hpa, ref in refs if (ref["kind"], ref["name"]) == target]


def pinned(deployment: Object, hpas: t.Sequence[Object], minimum: int) -> list[Change]:
    """What makes sure of `minimum` pods: nothing is ever lowered. Without an autoscaler, the Deployment's own number."""
    if not hpas:
        have = deployment["spec"].get("replicas", 1)
        return [Change(Ref.of(deployment), {"replicas": have}, {"replicas": max(have, minimum)}, "", "")]
    changes = []
    for hpa in hpas:
        before, mark = _bounds(hpa), _mark(hpa)
        low = max(before["minReplicas"], minimum)
        after = {"minReplicas": low, "maxReplicas": max(before["maxReplicas"], low)}
        new = mark
        if after != before:
            origin = _origin(mark) or before
            new = json.dumps({"minReplicas": origin["minReplicas"], "maxReplicas": origin["maxReplicas"], "to": low})
        changes.append(Change(Ref.of(hpa), before, after, mark, new))
    return changes


def released(hpas: t.Sequence[Object]) -> list[Change]:
    """What gives autoscalers their own bounds back. One that somebody has changed since keeps what they chose."""
    changes = []
    for hpa in hpas:
        before, mark = _bounds(hpa), _mark(hpa)
        origin = _origin(mark)
        if mark is None:
            continue
        ours = origin is not None and origin.get("to") == before["minReplicas"]
        after = {k: origin[k] for k in ("minReplicas", "maxReplicas")} if origin and ours else before
        changes.append(Change(Ref.of(hpa), before, after, mark, None))
    return changes


def inverse(change: Change) -> Object:
    entry = {**change.ref.as_dict(), "spec": change.before, "mark": change.mark_before}
    return {"module": "replicas_pin", "params": {"state": "restored", "restore": [entry]}}


def patch_of(change: Change, version: str) -> Object:
    metadata: Object = {"resourceVersion": version}
    if change.mark != "":
        metadata["annotations"] = {PINNED: change.mark}
    return {"metadata": metadata, "spec": change.spec}


def _bounds(hpa: Object) -> dict[str, int]:
    return {"minReplicas": hpa["spec"].get("minReplicas", 1), "maxReplicas": hpa["spec"]["maxReplicas"]}


def _mark(hpa: Object) -> str | None:
    return (hpa["metadata"].get("annotations") or {}).get(PINNED)


def _origin(mark: str | None) -> dict[str, int] | None:
    try:
        found = json.loads(mark or "null")
        return found if found and {"minReplicas", "maxReplicas", "to"} <= found.keys() else None
    except (ValueError, AttributeError):
        return None


# -- the module's operation ------------------------------------------------------------------------------------------
def operate(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    params = module.params
    if params["minimum"] is not None and params["minimum"] < 1:
        raise Refusal("bad_option", f"minimum: {params['minimum']}; expected 1 or more.")
    journal = Journal.load(cluster, params["journal"])
    if journal and not module.check_mode:
        journal.check()
    appliers: dict[Ref, list[Object]] = {}  # as they were before the first try
    for attempt in range(TRIES):
        try:
            result = _once(module, cluster, journal, appliers)
            break
        except ApiError as exc:
            if exc.status != 409:
                raise
            if attempt == TRIES - 1:
                raise Refusal(
                    "conflict", f"The autoscaler or Deployment was changed by others during each of {TRIES} tries ({exc})."
                ) from exc
    if params["timeout"] and params["state"] == "pinned" and not module.check_mode:
        result["ready"] = _wait(cluster, params["service"], result["minimum"], params["timeout"])
    return result


def _read(cluster: Cluster, service_name: str) -> tuple[Object, list[Object]]:
    namespace, name = parse_namespaced(service_name, "service")
    _service, deployment = _values.read(cluster, namespace, name)
    return deployment, scalers_of(deployment, cluster.list(path_of(HPA[0], "horizontalpodautoscalers", namespace)))


def _gone(cluster: Cluster, service_name: str) -> bool:
    """Whether there is nothing left to release, as after a removal that was killed halfway."""
    try:
        _read(cluster, service_name)
    except Refusal as exc:
        if exc.code not in ("no_such_service", "no_workload"):
            raise
        return True
    return False


def _once(
    module: t.Any, cluster: Cluster, journal: Journal | None, appliers: dict[Ref, list[Object]]
) -> dict[str, t.Any]:  # fmt: skip
    params = module.params
    facts: dict[str, t.Any] = {}
    owners: dict[Ref, list[dict[str, str]]] = {}
    if params["state"] == "released" and _gone(cluster, params["service"]):
        changes, bodies = [], {}
    elif params["state"] == "restored":
        changes, bodies = _restored(cluster, params["restore"])
    else:
        deployment, hpas = _read(cluster, params["service"])
        minimum = params["minimum"] or live_replicas(deployment)
        changes = released(hpas) if params["state"] == "released" else pinned(deployment, hpas, minimum)
        bodies = {Ref.of(item): item for item in (deployment, *hpas)}
        owners = {ref: put_back_by(item) for ref, item in bodies.items()}
        facts = {
            "minimum": minimum,
            "ready": (deployment.get("status") or {}).get("readyReplicas") or 0,
            "autoscalers": [f"{h['metadata']['namespace']}/{h['metadata']['name']}" for h in hpas],
        }
    acting = [change for change in changes if change.acts]
    recorded: list[str] = []
    if journal and acting and not module.check_mode:
        recorded = journal.record_all([("replicas_pin", str(c.ref), inverse(c), False, None) for c in acting])
    resources = Resources(cluster)
    for ref, body in bodies.items():
        appliers.setdefault(ref, _field_owners.appliers(body))
    for change in acting:
        patch = patch_of(change, bodies[change.ref]["metadata"]["resourceVersion"])
        bodies[change.ref] = cluster.patch(resources.path(change.ref), patch, dry_run=module.check_mode)
        for owner in owners.get(change.ref, []):
            if owner["by"] != "helm":  # helm writes when someone upgrades, the others by themselves
                module.warn(
                    f"{change.ref} comes from {owner['by']} ({owner['kind']} {owner['namespace']}/{owner['name']}), which"
                    " puts its own numbers back when it next writes it. Suspend it, or set them there too."
                )
    # Also where nothing was left to do: the answer to an earlier try may have been lost.
    for ref in () if module.check_mode else [change.ref for change in changes]:
        refusal = give_back(cluster, resources.path(ref), appliers[ref], bodies[ref], TRIES)
        if refusal:
            module.warn(f"{ref}: {refusal}")
    if recorded and journal:
        journal.done(*recorded)
    return {
        "changed": bool(acting),
        **facts,
        "diff": {
            "before": {str(c.ref): c.before for c in acting},
            "after": {str(c.ref): c.spec for c in acting},
        },
    }


def _restored(cluster: Cluster, entries: t.Sequence[Object]) -> tuple[list[Change], dict[Ref, Object]]:
    changes, bodies = [], {}
    resources = Resources(cluster)
    for entry in entries:
        ref = Ref(entry["api_version"], entry["kind"], entry["namespace"], entry["name"])
        found = cluster.find(resources.path(ref))
        if found is None:  # whoever removed it has nothing to be given back
            continue
        before = {key: found["spec"].get(key) for key in entry["spec"]}
        is_hpa = ref.kind == HPA[1]
        marks = (_mark(found), entry["mark"] or None) if is_hpa else ("", "")
        changes.append(Change(ref, before, entry["spec"], *marks))
        bodies[ref] = found
    return changes, bodies


def _wait(cluster: Cluster, service_name: str, minimum: int, timeout: int) -> int:
    """Until that many pods are ready. Raises Refusal not_ready, with numbers."""
    deadline = time.monotonic() + timeout
    while True:
        deployment, _hpas = _read(cluster, service_name)
        ready = (deployment.get("status") or {}).get("readyReplicas") or 0
        if ready >= minimum:
            return ready
        if time.monotonic() >= deadline:
            raise Refusal(
                "not_ready",
                f"Deployment {deployment['metadata']['namespace']}/{deployment['metadata']['name']}: {ready} pods are"
                f" ready after {timeout} s, expected {minimum}. Look at its pods' events (nodes full, quota, image).",
                found=ready, expected=minimum,
            )  # fmt: skip
        time.sleep(POLL_SECONDS)
