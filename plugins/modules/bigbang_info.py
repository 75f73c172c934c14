#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bigbang_info
short_description: What must be so before Big Bang deploys its new gateways
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads which Big Bang, Istio and SmoothGlue are installed, and looks through the values files for what the old
    charts were
    told and the new ones are not. Changes nothing, and does not fail because of findings.
  - Every code is described in C(docs/deploying.md). Values are never shown, as they may be secrets.
options:
  files:
    description: Big Bang's values files, such as C(bigbang-values.yaml) and C(bigbang-secrets.yaml), in any order.
    type: list
    elements: path
    default: []
  namespace:
    description: Namespace of Big Bang's HelmReleases.
    type: str
    default: bigbang
  blue_namespace:
    description: Namespace of the old gateways' pods.
    type: str
    default: istio-system
  version:
    description: Big Bang's version, where the cluster does not tell it.
    type: str
  accept:
    description: Findings that are known and accepted, as their code or as the old key that they name.
    type: list
    elements: str
    default: []
requirements:
  - ruamel.yaml (Python)
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.info
notes:
  - Needs C(list) on C(helmreleases.helm.toolkit.fluxcd.io), C(get) on their source, C(list) on C(deployments) in
    istio-system and on C(networkpolicies) in all namespaces. If it may list C(secrets) in namespace zarf, of which
    it reads
    names and versions only, it knows SmoothGlue's version.
seealso:
  - module: bluegreen.mesh.bigbang_values
"""

EXAMPLES = r"""
- name: Look before deploying
  bluegreen.mesh.bigbang_info:
    kubeconfig: ~/.kube/config
    context: production
    files: [bigbang-values.yaml, bigbang-secrets.yaml]
  register: looked

- name: Stop if something stands
  ansible.builtin.assert:
    that: looked.errors == []
    fail_msg: "{{ looked.errors | map(attribute='text') | join(' ') }}"
"""

RETURN = r"""
versions:
  description: Versions of C(Big Bang), C(Istio) and C(SmoothGlue); null where it is not known or not there.
  returned: success
  type: dict
findings:
  description: Everything found that is not accepted.
  returned: success
  type: list
  elements: dict
  contains: &finding
    code:
      description: What it is.
      type: str
    severity:
      description: V(error) or V(warning).
      type: str
    object:
      description: File and line, or what it is about.
      type: str
    found:
      description: What is there.
      type: str
    fix:
      description: What to do.
      type: str
    text:
      description: All of it in one line.
      type: str
errors:
  description: Those of RV(findings) that ought to stop a deployment.
  returned: success
  type: list
  elements: dict
  contains: *finding
"""

import dataclasses

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.bluegreen.mesh.plugins.module_utils import _bigbang, _module, _values_file
from ansible_collections.bluegreen.mesh.plugins.module_utils._client import path_of


def operation(module, cluster):
    if _values_file.IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("ruamel.yaml"), exception=_values_file.IMPORT_ERROR)
    params = module.params
    files = [_values_file.ValuesFile(_values_file.read(path), path) for path in params["files"]]
    versions = _bigbang.installed(cluster, params["namespace"])
    versions["Big Bang"] = versions["Big Bang"] or params["version"]
    policies = cluster.list(path_of("networking.k8s.io/v1", "networkpolicies"))
    found = [
        *_bigbang.too_late(versions),
        *_bigbang.umbrella_suspended(_bigbang.helm_releases(cluster, params["namespace"])),
        *_bigbang.old_keys(files, params["accept"]),
        *_bigbang.closed_to_blue(policies, params["blue_namespace"]),
    ]
    findings = [{**dataclasses.asdict(f), "text": f.text} for f in found if f.code not in params["accept"]]
    return {
        "changed": False,
        "versions": versions,
        "findings": findings,
        "errors": [finding for finding in findings if finding["severity"] == _bigbang.ERROR],
    }


def main():
    _module.run(
        operation,
        {
            "files": {"type": "list", "elements": "path", "default": []},
            "namespace": {"type": "str", "default": "bigbang"},
            "blue_namespace": {"type": "str", "default": "istio-system"},
            "version": {"type": "str"},
            "accept": {"type": "list", "elements": "str", "default": []},
        },
    )


if __name__ == "__main__":
    main()
