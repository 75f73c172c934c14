# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as they are put away before they are deleted, and as they can be made again. Pure."""

from __future__ import annotations

import copy
import gzip
import json
import typing as t

from ._objects import holds

# Of metadata: what the API server gives, and would not take.
GIVEN = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "managedFields",
    "resourceVersion", "selfLink", "uid",
)  # fmt: skip
CHUNK = 700 * 1000  # bytes of one backup Secret's content; the API server refuses more than 1 MiB (1,048,576) of data
TOKEN = "kubernetes.io/service-account-token"
TOKEN_UID = "kubernetes.io/service-account.uid"
Body = dict[str, t.Any]


def pack(bodies: t.Sequence[Body]) -> bytes:
    return gzip.compress(json.dumps(bodies, separators=(",", ":")).encode(), mtime=0)


def unpack(content: bytes) -> list[Body]:
    return json.loads(gzip.decompress(content))


def chunks(bodies: t.Sequence[Body], limit: int = CHUNK) -> list[list[Body]]:
    """Bodies, in their order, in parts that are at most `limit` bytes when packed; one that is more is a part alone.

    >>> [len(part) for part in chunks([{"a": 1}, {"b": 2}])]
    [2]
    """
    found: list[list[Body]] = []
    size = 0
    for body in bodies:
        own = len(pack([body]))  # together they are never more than the sum
        if not found or size + own > limit:
            found.append([])
            size = 0
        found[-1].append(body)
        size += own
    return found


def again(body: Body, gone: t.Collection[str] = ()) -> Body:
    """An object as it can be made anew.

    A Service keeps its clusterIP and node ports, so that who knows them finds it. gone: UIDs of owners that are no
    longer there: with a reference to such a one, the garbage collector would delete the new object at once. The token
    of a ServiceAccount is left to the controller that fills it in, since a token is good for one UID only.
    """
    made = copy.deepcopy(body)
    meta = made["metadata"]
    for name in GIVEN:
        meta.pop(name, None)
    made.pop("status", None)
    owners = [owner for owner in meta.pop("ownerReferences", []) if owner["uid"] not in gone]
    if owners:
        meta["ownerReferences"] = owners
    if made["kind"] == "Secret" and made.get("type") == TOKEN:
        made.pop("data", None)
        (meta.get("annotations") or {}).pop(TOKEN_UID, None)
    return made


def without_address(body: Body) -> Body:
    """A Service that takes any clusterIP."""
    made = copy.deepcopy(body)
    if made["spec"].get("clusterIP") != "None":
        made["spec"].pop("clusterIP", None)
        made["spec"].pop("clusterIPs", None)
    return made


def unready(body: Body) -> str:
    """Why a workload is not up, or a CRD's kind not served, or ''. Any other object is ready as soon as it is there."""
    if body["kind"] == "CustomResourceDefinition":  # until it is, none of its objects can be made again
        return "" if holds(body, "Established") else "its kind is not served yet"
    if body["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
        return ""
    status = body.get("status") or {}
    if body["kind"] == "DaemonSet":
        wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    else:
        wanted, ready = body["spec"].get("replicas", 1), status.get("readyReplicas", 0)
    if (status.get("observedGeneration") or 0) < (body["metadata"].get("generation") or 0):
        return "its controller has not seen it yet"
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"
