#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: object_edits
short_description: Take back what other modules have made, edited or removed
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Removes objects that this collection has made, gives fields of objects their earlier value, and makes again what was
    removed. It is what the journal uses to undo M(bluegreen.mesh.interim_ingress),
    M(bluegreen.mesh.virtual_service_ingress), M(bluegreen.mesh.gateway_admission), M(bluegreen.mesh.mesh_mtls) and
    M(bluegreen.mesh.mesh_wave), and is not meant to be written by hand.
  - A field that others have changed since is left as it is, and the object is listed with why. So is an object that is
    not ours.
  - First what was removed is made again, then fields are given back, then objects are removed.
options:
  create:
    description: Whole objects to make where there is none of that name.
    type: list
    elements: dict
    default: []
  edits:
    description: Fields to give back.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: Such as V(networking.k8s.io/v1).
        type: str
        required: true
      kind:
        description: Such as V(NetworkPolicy).
        type: str
        required: true
      namespace:
        description: Its namespace. Left out for what is in none.
        type: str
      name:
        description: Its name.
        type: str
        required: true
      fields:
        description: By JSON pointer, C(from), what is expected there, and C(to), what it shall be. V(null) is not
          there.
        type: dict
        required: true
  remove:
    description: Objects to remove, if they carry the label C(app.kubernetes.io/managed-by=bluegreen.mesh).
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: Such as V(networking.k8s.io/v1).
        type: str
        required: true
      kind:
        description: Such as V(Ingress).
        type: str
        required: true
      namespace:
        description: Its namespace. Left out for what is in none.
        type: str
      name:
        description: Its name.
        type: str
        required: true
  inverse_of:
    description:
      - The step of a journal whose inverse is carried out, in place of the other options. For one that is secret, which
        is in the Secret that the journal keeps, and is read here only.
    type: dict
    suboptions:
      namespace:
        description: Namespace of the journal.
        type: str
        required: true
      name:
        description: Its name.
        type: str
        required: true
      step:
        description: The step's id.
        type: str
        required: true
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(get), C(create), C(patch) and C(delete) on the kinds that it is given; with O(inverse_of), C(get) on the
    journal's ConfigMap and Secret.
"""

EXAMPLES = r"""
- name: Take an Ingress away again, and give a policy its list back
  bluegreen.mesh.object_edits:
    kubeconfig: ~/.kube/config
    context: production
    remove:
      - {api_version: networking.k8s.io/v1, kind: Ingress, namespace: istio-system, name: interim-shop}
    edits:
      - api_version: security.istio.io/v1
        kind: PeerAuthentication
        namespace: shop
        name: default
        fields:
          /spec/mtls/mode: {from: PERMISSIVE, to: STRICT}
"""

RETURN = r"""
objects:
  description:
    - C(object) and C(state) of each, one of C(created), C(edited), C(removed), C(unchanged), C(absent) and C(skipped),
      the last with C(reason).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _edits, _keep_target, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal, Store
from ansible_collections.bluegreen.mesh.plugins.module_utils._resources import Ref, Resources


def named(entry):
    return Ref(entry["api_version"], entry["kind"], entry.get("namespace") or "", entry["name"])


def wanted(module, cluster):
    """create, edits and remove, as they are given or as a journal has them. Raises Refusal unknown_step."""
    source = module.params["inverse_of"]
    if source is None:
        return module.params
    store = Store(cluster, source["namespace"], source["name"])
    step = next((step for step in store.existing().steps if step["id"] == source["step"]), None)
    if step is None:
        raise _module.Refusal("unknown_step", f"inverse_of: journal {store.where} has no step {source['step']}.")
    return {"create": [], "edits": [], "remove": [], **store.inverse(step)["params"]}


def checked(params):
    for number, entry in enumerate(params["edits"]):
        for field, change in entry["fields"].items():
            if not field.startswith("/") or not isinstance(change, dict) or change.keys() != {"from", "to"}:
                raise _module.Refusal(
                    "bad_option", f"edits[{number}].fields.{field}: expected a JSON pointer with from and to."
                )
    for number, body in enumerate(params["create"]):
        if not {"apiVersion", "kind", "metadata"} <= body.keys():
            raise _module.Refusal("bad_option", f"create[{number}]: expected apiVersion, kind and metadata.")


def plan(cluster, params):
    resources = Resources(cluster)
    found = _edits.read(cluster, resources, [Ref.of(body) for body in params["create"]])
    writes = [
        _edits.Write("unchanged" if there else "created", ref, path, there, there or body)
        for (ref, path, there), body in zip(found, params["create"])
    ]
    found = _edits.read(cluster, resources, [named(entry) for entry in params["edits"]])
    writes += [_edits.restored(*one, fields=entry["fields"]) for one, entry in zip(found, params["edits"])]
    found = _edits.read(cluster, resources, [named(entry) for entry in params["remove"]])
    return writes + [_edits.removed(*one) for one in found]


def operation(module, cluster):
    params = wanted(module, cluster)
    checked(params)
    journal = Journal.load(cluster, module.params["journal"])
    result = _edits.carry_out(module, cluster, journal, lambda: plan(cluster, params))
    for one in result["objects"]:
        if one["state"] == "skipped":
            module.warn(f"{one['object']} is left as it is: {one['reason']}")
    return result


def main():
    fields = {**_keep_target.REF_SPEC, "fields": {"type": "dict", "required": True}}
    _module.run(
        operation,
        {
            "create": {"type": "list", "elements": "dict", "default": []},
            "edits": {"type": "list", "elements": "dict", "default": [], "options": fields},
            "remove": {"type": "list", "elements": "dict", "default": [], "options": _keep_target.REF_SPEC},
            "inverse_of": {
                "type": "dict",
                "options": {name: {"type": "str", "required": True} for name in ("namespace", "name", "step")},
            },
        },
        journal=True,
    )


if __name__ == "__main__":
    main()
