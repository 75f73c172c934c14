#!/usr/bin/python
# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_journal
short_description: Keep the durable record of a migration in the cluster
version_added: 0.1.0
author: bluegreen.mesh contributors (@bluegreen-mesh)
description:
  - The journal is one ConfigMap for each migration. It says which run may write, which phases are done, and how every
    step is undone. It outlives the run, so a killed run is resumed by running it again, or rolled back by someone
    else.
  - A run opens the journal and is given an epoch. Every later write, by this module or by another one through its
    O(bluegreen.mesh.virtual_service_gateways#module:journal) option, is refused as soon as another run has taken a
    newer epoch.
  - Large inverses are kept in Secrets named after the journal, C(NAME-backup-ID).
extends_documentation_fragment:
  - bluegreen.mesh.cluster
  - bluegreen.mesh.cluster.attributes
attributes:
  idempotent:
    support: partial
    details: V(state=open) without O(epoch) takes a new epoch each time, and reports a change.
options:
  state:
    description:
      - V(read) changes nothing and returns what the journal says.
      - V(open) makes the journal where there is none, and takes the next epoch for this run.
      - V(recorded) writes O(phase_state), O(step), O(done), O(undone) and O(facts), all in one write.
      - V(closed) says that this run has ended in order. A run that was killed leaves the journal open.
      - V(restored) puts a journal that was lost back from the copy in O(src), as a closed one with a far newer epoch, so
        that no run of before can write any more.
    type: str
    choices: [read, open, recorded, closed, restored]
    default: read
  namespace:
    description: Namespace of the journal. Made by V(state=open) where there is none.
    type: str
    default: bluegreen-mesh
  name:
    description: Name of the migration. Lower-case letters, digits and dashes, at most 40.
    type: str
    required: true
  epoch:
    description:
      - The epoch that V(state=open) gave this run. Required by V(state=recorded) and V(state=closed).
      - With V(state=open), nothing is changed if it is still the newest, and the module fails if it is not.
    type: int
  run_id:
    description: With V(state=open), what this run is called. Made up from the time if not given.
    type: str
  operator:
    description: With V(state=open), who runs it. The user on the control node if not given.
    type: str
  ticket:
    description: With V(state=open), the change request that this run belongs to.
    type: str
  job:
    description: With V(state=open), the job that runs it, an AWX job number for example.
    type: str
  takeover:
    description:
      - With V(state=open), take the journal from a run that has not closed it. That run then fails at its next write.
      - Needed after a run was killed. Without it the module fails and says who has the journal since when.
    type: bool
    default: false
  phase:
    description: The phase that O(phase_state) and O(step) are about.
    type: str
    choices: [preflight, plan, keep, bind, deploy, verify, cutover, soak, unbind, cleanup]
  phase_state:
    description:
      - With V(state=recorded), what has become of O(phase).
      - V(started) leaves a phase that is done as it is, so that a repeated run changes nothing. It stops being done
        when a new step of it is recorded.
    type: str
    choices: [started, done, undone]
  require:
    description:
      - Phases that must be done. If one is not, the module fails, and names it and the tag to run.
      - In check mode it does not fail, and returns them as RV(unmet).
    type: list
    elements: str
    choices: [preflight, plan, keep, bind, deploy, verify, cutover, soak, unbind, cleanup]
    default: []
  step:
    description:
      - With V(state=recorded), how to undo what is about to be done. For what is done by modules of other collections;
        those of this collection record their own steps.
      - A step with the same O(phase), O(step.op) and O(step.key) that is in force keeps its first inverse.
      - Must hold no secrets.
    type: dict
    suboptions:
      op:
        description: What will be done, in a word.
        type: str
        required: true
      key:
        description: To which object.
        type: str
        required: true
      inverse:
        description: The module and its parameters that undo it, as C({module, params}).
        type: dict
        required: true
        suboptions:
          module:
            description: Name of the module.
            type: str
            required: true
          params:
            description: Its parameters, without kubeconfig, context and journal.
            type: dict
            required: true
  done:
    description: With V(state=recorded), ids of steps that have been carried out.
    type: list
    elements: str
    default: []
  undone:
    description: With V(state=recorded), ids of steps that have been undone.
    type: list
    elements: str
    default: []
  facts:
    description:
      - With V(state=recorded), small values to remember. Each replaces the one of that name; a null removes it.
      - V(point_of_no_return) is the one that a rollback looks at.
      - Must hold no secrets.
    type: dict
    default: {}
  backup_dir:
    description:
      - With V(state=recorded) and V(state=closed), folder on the host that Ansible runs on, for a copy of the journal and
        of the Secrets with what it keeps there. One file for each run, mode 0600, since it may hold secrets.
    type: path
  src:
    description: With V(state=restored), the copy.
    type: path
  older:
    description:
      - With V(state=restored), replace a journal that is there and has other steps than the copy. What it has beyond the
        copy is forgotten, and can't be rolled back any more.
    type: bool
    default: false
  undo_from:
    description: With V(state=read), also return RV(undo), the steps that undo this phase and all later ones.
    type: str
    choices: [preflight, plan, keep, bind, deploy, verify, cutover, soak, unbind, cleanup]
notes:
  - Needs the verbs C(get) on Namespace C(kube-system), C(get), C(create), C(patch) on ConfigMaps and C(get),
    C(create) on Secrets of the journal's namespace, and C(create) on Namespaces if that one is to be made. With
    O(backup_dir) also C(list) on these Secrets.
seealso:
  - module: bluegreen.mesh.virtual_service_gateways
"""

EXAMPLES = r"""
- name: Open the journal
  bluegreen.mesh.migration_journal:
    kubeconfig: ~/.kube/config
    context: production
    name: public-gateway
    state: open
  register: journal

- name: Note that binding starts, if preflight is done
  bluegreen.mesh.migration_journal:
    kubeconfig: ~/.kube/config
    context: production
    name: public-gateway
    epoch: "{{ journal.epoch }}"
    state: recorded
    require: [preflight]
    phase: bind
    phase_state: started

- name: List what would undo everything from binding on
  bluegreen.mesh.migration_journal:
    kubeconfig: ~/.kube/config
    context: production
    name: public-gateway
    state: read
    undo_from: bind
  register: journal

- name: Close the journal
  bluegreen.mesh.migration_journal:
    kubeconfig: ~/.kube/config
    context: production
    name: public-gateway
    epoch: "{{ journal.epoch }}"
    state: closed
"""

RETURN = r"""
exists:
  description: Whether the journal is there; in check mode, whether it was there.
  type: bool
  returned: success
epoch:
  description: The newest epoch; with V(state=open) that of this run, in check mode the one it would take. 0 without a
    journal.
  type: int
  returned: success
run:
  description: The run that has the newest epoch, with C(id), C(operator), C(host), C(started), C(ticket) and C(job)
    where they were given, and C(state), V(active) or V(closed).
  type: dict
  returned: success
runs:
  description: The last runs by C(epoch), oldest first, so that it is known who took the epoch of a step or phase.
  type: list
  elements: dict
  returned: success
cluster:
  description: UID of the cluster's C(kube-system) namespace.
  type: str
  returned: success
phases:
  description: By phase, its C(state) (V(started), V(done), V(undone)), C(epoch) and time C(at).
  type: dict
  returned: success
facts:
  description: The remembered values.
  type: dict
  returned: success
point_of_no_return:
  description: The fact of that name, or null. If it is set, a rollback is not possible any more.
  type: raw
  returned: success
steps:
  description: All steps, oldest first, without their inverses.
  type: list
  elements: dict
  returned: success
undo:
  description:
    - The steps in force of O(undo_from) and later phases, newest first, with C(inverse), C({module, params}).
    - The C(params) of a step with C(secret) are null, and its module reads them from the Secret that C(backup) names.
  type: list
  elements: dict
  returned: O(undo_from) is given
backup_file:
  description: The copy that was written.
  type: str
  returned: O(backup_dir) is given and not in check mode
step_id:
  description: Id of O(step), that of the step in force if it was recorded before. Empty in check mode when it is new.
  type: str
  returned: O(step) is given
unmet:
  description: In check mode, phases of O(require) that are not done, each with why.
  type: dict
  returned: success
failure:
  description: What went wrong, C(code) for machines, and what else is known, such as the C(run) that took over.
  type: dict
  returned: failure
"""

import getpass
import os
import platform
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bluegreen.mesh.plugins.module_utils import _client, _journal, _journal_backup, _module

SPEC = {
    "state": {"type": "str", "choices": ["read", "open", "recorded", "closed", "restored"], "default": "read"},
    "namespace": {"type": "str", "default": "bluegreen-mesh"},
    "name": {"type": "str", "required": True},
    "epoch": {"type": "int"},
    "run_id": {"type": "str"},
    "operator": {"type": "str"},
    "ticket": {"type": "str"},
    "job": {"type": "str"},
    "takeover": {"type": "bool", "default": False},
    "phase": {"type": "str", "choices": list(_journal.PHASES)},
    "phase_state": {"type": "str", "choices": ["started", "done", "undone"]},
    "require": {"type": "list", "elements": "str", "choices": list(_journal.PHASES), "default": []},
    "step": {
        "type": "dict",
        "options": {
            "op": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": False},
            "inverse": {
                "type": "dict",
                "required": True,
                "options": {
                    "module": {"type": "str", "required": True},
                    "params": {"type": "dict", "required": True},
                },
            },
        },
    },
    "done": {"type": "list", "elements": "str", "default": []},
    "undone": {"type": "list", "elements": "str", "default": []},
    "facts": {"type": "dict", "default": {}},
    "backup_dir": {"type": "path"},
    "src": {"type": "path"},
    "older": {"type": "bool", "default": False},
    "undo_from": {"type": "str", "choices": list(_journal.PHASES)},
}


ONLY_WITH = {  # options that would be ignored in another state, which nobody would notice
    "open": ("run_id", "operator", "ticket", "job", "takeover"),
    "recorded": ("phase_state", "step", "done", "undone", "facts"),
    "read": ("undo_from",),
    "restored": ("src", "older"),
}


def operate(module: AnsibleModule, cluster: _client.Cluster) -> dict[str, t.Any]:
    params, check = module.params, module.check_mode
    refuse_ignored(params)
    store = _journal.Store(cluster, params["namespace"], params["name"])
    if params["state"] == "restored":
        return restore(params, store, check)
    before = store.read()
    if params["state"] == "read":
        return read(params, store, before, check)
    change = {"open": opening, "recorded": recording, "closed": closing}[params["state"]](params, store, check)
    if check:
        after = _journal.State.parse(before.dump()) if before else _journal.State(cluster=store.uid())
        extra = change(after)
    else:
        final: list[_journal.State] = []

        def kept(state: _journal.State) -> dict[str, t.Any]:
            final.append(state)
            return change(state)

        extra = store.open(kept) if params["state"] == "open" else store.update(kept)
        after = final[-1]
    changed = before is None or before.dump() != after.dump()
    diff = {"before": view(before) if before else {}, "after": view(after)}
    if params["backup_dir"] and not check:
        extra["backup_file"] = _journal_backup.save(params["backup_dir"], _journal_backup.copy_of(store, after))
    return {"changed": changed, "exists": bool(before) or not check, **view(after), **extra, "diff": diff}


def refuse_ignored(params: dict[str, t.Any]) -> None:
    for state, options in ONLY_WITH.items():
        given = [name for name in options if params[name]]
        if given and params["state"] != state:
            raise _module.Refusal(
                "bad_options", f"{', '.join(given)}: only with state={state}, found state={params['state']}."
            )
    if params["require"] and params["state"] not in ("read", "recorded"):
        raise _module.Refusal("bad_options", f"require: only with state=read or recorded, found {params['state']}.")


def read(
    params: dict[str, t.Any], store: _journal.Store, state: _journal.State | None, check: bool
) -> dict[str, t.Any]:
    missing = _journal.unmet(state, params["require"])
    if not check:
        _journal.refuse_unmet(missing, store.where)
    result = {"changed": False, "exists": state is not None, "unmet": missing, **view(state or _journal.State())}
    if params["undo_from"]:
        state = state or store.existing()
        result["undo"] = [
            store.told(step) for step in _journal.to_undo(state, params["undo_from"])
        ]
    return result


def restore(params: dict[str, t.Any], store: _journal.Store, check: bool) -> dict[str, t.Any]:
    copy = _journal_backup.load(params["src"])
    there = store.read()
    _journal_backup.check(store, copy, there, params["older"], params["src"])
    saved = _journal.State.parse(copy["data"])
    if there and (there.steps, there.phases, there.facts) == (saved.steps, saved.phases, saved.facts):
        if not check:  # an earlier try may have been killed before
            _journal_backup.put_secrets(store, copy)
        return {"changed": False, "exists": True, **view(there)}
    after = _journal_backup.restored(copy, there, this_run(params))
    if not check:

        def change(state: _journal.State) -> None:
            if there and state.epoch != there.epoch:
                raise store.conflict()
            vars(state).update(vars(after))

        store.open(change)
        _journal_backup.put_secrets(store, copy)
    diff = {"before": view(there) if there else {}, "after": view(after)}
    return {"changed": True, "exists": bool(there) or not check, **view(after), "diff": diff}


def this_run(params: dict[str, t.Any]) -> dict[str, t.Any]:
    started = _journal.now()
    return {
        "id": params["run_id"] or f"{started}-{os.getpid()}",
        "operator": params["operator"] or getpass.getuser(),
        "host": platform.node(),
        "started": started,
        **{name: params[name] for name in ("ticket", "job") if params[name]},
    }


Change = t.Callable[[_journal.State], dict[str, t.Any]]


def opening(params: dict[str, t.Any], store: _journal.Store, _check: bool) -> Change:
    run = this_run(params)
    tried: list[int] = []

    def change(state: _journal.State) -> dict[str, t.Any]:
        if params["epoch"] is not None:
            _journal.fence(state, params["epoch"], store.where)
        elif not (tried and state.run == {**run, "state": "active"}):  # else our try had arrived
            _journal.take(state, run, params["takeover"], store.where)
            tried.append(state.epoch)
        return {}

    return change


def fence(params: dict[str, t.Any], store: _journal.Store, check: bool, state: _journal.State) -> None:
    """As _journal.fence, except that in check mode the epoch that a check-mode open announced is good."""
    if not (check and params["epoch"] == state.epoch + 1):
        _journal.fence(state, params["epoch"], store.where)


def recording(params: dict[str, t.Any], store: _journal.Store, check: bool) -> Change:
    step_id = _journal.new_id(params["epoch"])
    saved: dict[str, str] = {}

    def change(state: _journal.State) -> dict[str, t.Any]:
        fence(params, store, check, state)
        missing = _journal.unmet(state, params["require"])
        if not check:
            _journal.refuse_unmet(missing, store.where)
        extra: dict[str, t.Any] = {"unmet": missing}
        step = params["step"]
        if step:
            known = _journal.find_step(state, params["phase"], step["op"], step["key"])
            if check:
                extra["step_id"] = known["id"] if known else ""
            else:
                journal = _journal.Journal(store, params["epoch"], params["phase"])
                extra["step_id"] = journal.put(state, step_id, **step, saved=saved)
        _journal.set_steps(state, params["done"], "done", store.where)
        _journal.set_steps(state, params["undone"], "undone", store.where)
        _journal.merge_facts(state, params["facts"], store.where)
        if params["phase_state"]:
            _journal.set_phase(state, params["phase"], params["phase_state"], params["epoch"])
        return extra

    return change


def closing(params: dict[str, t.Any], store: _journal.Store, check: bool) -> Change:
    def change(state: _journal.State) -> dict[str, t.Any]:
        if state.epoch != params["epoch"] or state.run.get("state") != "closed":
            fence(params, store, check, state)
            state.run = {**state.run, "state": "closed", "closed": _journal.now()}
        return {}

    return change


def view(state: _journal.State) -> dict[str, t.Any]:
    """What is returned and shown of a journal: all but the inverses."""
    return {
        "epoch": state.epoch,
        "run": state.run,
        "runs": state.runs,
        "cluster": state.cluster,
        "phases": state.phases,
        "facts": state.facts,
        "point_of_no_return": state.facts.get("point_of_no_return"),
        "steps": [{k: v for k, v in step.items() if k != "inverse"} for step in state.steps],
    }


def main() -> None:
    _module.run(
        operate,
        SPEC,
        required_if=[
            ("state", "recorded", ("epoch",)),
            ("state", "closed", ("epoch",)),
            ("state", "restored", ("src",)),
        ],
        required_by={"phase_state": "phase", "step": "phase"},
    )


if __name__ == "__main__":
    main()
