#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_report
short_description: Writes where a migration stands, and the way back as commands for a shell
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - Reads the journal of a migration and writes the state of its phases together with a runbook, for the night on which
    Ansible is not at hand. It has kubectl and balancer commands with this cluster's names. They say where the migration
    stands, bring all traffic back to blue, and undo every step that is in force.
  - Writes it as text, as JSON and as one page of HTML. There are no secrets in it.
options:
  migration:
    description: Name of the migration.
    type: str
    required: true
  namespace:
    description: Namespace of its journal.
    type: str
    default: bluegreen-mesh
  servers:
    description: The balancer's servers, as RV(bluegreen.mesh.haproxy_weights#module:backends) has them.
    type: list
    elements: dict
    default: []
  balancer:
    description:
      - What kind of balancer it is, as C(mesh_balancer.type) says. One whose commands are not known here leaves the
        section about traffic empty.
    type: str
    default: haproxy
  green:
    description: Green's Services, as C(NAMESPACE/NAME), whose clients are waited for before green is taken away.
    type: list
    elements: str
    default: []
  dir:
    description: Folder to write to. It is made where it is missing.
    type: path
    required: true
  name:
    description: Name of the files, without C(.txt), C(.json) and C(.html).
    type: str
    required: true
attributes:
  diff_mode:
    support: none
    details: The files are made anew each time, with the time in them.
  idempotent:
    support: none
    details: The files are made anew each time, with the time in them.
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
notes:
  - Needs the verbs C(get) on Namespace C(kube-system), and on ConfigMaps and Secrets of the journal's namespace.
  - The commands need kubectl, jq, socat and a POSIX shell, and a user who may do what they do.
seealso:
  - module: bluegreen.mesh.migration_journal
"""

EXAMPLES = r"""
- name: Look at the balancer
  bluegreen.mesh.haproxy_weights:
    runtime_apis: [tcp:192.0.2.10:9999]
    backends: [https]
    blue_servers: ^blue-
    green_servers: ^green-
  register: balancer

- name: Write the runbook
  bluegreen.mesh.migration_report:
    kubeconfig: ~/.kube/config
    context: production
    migration: public-gateway
    servers: "{{ balancer.backends }}"
    green: [istio-gateway/public-ingressgateway]
    dir: reports
    name: production
"""

RETURN = r"""
report:
  description:
    - What is in the JSON file. C(phases), C(run), C(point_of_no_return), and C(sections), each with C(name), C(title) and
      C(commands). A command has C(what) it does and what to C(run), after C(preamble), in a shell.
  type: dict
  returned: success
files:
  description: What was written; in check mode, what would be.
  type: list
  elements: str
  returned: success
failure:
  description: What went wrong, C(code) for machines.
  type: dict
  returned: failure
"""

import html
import json
import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _journal, _module, runbook

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em }}
pre {{ background: #f4f4f4; padding: .6em; overflow-x: auto }}
td, th {{ text-align: left; padding: .2em 1em .2em 0 }}
</style>
<h1>{title}</h1>
{body}
"""


def operation(module: AnsibleModule, cluster: _client.Cluster) -> dict[str, t.Any]:
    params = module.params
    store = _journal.Store(cluster, params["namespace"], params["migration"])
    state = store.read()
    steps = _journal.to_undo(state, _journal.PHASES[0]) if state else []
    undo = [store.told(step) for step in steps]
    book = runbook.Book(params["migration"], params["namespace"])
    known = state or _journal.State()
    report = {
        "migration": params["migration"],
        "context": cluster.context,
        "cluster": store.uid(),
        "made_at": _journal.now(),
        "phases": known.phases,
        "run": known.run,
        "point_of_no_return": known.facts.get("point_of_no_return"),
        "preamble": runbook.preamble(params["kubeconfig"], cluster.context),
        "sections": runbook.sections(book, known.phases, undo, params["servers"], params["balancer"], params["green"]),
    }
    base = os.path.join(params["dir"], params["name"])
    texts = {
        f"{base}.txt": runbook.render(report),
        f"{base}.json": json.dumps(report, indent=1) + "\n",
        f"{base}.html": page(report),
    }
    if not module.check_mode:
        os.makedirs(params["dir"], exist_ok=True)
        for path, text in texts.items():
            with tempfile.NamedTemporaryFile("w", dir=params["dir"], delete=False, encoding="utf-8") as file:
                file.write(text)
            module.atomic_move(file.name, path)
    return {"changed": True, "report": report, "files": list(texts)}


def page(report: dict[str, t.Any]) -> str:
    """The report as one page that needs nothing else."""
    said = html.escape
    rows = [
        f"<tr><td>{said(name)}<td>{said(phase['state'])}<td>{said(phase['at'])}<td>{phase['epoch']}"
        for name, phase in report["phases"].items()
    ]
    parts = [
        f"<p>Cluster {said(report['context'])} (kube-system {said(report['cluster'])}), {said(report['made_at'])}.",
        f"<p><strong>The point of no return is passed: {said(str(report['point_of_no_return']))}</strong>"
        if report["point_of_no_return"]
        else "",
        "<table><tr><th>phase<th>state<th>since<th>epoch" + "\n".join(rows) + "</table>",
        f"<p>First of all:<pre>{said(report['preamble'])}</pre>",
    ]
    for section in report["sections"]:
        parts.append(f"<h2>{said(section['title'])}</h2>")
        parts += [f"<p>{said(c['what'])}<pre>{said(c['run'])}</pre>" for c in section["commands"]] or ["<p>Nothing to do."]
    title = said(f"Runbook of migration {report['migration']}")
    return PAGE.format(title=title, body="\n".join(parts))


def main() -> None:
    _module.run(
        operation,
        {
            "migration": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "bluegreen-mesh"},
            "servers": {"type": "list", "elements": "dict", "default": []},
            "balancer": {"type": "str", "default": "haproxy"},
            "green": {"type": "list", "elements": "str", "default": []},
            "dir": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
        },
    )


if __name__ == "__main__":
    main()
