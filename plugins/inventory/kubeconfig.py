# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: kubeconfig
short_description: The contexts of kubeconfig files as hosts, one for each cluster
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads one kubeconfig file or several, and makes one host of each context, with the variables C(mesh_kubeconfig),
    C(mesh_context), C(ansible_connection) and C(ansible_python_interpreter). No cluster is asked.
  - Only names are taken from the files. No token, key or address gets into a variable.
  - The name of the inventory file has to end in C(kubeconfig.yml) or C(kubeconfig.yaml).
options:
  plugin:
    description: The plugin's name, by which Ansible knows whose file this is.
    type: str
    required: true
    choices: [bluegreen.mesh.kubeconfig]
  kubeconfig:
    description:
      - A file, or a list of files. A string may join several, as C(KUBECONFIG) does. A relative path is one from the
        inventory file's folder.
      - Each file is looked at by itself, and has to hold all that its contexts name.
    type: raw
    required: true
    env:
      - name: K8S_AUTH_KUBECONFIG
  contexts:
    description: A regular expression that is looked for in the name of each context. Those without it are left out.
    type: str
    default: ""
  names:
    description:
      - What contexts are called as hosts, by their names in the files. If not given, by their own.
      - A host's name may have letters, digits and C(_.@+=-). Contexts that have others in their names, such as those
        that EKS makes, need an entry.
    type: dict
    default: {}
  group:
    description: The group that all these hosts are in. The playbooks run for C(clusters).
    type: str
    default: clusters
extends_documentation_fragment:
  - constructed
notes:
  - Ansible goes on without an inventory that can't be read, and only warns. E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED)
    set to V(true) makes that an error.
"""

EXAMPLES = r"""
# clusters.kubeconfig.yml; settings are in group_vars and host_vars beside it, as for any inventory.
plugin: bluegreen.mesh.kubeconfig
kubeconfig: ~/.kube/config
---
# Those of production alone, by shorter names, and a group for each region.
plugin: bluegreen.mesh.kubeconfig
kubeconfig: [files/eu.kubeconfig, files/us.kubeconfig]
contexts: ^arn:.*/prod-
names:
  arn:aws:eks:eu-central-1:111122223333:cluster/prod-eu: prod-eu
  arn:aws:eks:us-east-1:111122223333:cluster/prod-us: prod-us
keyed_groups:
  - {key: inventory_hostname.split('-') | last, prefix: region}
groups:
  production: inventory_hostname.startswith('prod-')
"""

import os

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.template import trust_as_template
from ansible.utils.path import unfrackpath
from ansible_collections.bluegreen.mesh.plugins.module_utils import _kubeconfig, _module

ENDINGS = ("kubeconfig.yml", "kubeconfig.yaml")
LOCAL = {
    "ansible_connection": "local",
    "ansible_python_interpreter": trust_as_template("{{ ansible_playbook_python }}"),
}


def paths(given, folder):
    """Each file, as an absolute path. What is none is not shown: it may be what belongs into the file."""
    words = given.split(os.pathsep) if isinstance(given, str) else given
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w and "\n" not in w for w in words):
        raise _module.Refusal("bad_option", "kubeconfig: expected the path of a file, or a list of paths.")
    return list(dict.fromkeys(unfrackpath(word, follow=False, basedir=folder) for word in words))


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        raise _module.Refusal(
            "missing_kubeconfig", f"kubeconfig {path} does not exist. Correct the option kubeconfig, or write the file."
        ) from None
    except (OSError, UnicodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not text"
        raise _module.Refusal("unreadable", f"kubeconfig {path} can't be read: {reason}.") from None


class InventoryModule(BaseInventoryPlugin, Constructable):
    NAME = "bluegreen.mesh.kubeconfig"

    def verify_file(self, path):
        return super().verify_file(path) and path.endswith(ENDINGS)

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            files = paths(self.get_option("kubeconfig"), os.path.dirname(os.path.abspath(path)))
            found = {file: _kubeconfig.contexts(read(file), file) for file in files}
            hosts = _kubeconfig.hosts(found, self.get_option("contexts"), self.get_option("names"))
        except _module.Refusal as refusal:
            raise AnsibleParserError(f"{path}: {refusal}") from refusal
        group = self.inventory.add_group(self.get_option("group"))
        for host in hosts:
            self._add(host, group)

    def _add(self, host, group):
        self.inventory.add_host(host.name, group)
        given = {"mesh_kubeconfig": host.kubeconfig, "mesh_context": host.context, **LOCAL}
        for name, value in given.items():
            self.inventory.set_variable(host.name, name, value)
        strict = self.get_option("strict")
        variables = self.inventory.get_host(host.name).get_vars()
        self._set_composite_vars(self.get_option("compose"), variables, host.name, strict)
        variables = self.inventory.get_host(host.name).get_vars()
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host.name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host.name, strict)
