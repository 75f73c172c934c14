# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules that take workloads from Istio's mesh to Linkerd's."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespaces:
    description: The namespaces that are to change meshes. Istio's own is not among them.
    type: list
    elements: str
    required: true
  root_namespace:
    description: Istio's root namespace.
    type: str
    default: istio-system
  mesh_config:
    description:
      - The ConfigMap of Istio's mesh config, as C(NAMESPACE/NAME). If not given, those of all revisions in
        O(root_namespace).
    type: str
  max_unavailable:
    description: Percent of a workload's pods that its own rollout may take away at once.
    type: int
    default: 50
  pod_networks:
    description:
      - The networks of pods, as CIDRs, which policies by identity admit besides for as long as callers come from both
        meshes. That trusts the network in place of identities, so it is empty unless you say otherwise.
    type: list
    elements: str
    default: []
  waive:
    description: Findings that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
    type: list
    elements: str
    default: []
"""
