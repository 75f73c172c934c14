# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Admission of deletions for FakeCluster: what an API server makes of the policies that _deletion_guard writes."""

from __future__ import annotations

from ansible_collections.bluegreen.mesh.plugins.module_utils import _deletion_guard as guard
from fake_cluster import FakeCluster, parse_path

API_PATH = f"/apis/{guard.API}"


def serve_guard(
    cluster: FakeCluster, served: bool = True, after: int = 0, kinds: dict[str, list[dict]] | None = None
) -> None:
    """Makes cluster serve policies (or not), and enforce them from the `after`th attempt to delete something kept on.

    kinds: more discovery documents, {path: [{"kind", "name", "namespaced"}]}.
    """
    attempts = {"left": after}
    names = (
        (guard.POLICIES, guard.BINDINGS, f"{guard.POLICIES}/status") if served else ("mutatingwebhookconfigurations",)
    )
    documents = {
        API_PATH: [{"kind": f"Kind{name}", "name": name, "namespaced": False} for name in names],
        **(kinds or {}),
    }
    for path, resources in documents.items():
        cluster.on(
            "GET", path, lambda _request, found=resources: (200, {"kind": "APIResourceList", "resources": found})
        )

    def admit(request):
        group, _version, plural, namespace, name, _sub = parse_path(request.path)
        body = cluster.peek(plural, namespace, name)
        kept_by = ((body or {}).get("metadata", {}).get("annotations") or {}).get(guard.KEPT_BY)
        policy = guard.policy_name(kept_by or "")
        stored = cluster.peek(guard.POLICIES, "", policy)
        if (
            not stored
            or not cluster.peek(guard.BINDINGS, "", policy)
            or (group, plural) not in guard.covered_by(stored)
        ):
            return None
        if attempts["left"] > 0:
            attempts["left"] -= 1
            return None
        denied = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: kept"
        message = f'{plural} "{name}" is forbidden: {denied}'
        return 403, {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}

    cluster.on("DELETE", "*", admit)
