#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_twin
short_description: Write green's Istio Gateways from blue's, with their TLS Secrets
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Makes for each Gateway of blue one for green, with the same hosts and TLS settings, that selects green's pods.
  - Hosts are written so that they mean the same in the new namespace; C(./HOST) becomes C(NAMESPACE/HOST).
  - Brings along the TLS Secrets that the Gateways name, because Istio reads them from the namespace of the gateway's
    pods.
  - With O(certificates=certificate), a Secret that a Certificate of cert-manager writes for blue is written for green by a
    Certificate of its own.
  - A twin follows its source. Run the module again after blue's Gateway or Secret has changed. When the source is gone,
    after the migration, the twin stays as it is.
  - Labels and annotations of the source are not copied, because they tell Helm, Argo CD or external-dns that the object
    is theirs. See O(labels) and O(annotations).
  - A Gateway or Secret of green's name that this module did not make is never written. A Gateway is compared, and the
    differences are returned.
options:
  state:
    description:
      - V(present) makes or updates the twins.
      - V(absent) removes twins that this module made, and copies of Secrets that green's pods need for no
        other Gateway.
      - V(refreshed) brings copies up to date whose source has been renewed, and does nothing else.
    type: str
    choices: [present, absent, refreshed]
    default: present
  pairs:
    description: The Gateways and their twins. One of O(pairs), O(copies) and O(issued) is required.
    type: list
    elements: dict
    suboptions:
      blue:
        description: The Gateway to be twinned, as C(NAMESPACE/NAME).
        type: str
        required: true
      green:
        description: The twin, as C(NAMESPACE/NAME).
        type: str
        required: true
      selector:
        description:
          - Labels of green's pods. Required for V(present). They must not all be labels that blue's Gateway selects.
        type: dict
      ports:
        description: Server port numbers that change, as a dictionary from blue's number to green's.
        type: dict
        default: {}
      blue_workload_namespace:
        description: Namespace of blue's pods, and so of its Secrets. If not given, that of O(pairs[].blue).
        type: str
      green_workload_namespace:
        description: Namespace of green's pods. If not given, that of O(pairs[].green).
        type: str
      spec:
        description: A spec to write as it is, instead of one made from blue's. The journal uses it to undo a change.
        type: dict
  certificates:
    description:
      - V(copy) copies TLS Secrets that are missing in the namespace of green's pods, and refreshes copies whose source
        has changed. A Secret there that is no copy of ours is fine if it has the same content, and refused if not.
      - V(certificate) makes for each one that a Certificate of cert-manager writes for blue a Certificate of the same
        name, Secret and issuer in the namespace of green's pods, and waits until it is issued before a Gateway names it.
        The others are copied.
      - V(require) copies none, and fails with V(secret_missing) if one is not there.
    type: str
    choices: [copy, certificate, require]
    default: copy
  labels:
    description: Names of labels that are copied from blue's Gateway.
    type: list
    elements: str
    default: []
  annotations:
    description: Names of annotations that are copied from blue's Gateway.
    type: list
    elements: str
    default: []
  copies:
    description:
      - Copies of Secrets to remove, as C(NAMESPACE/NAME), with O(state=absent). The journal uses it to undo a copy.
    type: list
    elements: str
  issued:
    description:
      - Certificates of this module's making to remove, with the Secrets that they wrote, as C(NAMESPACE/NAME), with
        O(state=absent). The journal uses it.
    type: list
    elements: str
  timeout:
    description: With O(certificates=certificate), seconds within which cert-manager must have issued them.
    type: int
    default: 300
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.namespaces
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get), C(create), C(update) and C(delete) on C(gateways.networking.istio.io) in green's namespace, and C(get)
    in blue's; C(get), C(create), C(update) and C(delete) on C(secrets) where green's pods are, C(get) where blue's are.
    V(refreshed) needs C(get) on these, and C(update) on C(secrets). With O(certificates=certificate) it also needs
    C(get), C(list), C(create), C(update) and C(delete) on C(certificates.cert-manager.io) where green's pods are, C(list)
    where blue's are, and C(get) on C(issuers.cert-manager.io).
    V(absent) also needs C(list) on C(gateways.networking.istio.io) in all namespaces and on C(pods) where green's are.
seealso:
  - module: bluegreen.mesh.mesh_findings_info
"""

EXAMPLES = r"""
- name: Write the Gateways of the new ingress gateway
  bluegreen.mesh.gateway_twin:
    kubeconfig: ~/.kube/config
    context: production
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
        selector:
          app: public-ingressgateway
          istio: public-ingressgateway
        ports:
          "8080": 80
          "8443": 443

- name: An application's own Gateway needs a twin as well; its pods are elsewhere
  bluegreen.mesh.gateway_twin:
    kubeconfig: ~/.kube/config
    context: production
    certificates: require
    pairs:
      - blue: bookinfo/bookinfo-gateway
        green: bookinfo/bookinfo-gateway-green
        selector:
          istio: public-ingressgateway
        blue_workload_namespace: istio-system
        green_workload_namespace: istio-gateway
"""

RETURN = r"""
gateways:
  description: What became of each twin.
  returned: success
  type: list
  elements: dict
  contains:
    blue:
      description: The source.
      type: str
    green:
      description: The twin.
      type: str
    state:
      description:
        - V(created), V(updated), V(unchanged), V(removed) or V(absent).
        - V(foreign) if a Gateway of that name exists that this module did not make.
        - V(orphan) if the source is gone.
      type: str
    differences:
      description: Where the spec differs from what it should be; for V(foreign), where it still does.
      type: list
      elements: dict
      sample:
        - field: spec.servers[0].hosts[0]
          expected: "*.example.com"
          found: "www.example.com"
manifests:
  description:
    - The twins as they are to be, for M(bluegreen.mesh.manifest_files). Without those that this module did not make.
  returned: success
  type: list
  elements: dict
secrets:
  description: What became of each TLS Secret that the twins name.
  returned: success
  type: list
  elements: dict
  contains:
    secret:
      description: The Secret in the namespace of green's pods.
      type: str
    source:
      description: The Secret in the namespace of blue's pods.
      type: str
    state:
      description:
        - V(created), V(updated), V(unchanged) or V(removed).
        - V(foreign) if it is no copy of ours, V(orphan) if the source is gone, V(in_use) if green's
          pods need it for another Gateway.
      type: str
issued:
  description: What became of each Certificate of green's.
  returned: success
  type: list
  elements: dict
  contains:
    certificate:
      description: The Certificate in the namespace of green's pods.
      type: str
    source:
      description: Blue's.
      type: str
    state:
      description: As for RV(gateways).
      type: str
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _certificates, _module, _twin
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal


def plan(cluster, params):
    pairs = _twin.parse_pairs(params["pairs"] or [])
    copies = [_twin.parse_ref(text, "copies") for text in params["copies"] or []]
    issued = [_twin.parse_ref(text, "issued") for text in params["issued"] or []]
    plans = _twin.Plans(cluster, params)
    if params["state"] == "absent":
        return plans.absent(pairs, copies, issued)
    if copies or issued:
        raise _module.Refusal(
            "bad_option", "copies and issued are for state: absent; else the Gateways name the Secrets."
        )
    return plans.present(pairs) if params["state"] == "present" else plans.refreshed(pairs)


def write(cluster, steps, journal, recorded, module):
    """Carries out the steps; returns the object that has changed since it was read, if one has.

    recorded: gets the ids of the journal's steps.
    """
    acting = [step for step in steps if step.acts]
    if journal and acting and not module.check_mode:
        journal.check()
        wanted = [(step, _twin.inverse(step)) for step in acting]
        recorded += journal.record_all(
            [(f"twin_{s.kind.lower()}", _twin.title(s.ref), undo, False, None) for s, undo in wanted if undo]
        )
    own = [s.ref for s in steps if s.issued and s.state in ("created", "updated", "unchanged")]
    for step in acting:
        if step.pair and own and not module.check_mode:
            _certificates.await_ready(cluster, own, module.params["timeout"])
            own = []
        contested = _module.carry_out([step], lambda one: _twin.apply(cluster, one, module.check_mode), module)
        if contested:
            return contested
    if acting and own and not module.check_mode:
        _certificates.await_ready(cluster, own, module.params["timeout"])
    return None


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    done = _module.settled(
        lambda: plan(cluster, module.params),
        lambda steps, recorded: write(cluster, steps, journal, recorded, module),
        journal,
    )
    acting = [step for step in done if step.acts]
    return {
        "changed": bool(acting),
        "gateways": [
            {
                "blue": _twin.title(s.pair.blue),
                "green": _twin.title(s.ref),
                "state": s.state,
                "differences": s.differences,
            }
            for s in done
            if s.pair
        ],
        "secrets": [
            {"secret": _twin.title(s.ref), "source": _twin.title(s.source) if s.source else "", "state": s.state}
            for s in done
            if s.kind == "Secret"
        ],
        "issued": [
            {"certificate": _twin.title(s.ref), "source": _twin.title(s.source) if s.source else "", "state": s.state}
            for s in done
            if s.issued
        ],
        "manifests": [s.wanted for s in done if s.wanted],
        "diff": {
            "before": {s.object: _twin.masked(s.before) for s in acting},
            "after": {s.object: _twin.masked(s.after) for s in acting},
        },
    }


def main():
    pair = {
        "blue": {"type": "str", "required": True},
        "green": {"type": "str", "required": True},
        "selector": {"type": "dict"},
        "ports": {"type": "dict", "default": {}},
        "blue_workload_namespace": {"type": "str"},
        "green_workload_namespace": {"type": "str"},
        "spec": {"type": "dict"},
    }
    _module.run(
        operation,
        {
            "state": {"type": "str", "choices": ["present", "absent", "refreshed"], "default": "present"},
            "pairs": {"type": "list", "elements": "dict", "options": pair},
            "certificates": {"type": "str", "choices": ["copy", "certificate", "require"], "default": "copy"},
            "labels": {"type": "list", "elements": "str", "default": []},
            "annotations": {"type": "list", "elements": "str", "default": []},
            "copies": {"type": "list", "elements": "str"},
            "issued": {"type": "list", "elements": "str"},
            "timeout": {"type": "int", "default": 300},
            "expect_namespaces": {"type": "bool", "default": False},
        },
        journal=True,
        required_one_of=[("pairs", "copies", "issued")],
    )


if __name__ == "__main__":
    main()
