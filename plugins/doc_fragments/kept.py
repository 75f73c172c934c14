# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which modules name what is kept."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  gateways:
    description:
      - Istio Gateways, as C(NAMESPACE/NAME). One that is not there is an error to M(bluegreen.mesh.resource_keep) with
        V(state=kept), and only reported otherwise.
      - The Secrets that their servers get certificates from are included, V(credentialName) and V(credentialNames) for
        modes V(SIMPLE), V(MUTUAL) and V(OPTIONAL_MUTUAL), and for the latter two a Secret for the CA (C(NAME-cacert),
        or V(caCertCredentialName)) where there is one.
    type: list
    elements: str
  secrets_namespace:
    description:
      - Namespace in which the gateways' pods run, from which Istio reads those Secrets.
      - If not given, the namespace of the pods that a Gateway selects, or its own where there is none.
    type: str
  needs:
    description:
      - Also what the O(gateways) can't serve without, found from their selectors on. Deployments, Services, service
        accounts, the roles by which istiod hands out certificates, pull secrets, autoscalers, disruption budgets,
        network policies, the IstioOperator, istiod with what it runs by, the root certificate's Secrets, Istio's CRDs
        and the namespaces.
      - When releasing, also everything that the journal has as kept.
    type: bool
    default: false
  resources:
    description: More objects of any kind.
    type: list
    elements: dict
    suboptions:
      api_version:
        description: Group and version, such as V(apps/v1).
        type: str
        required: true
      kind:
        description: Kind, such as V(Deployment).
        type: str
        required: true
      namespace:
        description: Namespace. Leave it out for a cluster-scoped object.
        type: str
      name:
        description: Name.
        type: str
        required: true
"""
