#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_files
short_description: Write objects as files for a GitOps controller
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Writes what one phase of a migration wants in the cluster into a folder of its own, one file for each object, with a
    kustomization that lists them, on the host that the task runs on. A kustomization above lists the phases, and labels
    all that is built from it with C(bluegreen.mesh/migration).
  - The same objects make the same files, in the same order. What is not wanted any more is removed.
  - A Secret is refused. A kustomization that this migration has not written is never touched.
options:
  dest:
    description: The migration's folder, in a working copy. It is made where it is missing.
    type: path
    required: true
  migration:
    description: Name of the migration.
    type: str
    required: true
  folder:
    description:
      - The phase's folder in O(dest). It goes when there are no objects.
      - Without it, only the kustomization in O(dest) is made. It is not empty, so that a controller can build it before
        the first phase and after the last one.
    type: str
  objects:
    description:
      - All objects of the phase, as Kubernetes' API has them. Only C(apiVersion), C(kind), C(metadata) and C(spec) are
        written.
    type: list
    elements: dict
    default: []
extends_documentation_fragment:
  - bluegreen.mesh.cluster.attributes
seealso:
  - module: bluegreen.mesh.git_commit
  - module: bluegreen.mesh.manifest_state_info
"""

EXAMPLES = r"""
- name: Ask what the binding policy looks like
  bluegreen.mesh.binding_policy:
    kubeconfig: ~/.kube/config
    context: production
    migration: ingress-2026
    pairs:
      - blue: istio-system/public
        green: istio-gateway/public-ingressgateway
  check_mode: true
  register: binding

- name: Write it for the controller
  bluegreen.mesh.manifest_files:
    dest: ~/src/cluster/migration
    migration: ingress-2026
    folder: bind
    objects: "{{ binding.manifests }}"
"""

RETURN = r"""
files:
  description: Paths in O(dest) of all files that say what is wanted.
  returned: success
  type: list
  elements: str
objects:
  description: What the folder holds, and what it held before, for M(bluegreen.mesh.manifest_state_info).
  returned: success
  type: list
  elements: dict
  contains: &ref
    api_version:
      description: Group and version.
      type: str
    kind:
      description: Kind.
      type: str
    namespace:
      description: Namespace, empty where there is none.
      type: str
    name:
      description: Name.
      type: str
removed:
  description: What it held before, and does not any more.
  returned: success
  type: list
  elements: dict
  contains: *ref
"""

from ansible_collections.bluegreen.mesh.plugins.module_utils import _manifests, _module


def operation(module, _cluster):
    params = module.params
    for number, item in enumerate(params["objects"]):
        if not all(item.get(part) for part in ("apiVersion", "kind", "metadata")) or not item["metadata"].get("name"):
            raise _module.Refusal(
                "bad_option", f"objects[{number}]: expected apiVersion, kind and metadata.name; found {sorted(item)}."
            )
    return _manifests.write(
        params["dest"], params["migration"], params["folder"], params["objects"], module.check_mode
    )


def main() -> None:
    _module.run(
        operation,
        {
            "dest": {"type": "path", "required": True},
            "migration": {"type": "str", "required": True},
            "folder": {"type": "str"},
            "objects": {"type": "list", "elements": "dict", "default": []},
        },
        cluster=False,
    )


if __name__ == "__main__":
    main()
