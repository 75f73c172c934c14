# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateways' pods and Services of both sides, as the setting mesh_workloads has them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  workloads:
    description: The gateways' pods and Services, of both sides.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: A name for reports.
        type: str
        required: true
      method:
        description: How green is deployed. Not used.
        type: str
      blue:
        description: The Service that is replaced. It may be gone.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          service:
            description: Its name.
            type: str
            required: true
      green:
        description: What takes its place.
        type: dict
        required: true
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          release:
            description: Name of its Service.
            type: str
            required: true
          labels:
            description: Labels of its pods.
            type: dict
          node_ports:
            description: NodePorts it is to have, by port name. Used while its Service is not there.
            type: dict
          chart_values:
            description: Values of the chart; C(serviceAccount.name) is used.
            type: dict
"""
