# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One wave between the meshes: the switches, then one batch of rollouts after another, each awaited."""

from __future__ import annotations

import time
import typing as t

from . import _edits, _ingress_options, _mesh_swap, _swap_options, swap_findings
from ._client import Cluster, path_of
from ._journal import Journal
from ._mesh_swap import Mesh
from ._module import Refusal, settled
from ._objects import Object, ref_of
from ._resources import Ref

LOOK_SECONDS = 2.0
OP = "mesh_wave"
PLURALS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}


def operate(module: t.Any, cluster: Cluster) -> dict[str, t.Any]:
    params = module.params
    checked(params)
    journal = Journal.load(cluster, params["journal"])
    mesh = _swap_options.read(cluster, params)
    wave = chosen(mesh, params)
    if params["state"] == "linkerd":
        _gate(mesh, params, wave)
    ready = [_mesh_swap.title(w) for w in wave if not pending(mesh, w, params)]
    todo = [w for w in wave if _mesh_swap.title(w) not in ready]
    now = todo[: params["limit"] or None]
    later = [_mesh_swap.title(w) for w in todo[len(now) :]]
    step = _record(journal, params) if _acts(mesh, params, todo) and not module.check_mode else ""
    writes: list[_edits.Write] = []
    done: list[str] = []
    if not params["workloads"]:
        writes += _write(module, cluster, journal, lambda: _namespaces(cluster, params))
    for start in range(0, len(now), params["parallel"]):
        batch = now[start : start + params["parallel"]]
        if start and params["pause"] and not module.check_mode:
            _pause(params["pause"], journal)
            before = now[start - params["parallel"] : start]  # what did not stay up is no ground to go on from
            _await(cluster, before, params, done, [_mesh_swap.title(w) for w in todo[start:]])
        writes += _write(module, cluster, journal, lambda batch=batch: _workloads(cluster, batch, params))
        if not module.check_mode:
            _await(cluster, batch, params, done, [_mesh_swap.title(w) for w in todo[start + len(batch) :]])
        done += [_mesh_swap.title(w) for w in batch]
    if journal and not module.check_mode:
        if params["state"] == "linkerd":
            journal.done(step)
        elif not later:
            journal.taken_back(OP, _key(params))
    return {**_edits.result_of(writes), "done": ready + done, "remaining": later}


def _acts(mesh: Mesh, params: Object, todo: t.Sequence[Object]) -> bool:
    spaces = () if params["workloads"] else map(mesh.namespace, params["namespaces"])
    return bool(todo) or any(_namespace(space, "", params).acts for space in spaces)


def _key(params: Object) -> str:
    return f"{params['name']}: {', '.join(params['workloads'] or params['namespaces'])}"


def _record(journal: Journal | None, params: Object) -> str:
    """One step for the whole wave: a field given back makes no new pods, or makes them before their namespace is given
    back, so a wave is taken back as one, by this module."""
    if journal is None:
        return ""
    if params["state"] == "istio":
        journal.check()
        return ""
    names = ("name", "namespaces", "workloads", "root_namespace", "mesh_config", "parallel", "timeout")
    return journal.record(OP, _key(params), {"module": OP, "params": {**{n: params[n] for n in names}, "state": "istio"}})


def checked(params: Object) -> None:
    for option, least in (("parallel", 1), ("pause", 0), ("limit", 0), ("timeout", 1)):
        if params[option] < least:
            raise Refusal("bad_option", f"{option}: {params[option]}; expected {least} or more.")


def chosen(mesh: Mesh, params: Object) -> list[Object]:
    """The wave's workloads. Raises Refusal no_such_workload."""
    own = [w for w in mesh.workloads() if _mesh_swap.concerned(mesh, w, params["state"])]
    if not params["workloads"]:
        return own
    titles = {_mesh_swap.title(w): w for w in mesh.workloads()}
    missing = [name for name in params["workloads"] if name not in titles]
    if missing:
        raise Refusal(
            "no_such_workload",
            f"workloads: {', '.join(missing)}: not in {', '.join(mesh.namespaces)}. Expected KIND NAMESPACE/NAME.",
        )
    return [titles[name] for name in params["workloads"]]


def _gate(mesh: Mesh, params: Object, wave: t.Sequence[Object]) -> None:
    """Findings of workloads beside the wave are for their own wave."""
    names = {_mesh_swap.title(w) for w in wave}
    beside = {_mesh_swap.title(w) for w in mesh.workloads()} - names if params["workloads"] else set()
    findings = [f for f in swap_findings.examine(mesh) if f.object not in beside]
    _ingress_options.gate(findings, params["waive"], swap_findings.CODES)


def pending(mesh: Mesh, workload: Object, params: Object) -> bool:
    """Whether a workload is still to be made anew, or awaited."""
    fields = _mesh_swap.workload_fields(workload, params["state"], params["name"], bool(params["workloads"]))
    write = _edits.edited(Ref.of(workload), "", workload, fields)
    wrong = _mesh_swap.arrived(mesh.pods_of(workload), params["state"])
    return write.acts or bool(_mesh_swap.rolled_out(workload) or wrong)


def _namespaces(cluster: Cluster, params: Object) -> list[_edits.Write]:
    done = []
    for name in params["namespaces"]:
        path = path_of("v1", "namespaces", name=name)
        body = {"apiVersion": "v1", "kind": "Namespace", **cluster.get(path)}
        done.append(_namespace(body, path, params))
    return done


def _namespace(body: Object, path: str, params: Object) -> _edits.Write:
    return _edits.edited(Ref.of(body), path, body, _mesh_swap.namespace_fields(body, params["state"]))


def _workloads(cluster: Cluster, batch: t.Sequence[Object], params: Object) -> list[_edits.Write]:
    done = []
    for workload in batch:
        path = path_of("apps/v1", PLURALS[workload["kind"]], *ref_of(workload))
        body = {"apiVersion": "apps/v1", "kind": workload["kind"], **cluster.get(path)}
        fields = _mesh_swap.workload_fields(body, params["state"], params["name"], bool(params["workloads"]))
        done.append(_edits.edited(Ref.of(body), path, body, fields))
    return done


def _write(
    module: t.Any, cluster: Cluster, journal: t.Any, plan: t.Callable[[], list[_edits.Write]]
) -> list[_edits.Write]:
    def write(writes: t.Sequence[_edits.Write], recorded: list[str]) -> str | None:
        if journal and not module.check_mode and any(one.acts for one in writes):
            journal.check()
        return _edits.write_all(cluster, writes, None, recorded, module)

    return settled(plan, write, None)


def _pause(seconds: int, journal: t.Any) -> None:
    """The pause between batches is asked for, so it is a time and no condition; a newer run ends it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(LOOK_SECONDS, left))
        if journal:
            journal.check()


def _await(
    cluster: Cluster, batch: t.Sequence[Object], params: Object, done: t.Sequence[str], remaining: t.Sequence[str]
) -> None:
    """Until each of them has rolled out with the right proxies. Raises Refusal not_arrived."""
    deadline = time.monotonic() + params["timeout"]
    while True:
        waiting = {}
        for workload in batch:
            namespace, name = ref_of(workload)
            body = {
                "kind": workload["kind"],
                **cluster.get(path_of("apps/v1", PLURALS[workload["kind"]], namespace, name)),
            }
            pods = Mesh({"pods": cluster.list(path_of("v1", "pods", namespace))}, [namespace]).pods_of(body)
            why = _mesh_swap.rolled_out(body) or _mesh_swap.arrived(pods, params["state"])
            if why:
                waiting[_mesh_swap.title(workload)] = why
        if not waiting:
            return
        if time.monotonic() >= deadline:
            raise Refusal(
                "not_arrived",
                f"After {params['timeout']} s: {'; '.join(f'{name}: {why}' for name, why in waiting.items())}. Look at"
                " its pods' events; then run it again, or take the wave back with state: istio.",
                stuck=waiting, done=list(done), remaining=list(remaining),
            )  # fmt: skip
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
