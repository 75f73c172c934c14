#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ingress_convert
short_description: Make Istio Gateways and VirtualServices of Ingresses
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the Ingresses of one class, or of several, and makes of them what does the same on Istio, that is Gateways,
    one VirtualService for each host, and where they are needed DestinationRules, AuthorizationPolicies and
    cert-manager's Certificates. It applies them, writes them as files for GitOps, does both, or only reports.
  - Paths are tried in the order in which ingress-nginx tries them, and annotations of ingress-nginx are translated. Of
    every annotation of every Ingress RV(report) says whether it is translated, not needed, or not translated, and then
    what a person must do.
  - What would do something else than on the Ingress controller, or let in whom that keeps out, is a finding of severity
    V(error). Nothing is written while one stands that is not accepted in O(waive).
  - What it makes carries the label C(bluegreen.mesh/ingress-convert). An object of a wanted name without it is refused,
    and never written. A second run changes nothing.
  - Ingresses themselves are never changed, nor are Secrets read for more than their names.
options:
  state:
    description:
      - V(present) converts.
      - V(absent) removes O(objects) that this module made, V(restored) gives O(objects) back their former content. The
        journal uses these two.
    type: str
    choices: [present, absent, restored]
    default: present
  classes:
    description:
      - Which class of Ingresses comes to which Gateway. An Ingress of a class that is not here is left alone and listed
        in RV(left), so that nothing internal becomes public by mistake.
      - The class is what the annotation C(kubernetes.io/ingress.class) says, else C(spec.ingressClassName), else the
        cluster's default IngressClass.
      - Required with O(state=present).
    type: list
    elements: dict
    suboptions:
      name:
        description: The class.
        type: str
        required: true
      gateway:
        description:
          - The Gateway to make, as C(NAMESPACE/NAME). Each wildcard host gets one of its own beside it, whose name
            begins alike, because Istio would mix its routes with those of names in the same Gateway.
        type: str
        required: true
      selector:
        description: Labels of the gateway's pods.
        type: dict
        required: true
      workload_namespace:
        description: Namespace of the gateway's pods, where they read certificates. If not given, that of the Gateway.
        type: str
      http_port:
        description: Port of the servers for plain HTTP, as the gateway's Service has it.
        type: int
        default: 80
      https_port:
        description: Port of the servers for HTTPS.
        type: int
        default: 443
      default_secret:
        description: Secret in O(classes[].workload_namespace) with the certificate for hosts whose Ingress asks for TLS
          and names no Secret.
        type: str
        default: ''
  namespaces:
    description: Only Ingresses in these namespaces. Hosts that have Ingresses elsewhere, too, are then converted in
      part.
    type: list
    elements: str
  name:
    description: Name of this conversion, the value of the label. Two conversions in one cluster need two names.
    type: str
    default: ingress
  apply:
    description: Whether the objects are written to the cluster.
    type: bool
    default: true
  dest:
    description: Folder in which the objects are written as files, with a C(kustomization.yaml), on the host that the
      task runs on.
    type: path
  prune:
    description: Whether what an earlier run has made, and is not wanted any more, is removed. If not, it is listed in
      RV(stale) and RV(stale_files).
    type: bool
    default: false
  waive:
    description: Findings that are accepted, as C(CODE), or C(CODE:NAMESPACE/NAME) for one object.
    type: list
    elements: str
    default: []
  cluster_domain:
    description: The domain of the cluster's Services.
    type: str
    default: cluster.local
  wildcard_label:
    description: What to put in place of the V(*) of wildcard hosts in RV(probes). If empty, they are in RV(unprobed).
    type: str
    default: ''
  objects:
    description:
      - Objects for V(absent) and V(restored), each with C(api_version), C(kind), C(namespace), C(name), and for
        V(restored) C(spec).
    type: list
    elements: dict
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.namespaces
  - bluegreen.mesh.cluster.journal
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs C(list) on C(ingresses), C(ingressclasses), C(services), C(secrets), Istio's C(gateways), C(virtualservices),
    C(destinationrules) and C(authorizationpolicies), cert-manager's C(certificates), C(issuers) and C(clusterissuers),
    and on C(pods) in the gateways' namespaces; and C(get), C(create), C(update) and C(delete) on what it writes. See
    C(docs/rbac/convert.yml).
  - Secrets are not copied. RV(secrets) says which must be where.
  - Files are not in the journal; they are undone where they are kept.
seealso:
  - module: bluegreen.mesh.route_info
  - module: bluegreen.mesh.virtual_service_gateways
"""

EXAMPLES = r"""
- name: See what would become of the Ingresses
  bluegreen.mesh.ingress_convert:
    kubeconfig: ~/.kube/config
    context: production
    apply: false
    classes: &classes
      - name: nginx
        gateway: istio-ingress/public
        selector:
          istio: ingress
      - name: nginx-internal
        gateway: istio-internal/internal
        selector:
          istio: internal
  register: converted

- name: Show what a person must do
  ansible.builtin.debug:
    msg: "{{ converted.report | selectattr('status', 'eq', 'not_translated') }}"

- name: Write it to the cluster, and as files
  bluegreen.mesh.ingress_convert:
    kubeconfig: ~/.kube/config
    context: production
    classes: *classes
    dest: gitops/production/ingress
    waive:
      - annotation_protection:team-a/shop
"""

RETURN = r"""
objects:
  description: What became of each object, as C(object) (kind, namespace and name) and C(state) (V(created), V(updated),
    V(unchanged), V(removed), V(absent), V(foreign)).
  returned: success
  type: list
  elements: dict
report:
  description:
    - Every annotation of every converted Ingress, with C(ingress), C(annotation), C(status) (V(translated),
      V(not_needed), V(not_translated)), C(feature), C(why), and C(todo) for what is not translated.
  returned: with O(state=present)
  type: list
  elements: dict
routes:
  description: Every match of every VirtualService (C(virtual_service), C(route), C(hosts), C(match)), and the
    C(ingress) and its C(field) that it comes from.
  returned: with O(state=present)
  type: list
  elements: dict
findings:
  description: What would go wrong, with C(code), C(severity), C(object), C(field), C(found) and C(fix).
  returned: with O(state=present)
  type: list
  elements: dict
waived:
  description: Findings that O(waive) accepts.
  returned: with O(state=present)
  type: list
  elements: dict
unused_waivers:
  description: Entries of O(waive) that accept nothing.
  returned: with O(state=present)
  type: list
  elements: str
secrets:
  description:
    - Certificates, with C(source), where the Ingress has it, C(target), where the gateway's pods read it, C(by), how it
      comes there (V(copy), V(certificate), V(nothing)), the C(hosts) and the C(gateway) that need it, and whether
      C(target) C(exists).
  returned: with O(state=present)
  type: list
  elements: dict
probes:
  description:
    - Requests that show whether green answers as the Ingress controller does, as
      O(bluegreen.mesh.route_verify#module:routes) takes them. C(virtual_service) is the Ingress, C(route) the field of
      the path in it, and C(gateway) and C(port) are those of the Gateway that it comes to.
  returned: with O(state=present)
  type: list
  elements: dict
unprobed:
  description: Paths without a probe, as RV(bluegreen.mesh.route_info#module:unprobed).
  returned: with O(state=present)
  type: list
  elements: dict
ingresses:
  description: Ingresses that were converted, as C(NAMESPACE/NAME).
  returned: with O(state=present)
  type: list
  elements: str
left:
  description: Ingresses that were not converted, with C(ingress), C(class) and C(why).
  returned: with O(state=present)
  type: list
  elements: dict
gateways:
  description: The Gateways, as C(NAMESPACE/NAME).
  returned: with O(state=present)
  type: list
  elements: str
stale:
  description: Objects that an earlier run has made and this one does not want.
  returned: with O(state=present)
  type: list
  elements: str
files:
  description: Paths of all files, in O(dest).
  returned: with O(state=present)
  type: list
  elements: str
stale_files:
  description: Files that an earlier run has written and this one does not want.
  returned: with O(state=present)
  type: list
  elements: str
counts:
  description: Number of C(ingresses), of C(objects), and of annotations by status.
  returned: with O(state=present)
  type: dict
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _clone, _ingress_convert, _module
from ansible_collections.bluegreen.mesh.plugins.module_utils._journal import Journal

CLASS = {
    "name": {"type": "str", "required": True},
    "gateway": {"type": "str", "required": True},
    "selector": {"type": "dict", "required": True},
    "workload_namespace": {"type": "str"},
    "http_port": {"type": "int", "default": 80},
    "https_port": {"type": "int", "default": 443},
    "default_secret": {"type": "str", "default": "", "no_log": False},
}
SPEC = {
    "state": {"type": "str", "choices": ["present", "absent", "restored"], "default": "present"},
    "classes": {"type": "list", "elements": "dict", "options": CLASS},
    "namespaces": {"type": "list", "elements": "str"},
    "name": {"type": "str", "default": "ingress"},
    "apply": {"type": "bool", "default": True},
    "dest": {"type": "path"},
    "prune": {"type": "bool", "default": False},
    "waive": {"type": "list", "elements": "str", "default": []},
    "cluster_domain": {"type": "str", "default": "cluster.local"},
    "wildcard_label": {"type": "str", "default": ""},
    "expect_namespaces": {"type": "bool", "default": False},
    "objects": {"type": "list", "elements": "dict"},
}


def undo(cluster, params):
    refs = [_ingress_convert.ref_in(entry) for entry in params["objects"]]
    found = _clone.found(cluster, refs)
    if params["state"] == "absent":
        return _ingress_convert.plan_absent(refs, found)
    return _ingress_convert.plan_restored(params["objects"], found)


def write(cluster, steps, journal, recorded, module):
    """Carries out the steps; returns the object that has changed since it was read, if one has."""
    acting = [step for step in steps if step.acts]
    if journal and acting and not module.check_mode:
        journal.check()
        recorded += journal.record_all(
            [("convert", key, undo, False, None) for key, undo in _ingress_convert.inverses(acting)]
        )
    return _module.carry_out(
        acting, lambda step: _clone.apply(cluster, step, module.check_mode), module,
        remedy="Create the namespace, or install the kind.",
    )  # fmt: skip


def operation(module, cluster):
    params = module.params
    journal = Journal.load(cluster, params["journal"])
    work = _ingress_convert.Work(cluster, params) if params["state"] == "present" else None
    done = _module.settled(
        work.plan if work else lambda: undo(cluster, params),
        lambda steps, recorded: write(cluster, steps, journal, recorded, module),
        journal,
    )
    acting = [step for step in done if step.acts]
    before = {step.object: _clone.shown(step.before) for step in acting}
    after = {step.object: _clone.shown(step.after) for step in acting}
    result = {"objects": [{"object": step.object, "state": step.state} for step in done]}
    if work:
        files = work.files(module.check_mode)
        before.update({f"File {path}": text or "" for path, text in files.before.items()})
        after.update({f"File {path}": text or "" for path, text in files.after.items()})
        result.update(work.result(), files=files.paths, stale_files=files.stale)
    return {"changed": bool(after), **result, "diff": {"before": before, "after": after}}


def main():
    needs = [("state", "present", ["classes"]), ("state", "absent", ["objects"]), ("state", "restored", ["objects"])]
    _module.run(operation, SPEC, journal=True, required_if=needs)


if __name__ == "__main__":
    main()
