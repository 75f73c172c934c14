# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MutatingAdmissionPolicy and its binding: the API server itself binds what is written. Nothing to install, and no
webhook that can be down. v1, and on by default, since Kubernetes 1.36."""

from __future__ import annotations

import typing as t

from .._resources import Resources
from .._virtual_services import Bound
from . import cel

NAME = "admission_policy"
API = "admissionregistration.k8s.io/v1"
KINDS = ((API, "MutatingAdmissionPolicy"), (API, "MutatingAdmissionPolicyBinding"))
WHERE = "MutatingAdmissionPolicy v1 (Kubernetes 1.36 and later)"


def available(resources: Resources) -> str:
    """What of it the API server serves, or ''."""
    return f"the API server has {KINDS[0][1]} {API}" if all(resources.find(*kind) for kind in KINDS) else ""


def objects(_resources: Resources, name: str, rule: Bound) -> list[dict[str, t.Any]]:
    """Without our labels and annotations, in the order in which to write them."""
    (_api, policy), (_same, binding) = KINDS
    return [
        {"apiVersion": API, "kind": policy, "metadata": {"name": name}, "spec": cel.rules(rule)},
        {"apiVersion": API, "kind": binding, "metadata": {"name": name}, "spec": {"policyName": name}},
    ]
