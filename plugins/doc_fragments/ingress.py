# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules name the Istio gateway that goes, and the Ingress controller that comes."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  gateways:
    description: The old Istio Gateways, as C(NAMESPACE/NAME). All of them are on the pods of O(gateway_service).
    type: list
    elements: str
    required: true
  gateway_service:
    description: The old gateway's Service, as C(NAMESPACE/NAME).
    type: str
    required: true
  class_name:
    description: The new controller's IngressClass. There is no default on purpose.
    type: str
    required: true
  dialect:
    description:
      - How the controller wants to be told what an Ingress has no field for; C(docs/ingress_dialects.md) has each.
      - V(traefik) is Traefik's own provider with its ServersTransports and Middlewares, V(traefik_nginx) its provider
        for Ingresses written for ingress-nginx. V(haproxy) is HAProxy Technologies' controller, V(haproxy_ingress) the
        community's. V(nginx) is ingress-nginx, which was retired in March 2026.
    type: str
    choices: [haproxy, haproxy_ingress, nginx, traefik, traefik_nginx]
    required: true
  snippets:
    description: Whether the controller lets Ingresses carry raw configuration. Some things take that with some
      dialects.
    type: bool
    default: false
  waive:
    description: Findings that are known and accepted, as C(CODE), or as C(CODE:NAMESPACE/NAME) for one object.
    type: list
    elements: str
    default: []
"""
