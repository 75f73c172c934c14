#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_secret_copy
short_description: Copy TLS Secrets to where a gateway's pods read them
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Copies Secrets, under another name if need be, to the namespace of a gateway's pods, because Istio reads certificates
    there alone. A copy follows its source when the module is run again. When the source is gone the copy stays.
  - A Secret of the wanted name that is no copy of this collection's is left alone if it has the same content or if
    cert-manager writes it, and refused if not.
  - The journal undoes it by M(bluegreen.mesh.gateway_twin), which leaves a copy that is still read.
options:
  copies:
    description: What to copy.
    type: list
    elements: dict
    required: true
    suboptions:
      source:
        description: The Secret, as C(NAMESPACE/NAME).
        type: str
        required: true
      target:
        description: Its copy, as C(NAMESPACE/NAME).
        type: str
        required: true
      gateway:
        description: The Gateway that names it, as C(NAMESPACE/NAME), for messages.
        type: str
        required: true
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.namespaces
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get) on C(secrets) in both namespaces, and C(create) and C(update) in the copies'.
seealso:
  - module: bluegreen.mesh.ingress_convert
"""

EXAMPLES = r"""
- name: Bring the certificates of Ingresses to the gateway
  bluegreen.mesh.tls_secret_copy:
    kubeconfig: ~/.kube/config
    context: production
    copies:
      - source: shop/shop-cert
        target: istio-ingress/shop-shop-cert
        gateway: istio-ingress/public
"""

RETURN = r"""
secrets:
  description: What became of each, as C(secret), C(source) and C(state) (V(created), V(updated), V(unchanged), V(foreign),
    V(orphan)).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _module, _twin
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import read_all


def plan(cluster, copies):
    wanted = {}
    for number, entry in enumerate(copies):
        parts = {name: _twin.parse_ref(entry[name], f"copies[{number}].{name}") for name in entry}
        one = _twin.Certificate(parts["source"], parts["target"], False, parts["gateway"])
        known = wanted.setdefault(one.target, one)
        if known.source != one.source:
            raise _module.Refusal(
                "bad_option",
                f"copies[{number}]: {entry['target']} would be a copy of {entry['source']} and of"
                f" {_twin.title(known.source)}. Give one of them another name.",
            )
    paths = [_twin.secret_path(ref) for one in wanted.values() for ref in (one.source, one.target)]
    found = dict(zip(paths, read_all(cluster, paths)))
    steps = []
    for one in wanted.values():
        source, target = found[_twin.secret_path(one.source)], found[_twin.secret_path(one.target)]
        state, after = _twin.plan_certificate(one, source, target, "copy")
        steps.append(_twin.Step(state, one.target, target, after or target, source=one.source))
    return steps


def write(cluster, steps, journal, recorded, module):
    """Carries out the steps; returns the object that has changed since it was read, if one has."""
    acting = [step for step in steps if step.acts]
    if journal and acting and not module.check_mode:
        journal.check()
        wanted = [(step, _twin.inverse(step)) for step in acting]
        recorded += journal.record_all(
            [("copy_secret", _twin.title(s.ref), undo, False, None) for s, undo in wanted if undo]
        )
    return _module.carry_out(acting, lambda step: _twin.apply(cluster, step, module.check_mode), module)


def operation(module, cluster):
    journal = Journal.load(cluster, module.params["journal"])
    done = _module.settled(
        lambda: plan(cluster, module.params["copies"]),
        lambda steps, recorded: write(cluster, steps, journal, recorded, module),
        journal,
    )
    acting = [step for step in done if step.acts]
    return {
        "changed": bool(acting),
        "secrets": [
            {"secret": _twin.title(s.ref), "source": _twin.title(s.source), "state": s.state} for s in done
        ],
        "diff": {
            "before": {s.object: _twin.masked(s.before) for s in acting},
            "after": {s.object: _twin.masked(s.after) for s in acting},
        },
    }  # fmt: skip


def main():
    entry = {name: {"type": "str", "required": True} for name in ("source", "target", "gateway")}
    spec = {
        "copies": {"type": "list", "elements": "dict", "required": True, "options": entry},
        "expect_namespaces": {"type": "bool", "default": False},
    }
    _module.run(operation, spec, journal=True)


if __name__ == "__main__":
    main()
