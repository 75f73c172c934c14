# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of any kind that are made, edited by single fields, or removed; and what undoes that. Pure, but for apply().

A journey writes many kinds of objects: Ingresses, policies, labels of namespaces. All of it is one of three acts, so
one module, object_edits, takes every one of them back: it removes what was made, gives fields their earlier value, and
makes again what was removed.

A field is named by its JSON pointer; its value is None where it is not there.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import typing as t

from . import _field_owners
from ._archive import again
from ._client import FIELD_MANAGER, ApiError, Cluster
from ._module import Refusal, settled
from ._objects import OUR_LABELS, Object, annotations_of, labels_of
from ._resources import Ref, Resources, read_all

PART = "bluegreen.mesh/part"  # annotation: which part of a migration an object of ours is
MADE = ("/spec", "/data", "/type", "/metadata/labels", "/metadata/annotations")  # what we decide of an object of ours
Fields = dict[str, t.Any]


@dataclasses.dataclass
class Write:
    """One object and what becomes of it. state: created, edited, removed; unchanged, absent, skipped (see reason).

    before: as it was read, None for what is not there; after: as it is to be. fields: what an edit changes, by pointer,
    (from, to).
    """

    state: str
    ref: Ref
    path: str
    before: Object | None
    after: Object | None
    fields: dict[str, tuple[t.Any, t.Any]] = dataclasses.field(default_factory=dict)
    reason: str = ""

    @property
    def acts(self) -> bool:
        return self.state in ("created", "edited", "removed")

    @property
    def object(self) -> str:
        return str(self.ref)


# -- plans -----------------------------------------------------------------------------------------------------------
def ours(item: Object, part: str | None = None) -> bool:
    """Whether we have made an object; part: as that part of a migration."""
    return OUR_LABELS.items() <= labels_of(item).items() and (part is None or annotations_of(item).get(PART) == part)


def marked(item: Object, part: str) -> Object:
    """The object, as one of ours."""
    made = copy.deepcopy(item)
    made["metadata"]["labels"] = {**labels_of(item), **OUR_LABELS}
    made["metadata"]["annotations"] = {**annotations_of(item), PART: part}
    return made


def made(ref: Ref, path: str, found: Object | None, wanted: Object) -> Write:
    """An object of ours as it is to be; wanted: from marked(). Annotations and labels under prefixes that it does not
    use itself are others' and stay, and so do fields of a Service's spec that it does not name, which the API server has
    filled in. Raises Refusal foreign_object: what others have made is never overwritten."""
    if found is None:
        return Write("created", ref, path, None, wanted)
    part = annotations_of(wanted)[PART]
    if not ours(found, part):
        raise Refusal(
            "foreign_object",
            f"{ref} exists and is not ours: expected the label {_label()} and the annotation {PART}: {part}. Rename or"
            " remove it.",
            object=str(ref),
        )
    goal = copy.deepcopy(wanted)
    prefixes = {key.partition("/")[0] for part in ("labels", "annotations") for key in wanted["metadata"][part]}
    for name in ("labels", "annotations"):
        others = {
            key: value for key, value in (found["metadata"].get(name) or {}).items()
            if key.partition("/")[0] not in prefixes
        }  # fmt: skip
        goal["metadata"][name] = {**others, **wanted["metadata"][name]}
    if ref.kind == "Service":
        goal["spec"] = {**found["spec"], **goal["spec"]}
    return edited(ref, path, found, {p: at(goal, p) for p in MADE if at(goal, p) is not None})


def edited(ref: Ref, path: str, found: Object, fields: Fields) -> Write:
    """An object, ours or others', with these fields as given."""
    changes = {p: (at(found, p), value) for p, value in fields.items() if not _same(at(found, p), value)}
    if not changes:
        return Write("unchanged", ref, path, found, found)
    return Write("edited", ref, path, found, put(found, {p: value for p, (_old, value) in changes.items()}), changes)


def removed(ref: Ref, path: str, found: Object | None, part: str | None = None) -> Write:
    """One of ours is removed; what is others' is left."""
    if found is None:
        return Write("absent", ref, path, None, None)
    if not ours(found, part):
        return Write("skipped", ref, path, found, found, reason=f"it is not ours (no label {_label()})")
    return Write("removed", ref, path, found, None)


def restored(ref: Ref, path: str, found: Object | None, fields: dict[str, Fields]) -> Write:
    """An object with fields given back; fields: {pointer: {"from": what we left there, "to": what was there}}. What
    others have changed since is left."""
    if found is None:
        return Write("absent", ref, path, None, None)
    wanted = {}
    for pointer, change in fields.items():
        now = at(found, pointer)
        if _same(now, change["to"]):
            continue
        if not _same(now, change["from"]):
            told = "" if ref.kind == "Secret" else f": expected {change['from']!r}, found {now!r}"
            why = f"{pointer} has been changed by others since{told}"
            return Write("skipped", ref, path, found, found, reason=why)
        wanted[pointer] = change["to"]
    return edited(ref, path, found, wanted)


def _same(one: t.Any, other: t.Any) -> bool:
    """An empty map of labels is none."""
    return one == other or (one in (None, {}) and other in (None, {}))


def _label() -> str:
    return ", ".join(f"{key}: {value}" for key, value in OUR_LABELS.items())


# -- fields ----------------------------------------------------------------------------------------------------------
def pointer(*parts: str | int) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _parts(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def at(item: t.Any, text: str) -> t.Any:
    """The value of a field; None where it is not there."""
    for part in _parts(text):
        if isinstance(item, list):
            item = item[int(part)] if part.isdigit() and int(part) < len(item) else None
        else:
            item = item.get(part) if isinstance(item, dict) else None
    return item


def put(item: Object, fields: Fields) -> Object:
    """A copy with these fields; None takes a field away."""
    new = copy.deepcopy(item)
    for operation in operations(item, fields):
        *above, last = _parts(operation["path"])
        parent = new
        for part in above:
            parent = parent[int(part)] if isinstance(parent, list) else parent[part]
        key = int(last) if isinstance(parent, list) else last
        if operation["op"] == "remove":
            del parent[key]
        else:
            parent[key] = copy.deepcopy(operation["value"])
    return new


def operations(item: Object, fields: Fields) -> list[Object]:
    """The JSON patch that makes it so. Maps on the way to a field are made where there is none."""
    found: list[Object] = []
    working = copy.deepcopy(item)
    for text, value in fields.items():
        parts = _parts(text)
        if value is None:
            if at(working, text) is not None:
                found.append({"op": "remove", "path": text})
            continue
        here, depth = working, 0
        while depth < len(parts) - 1:
            part = parts[depth]
            if isinstance(here, list):
                here = here[int(part)]
            elif isinstance(here.get(part), (dict, list)):
                here = here[part]
            else:
                here[part] = {}
                found.append({"op": "add", "path": pointer(*parts[: depth + 1]), "value": {}})
                here = here[part]
            depth += 1
        found.append({"op": "replace" if isinstance(here, list) else "add", "path": text, "value": value})
        if isinstance(here, dict):
            here[parts[-1]] = value
    return found


# -- the way back ----------------------------------------------------------------------------------------------------
def inverse(write: Write) -> Object:
    """What undoes a write, as the journal keeps it."""
    ref = write.ref.as_dict()
    if write.state == "created":
        return {"module": "object_edits", "params": {"remove": [ref]}}
    if write.state == "removed":
        return {"module": "object_edits", "params": {"create": [again(write.before or {})]}}
    fields = {p: {"from": new, "to": old} for p, (old, new) in write.fields.items()}
    return {"module": "object_edits", "params": {"edits": [{**ref, "fields": fields}]}}


# -- carrying out ----------------------------------------------------------------------------------------------------
def apply(cluster: Cluster, write: Write, dry_run: bool) -> None:
    """Writes one object if it is still what was read, and gives field owners back what was theirs. Raises ApiError,
    with 409 where it is not."""
    if write.state == "created":
        cluster.create(write.path.rpartition("/")[0], write.after or {}, dry_run=dry_run)
    elif write.state == "removed":
        meta = write.before["metadata"]
        cluster.delete(write.path, uid=meta["uid"], resource_version=meta["resourceVersion"], dry_run=dry_run)
    elif write.state == "edited":
        before = write.before or {}
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": before["metadata"]["resourceVersion"]}
        patch = [guard, *operations(before, {p: new for p, (_old, new) in write.fields.items()})]
        body = cluster.patch(write.path, patch, "json", dry_run=dry_run)
        managed = _field_owners.given_back(_field_owners.appliers(before), body, FIELD_MANAGER)
        if managed is not None and not dry_run:
            guard = {**guard, "value": body["metadata"]["resourceVersion"]}
            restore = {"op": "replace", "path": "/metadata/managedFields", "value": managed}
            cluster.patch(write.path, [guard, restore], "json")


def write_all(
    cluster: Cluster, writes: t.Sequence[Write], journal: t.Any, recorded: list[str], module: t.Any
) -> str | None:
    """Carries writes out in their order, recorded before they are made; for _module.settled(). Returns the object that
    has changed since it was read, if one has."""
    acting = [write for write in writes if write.acts]
    if journal and acting and not module.check_mode:
        journal.check()
        # What undoes the making of a Secret is its name, and no secret. What it was goes to a Secret of the journal's.
        recorded += journal.record_all([
            (f"{w.state}_{w.ref.kind.lower()}", _title(w), inverse(w), w.ref.kind == "Secret" and w.state != "created", None)
            for w in acting
        ])  # fmt: skip
    for write in acting:
        try:
            apply(cluster, write, module.check_mode)
        except ApiError as exc:
            if module.check_mode and exc.status == 404 and write.state == "created":
                continue  # its namespace or its kind is still to come
            if exc.status == 404 and write.state == "created":
                raise Refusal(
                    "nowhere_to_put",
                    f"{write.object} can't be made: {exc.text}. Its namespace, or its kind, is missing.",
                ) from exc
            if exc.status not in (404, 409):
                raise
            return write.object
    return None


def _title(write: Write) -> str:
    """The journal's key. What a field becomes is part of it: a second edit of it in one phase is a step of its own."""
    name = f"{write.ref.namespace}/{write.ref.name}" if write.ref.namespace else write.ref.name
    if not write.fields:
        return name
    to = json.dumps({p: new for p, (_old, new) in write.fields.items()}, sort_keys=True)
    return f"{name} {hashlib.sha256(to.encode()).hexdigest()[:8]}"


def carry_out(
    module: t.Any, cluster: Cluster, journal: t.Any, plan: t.Callable[[], t.Sequence[Write]]
) -> dict[str, t.Any]:
    """The result of a module whose whole act are these writes: changed, objects, diff."""
    done = settled(plan, lambda writes, recorded: write_all(cluster, writes, journal, recorded, module), journal)
    return result_of(done)


def result_of(done: t.Sequence[Write]) -> dict[str, t.Any]:
    acting = [write for write in done if write.acts]
    return {
        "changed": bool(acting),
        "objects": [
            {"object": w.object, "state": w.state, **({"reason": w.reason} if w.reason else {})} for w in done
        ],
        "diff": {
            "before": {w.object: shown(w, w.before, 0) for w in acting},
            "after": {w.object: shown(w, w.after, 1) for w in acting},
        },
    }  # fmt: skip


def shown(write: Write, item: Object | None, side: int) -> Object:
    """What of an object goes into a diff: the fields that change, or all that is ours; of a Secret no value."""
    if item is None:
        return {}
    if write.ref.kind == "Secret":
        return {"type": item.get("type"), "keys": sorted(item.get("data") or {})}
    if write.state == "edited":
        return {pointer_: pair[side] for pointer_, pair in write.fields.items()}
    meta = {key: item["metadata"][key] for key in ("labels", "annotations") if item["metadata"].get(key)}
    return {"metadata": meta, **{k: item[k] for k in ("spec", "data") if k in item}}


def read(cluster: Cluster, resources: Resources, refs: t.Sequence[Ref]) -> list[tuple[Ref, str, Object | None]]:
    """(ref, path, object or None) of each. A kind that the API server does not serve has no objects."""
    paths = [resources.path(ref) if resources.find(ref.api_version, ref.kind) else "" for ref in refs]
    bodies = iter(read_all(cluster, [path for path in paths if path]))
    return [(ref, path, next(bodies) if path else None) for ref, path in zip(refs, paths)]
