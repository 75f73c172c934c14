# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pair of Gateways is. What a module does with it, and whether it needs any, it says itself."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  pairs:
    type: list
    elements: dict
    suboptions:
      blue:
        description: The old Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
      green:
        description: The new Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
"""

    # The same pair, where what is behind it counts too. Written out, because ansible-test wants a plain string here.
    WORKLOADS = r"""
options:
  pairs:
    type: list
    elements: dict
    suboptions:
      blue:
        description: The old Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
      green:
        description: The new Gateway, as C(NAMESPACE/NAME).
        type: str
        required: true
      workload:
        description: Name of the entry of O(workloads) whose pods serve them. Not needed if there is only one.
        type: str
      ports:
        description: Server port numbers that change, as in O(bluegreen.mesh.gateway_twin#module:pairs[].ports).
        type: dict
        default: {}
  root_namespace:
    description:
      - The mesh's root namespace, whose policies apply to every namespace, where istiod's configuration is not in
        C(istio-system). Where it is, it says so itself.
    type: str
    default: istio-system
"""
