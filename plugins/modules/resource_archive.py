#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_archive
short_description: Puts objects away in the journal, deletes them, and makes them again
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - With O(state=archived), writes objects, and the records of Helm releases, to the migration's journal, so that what
    is about to be deleted can come back. Without O(journal) it could not, so it is needed.
  - With O(state=removed), does the same, deletes them in the order of O(resources), and waits until they are gone.
  - With O(state=restored), makes those of an archive again that are missing, and waits until their pods are ready. What
    is there is left alone. A Service gets its ClusterIP and node ports again; if the ClusterIP has been taken,
    it gets another one, and RV(notes) says so. What was deleted comes back as a new object, with another UID.
options:
  state:
    description: What is to become of the objects.
    type: str
    choices: [archived, removed, restored]
    default: archived
  key:
    description:
      - What the archive is called in the journal, once in a phase.
    type: str
    required: true
  resources:
    description:
      - The objects, in the order in which they are deleted. One that does not exist is left out.
      - Needed unless O(state=restored).
    type: list
    elements: dict
    suboptions:
      api_version:
        description: Such as V(networking.istio.io/v1).
        type: str
        required: true
      kind:
        description: Such as V(Gateway).
        type: str
        required: true
      namespace:
        description: Its namespace. Left out for what is in none.
        type: str
      name:
        description: Its name.
        type: str
        required: true
  releases:
    description: Helm releases whose stored records are archived too. They are never deleted here; Helm does that.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The release.
        type: str
        required: true
      namespace:
        description: Where its records are, which under Flux is not the release's own namespace.
        type: str
        required: true
      driver:
        description: What Helm stores them in.
        type: str
        choices: [secret, configmap]
        default: secret
  archive:
    description: Whether O(state=removed) archives what it deletes. Without it nothing can come back.
    type: bool
    default: true
  finalizers:
    description:
      - Finalizers that are taken off with O(state=removed), once the object is archived and being deleted. For those of
        a controller that is not there any more, which nobody else would take off.
    type: list
    elements: str
    default: []
  wait:
    description: Seconds to wait at most, for objects to be gone, or for restored pods to be ready.
    type: int
    default: 300
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
  - bluegreen.mesh.cluster.journal
notes:
  - Secrets among the objects are copied to a Secret of the journal's namespace. Nothing of them is shown.
seealso:
  - module: bluegreen.mesh.resource_keep
"""

EXAMPLES = r"""
- name: Delete the old gateway, so that it can come back
  bluegreen.mesh.resource_archive:
    kubeconfig: ~/.kube/config
    context: production
    state: removed
    key: blue
    resources:
      - {api_version: networking.istio.io/v1, kind: Gateway, namespace: istio-system, name: public}
      - {api_version: apps/v1, kind: Deployment, namespace: istio-system, name: public-ingressgateway}
    journal: {namespace: bluegreen-mesh, name: public-gateway, epoch: 7, phase: cleanup}
"""

RETURN = r"""
objects:
  description: What was archived, deleted or made, in order.
  returned: success
  type: list
  elements: str
  sample: ["Gateway istio-system/public"]
missing:
  description: What O(resources) names and does not exist.
  returned: O(state) is not V(restored)
  type: list
  elements: str
notes:
  description: What came back differently from how it was.
  returned: O(state=restored)
  type: list
  elements: str
"""

import re
import time

from ansible_collections.bluegreen.mesh.plugins.module_utils import _archive, _keep_target, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import ApiError, path_of
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref, Resources, read_all

LOOK_SECONDS = 1.0
OP = "archive"
CONTENT = "objects.json.gz"


def wished(resources, params):
    """Paths of what is named. Raises Refusal (unknown_kind, malformed_reference)."""
    refs = [Ref(r["api_version"], r["kind"], r["namespace"] or "", r["name"]) for r in params["resources"]]
    return refs, [resources.path(ref) for ref in refs]


def records(cluster, releases):
    found = []
    for release in releases:
        kind = "ConfigMap" if release["driver"] == "configmap" else "Secret"
        path = path_of("v1", f"{kind.lower()}s", release["namespace"])
        found += cluster.list(path, {"labelSelector": f"owner=helm,name={release['name']}"})
    return found


def archives(state, key):
    """The archives of that name that are in force, as steps of the journal: KEY, KEY (2), ..."""
    names = re.compile(rf"{re.escape(key)}( \(\d+\))?")
    return [s for s in state.steps if s["op"] == OP and names.fullmatch(s["key"]) and s["state"] != "undone"]


def bodies_of(journal, steps):
    return [body for step in steps for body in _archive.unpack(journal.store.backup(step)[CONTENT])]


def put_away(module, cluster, journal):
    params = module.params
    removes = params["state"] == "removed"
    refs, paths = wished(Resources(cluster), params)
    there = [(path, body) for path, body in zip(paths, read_all(cluster, paths)) if body]
    kept = [body for _path, body in there] + records(cluster, params["releases"])
    if not module.check_mode:
        if params["archive"]:
            save(journal, params["key"], kept)
        if removes:
            remove(cluster, journal, there, params["wait"], params["finalizers"])
    missing = set(paths) - {path for path, _body in there}
    shown = [str(Ref.of(body)) for body in kept]
    return {
        "changed": removes and bool(there),  # what is written to the journal is no change of the cluster's
        "objects": shown,
        "missing": [str(ref) for ref, path in zip(refs, paths) if path in missing],
        "diff": {"before": {name: "there" for name in shown} if removes else {}, "after": {}},
    }


def save(journal, key, bodies):
    """Writes down what no archive of that name has yet: a run that was killed has some of it already."""
    journal.check()
    known = archives(journal.store.existing(), key)
    have = {body["metadata"]["uid"] for body in bodies_of(journal, known)}
    parts = _archive.chunks([body for body in bodies if body["metadata"]["uid"] not in have])
    steps = []
    for number, part in enumerate(parts, len(known) + 1):
        name = key if number == 1 else f"{key} ({number})"
        inverse = {"module": "resource_archive", "params": {"state": "restored", "key": name}}
        steps.append((OP, name, inverse, False, {CONTENT: _archive.pack(part)}))
    if steps:
        journal.done(*journal.record_all(steps))


def remove(cluster, journal, there, wait, finalizers=()):
    """Deletes exactly what was archived, and waits until it is gone. finalizers: to be taken off meanwhile. Raises
    Refusal (changed, still_there)."""
    for path, body in there:
        journal.check()
        try:
            cluster.delete(path, uid=body["metadata"]["uid"], foreground=True)
        except ApiError as exc:
            if exc.status == 409:
                raise _module.Refusal(
                    "changed",
                    f"{Ref.of(body)} is another object than the one that was archived: someone made it anew. Run it"
                    " again.",
                ) from exc
            if exc.status != 404:
                raise
    deadline = time.monotonic() + wait
    while True:
        now = read_all(cluster, [path for path, _body in there])
        left = [new for new, (_path, old) in zip(now, there) if new and new["metadata"]["uid"] == old["metadata"]["uid"]]
        if not left:
            return
        for path, body in ((path, new) for new, (path, _old) in zip(now, there) if new in left):
            let_go(cluster, path, body, finalizers)
        if time.monotonic() >= deadline:
            raise _module.Refusal(
                "still_there",
                f"{', '.join(str(Ref.of(body)) for body in left)}: deleted {wait} s ago, and still there; finalizers:"
                f" {sorted({name for body in left for name in body['metadata'].get('finalizers') or ['none']})}. What"
                " has set them must let go; then run it again.",
            )
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def let_go(cluster, path, body, finalizers):
    """Takes these finalizers off what is being deleted. Where somebody else was faster, the next look shows it."""
    meta = body["metadata"]
    have = meta.get("finalizers") or []
    if not meta.get("deletionTimestamp") or not set(have) & set(finalizers):
        return
    rest = [name for name in have if name not in finalizers]
    try:
        cluster.patch(path, {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": rest}})
    except ApiError as exc:
        if exc.status not in (404, 409):
            raise


def restore(module, cluster, journal):
    params = module.params
    steps = [step for step in archives(journal.store.existing(), params["key"]) if step["key"] == params["key"]]
    if not steps:
        raise _module.Refusal(
            "no_archive", f"Journal {journal.store.where} has no archive {params['key']!r} that is in force."
        )
    bodies = bodies_of(journal, steps)
    resources = Resources(cluster)
    paths = [resources.path(Ref.of(body)) for body in bodies]
    now = read_all(cluster, paths)
    absent = [(path, body) for path, body, there in zip(paths, bodies, now) if not there]
    gone = {body["metadata"]["uid"] for _path, body in absent}
    notes = []
    if not module.check_mode:
        journal.check()
        for path, body in absent:
            notes += make(cluster, path.rpartition("/")[0], _archive.again(body, gone))
        await_ready(cluster, paths, params["wait"])
    for note in notes:
        module.warn(note)
    made = [str(Ref.of(body)) for _path, body in absent]
    return {
        "changed": bool(absent), "objects": made, "notes": notes,
        "diff": {"before": {}, "after": {name: "there" for name in made}},
    }  # fmt: skip


def make(cluster, path, body):
    """What came out differently. Raises Refusal not_restored."""
    try:
        cluster.create(path, body)
        return []
    except ApiError as exc:
        if exc.status == 409:
            return []  # somebody was faster
        if exc.status != 422 or body["kind"] != "Service" or "clusterIP" not in exc.text:
            raise _module.Refusal(
                "not_restored",
                f"{Ref.of(body)} can't be made as it was: {exc.text}. Make room for it, then run it again; what was"
                " made before it stays.",
            ) from exc
    try:
        new = cluster.create(path, _archive.without_address(body))
    except ApiError as exc:
        raise _module.Refusal("not_restored", f"{Ref.of(body)} can't be made as it was: {exc.text}.") from exc
    was, has = body["spec"]["clusterIP"], new["spec"].get("clusterIP")
    return [f"{Ref.of(body)} has the ClusterIP {has}; {was}, which it had, has been taken by another Service."]


def await_ready(cluster, paths, wait):
    """Raises Refusal not_ready."""
    deadline = time.monotonic() + wait
    while True:
        bodies = [body for body in read_all(cluster, paths) if body]
        waiting = [f"{Ref.of(body)}: {_archive.unready(body)}" for body in bodies if _archive.unready(body)]
        if not waiting:
            return
        if time.monotonic() >= deadline:
            raise _module.Refusal(
                "not_ready", f"{'; '.join(waiting)} after {wait} s. Look at its pods' events, then run it again."
            )
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    if journal is None and not module.check_mode:
        raise _module.Refusal("bad_option", "journal is not given: there would be no archive to come back from.")
    if module.params["state"] != "restored":
        return put_away(module, cluster, journal)
    if journal is None:
        # Check mode of a rollback: the archive is in force, so something was deleted. What, the journal would say.
        return {"changed": True, "objects": [], "notes": [], "diff": {}}
    return restore(module, cluster, journal)


def main():
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["archived", "removed", "restored"], "default": "archived"},
            "key": {"type": "str", "required": True, "no_log": False},
            "resources": {"type": "list", "elements": "dict", "options": _keep_target.REF_SPEC},
            "releases": {
                "type": "list", "elements": "dict", "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "namespace": {"type": "str", "required": True},
                    "driver": {"type": "str", "choices": ["secret", "configmap"], "default": "secret"},
                },
            },
            "archive": {"type": "bool", "default": True},
            "finalizers": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 300},
        },
        journal=True,
        required_if=[("state", "archived", ["resources"]), ("state", "removed", ["resources"])],
    )  # fmt: skip


if __name__ == "__main__":
    main()
