# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The durable record of a migration: which run writes, which phases are done, and how to undo each step.

It is one ConfigMap a migration, in the cluster that is migrated, so that it is found by whoever runs next, wherever
they run. Ansible can't renew a lease between tasks; writers are fenced instead: each run takes the next epoch, and
every write is conditional on the resourceVersion of a state in which that epoch was still the newest.

    data:
      epoch: "3"
      run: {"id", "operator", "host", "started", "ticket", "job", "state": active|closed}, the newest
    runs: [{"epoch", "id", "operator", "host", "started", "ticket", "job"}], the last RUNS_LIMIT: who took which epoch
      cluster: UID of kube-system
      phases: {PHASE: {"state": started|done|undone, "epoch", "at"}}
      steps: [{"id", "phase", "op", "key", "inverse", "state": recorded|done|undone, "at", "epoch", "backup", "secret",
            "first"}]
      facts: {small values}

An inverse that is secret or large is in the Secret that the step's `backup` names. Of a secret one its module is known
here, which reads the params from there.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import gzip
import json
import re
import secrets
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._client import ApiError, Cluster, path_of
from ._module import Refusal, connect

PHASES = ("preflight", "plan", "keep", "bind", "deploy", "verify", "cutover", "soak", "unbind", "cleanup")
ROLLBACK = "rollback"  # as a phase of the `journal` option: fenced like any other, but what it does is not recorded
LABELS = {"app.kubernetes.io/managed-by": "bluegreen.mesh"}
JOURNAL_LABEL = "bluegreen.mesh/journal"
TRIES = 5  # of one conditional write, each from a fresh read
INVERSE_LIMIT = 64 * 1024  # bytes of an inverse that may stay in the ConfigMap
JOURNAL_LIMIT = 900 * 1000  # bytes of the ConfigMap's data; the API server refuses more than 1 MiB (1,048,576)
RUNS_LIMIT = 50  # runs that are remembered
FACTS_LIMIT = 32 * 1024  # bytes of all facts together
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")  # an RFC 1123 label, with room for -backup-ID


@dataclasses.dataclass
class State:
    """A journal's content, decoded. The functions below change it in place; Store writes it back."""

    epoch: int = 0
    run: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    cluster: str = ""
    phases: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    steps: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    runs: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)

    @classmethod
    def parse(cls, data: dict[str, str]) -> State:
        """Raises ValueError for data that no version of ours wrote."""
        state = cls(
            epoch=int(data["epoch"]), cluster=data["cluster"], runs=json.loads(data.get("runs") or "[]"),
            **{name: json.loads(data[name]) for name in ("run", "phases", "steps", "facts")},
        )  # fmt: skip
        for name, kind in (("run", dict), ("phases", dict), ("steps", list), ("facts", dict), ("runs", list)):
            if not isinstance(getattr(state, name), kind):
                raise ValueError(f"{name} is not a {kind.__name__}")
        return state

    def dump(self) -> dict[str, str]:
        values = {"run": self.run, "phases": self.phases, "steps": self.steps, "facts": self.facts}
        values["runs"] = self.runs
        data = {name: json.dumps(value, separators=(",", ":")) for name, value in values.items()}
        return {"epoch": str(self.epoch), "cluster": self.cluster, **data}


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def who(run: dict[str, t.Any]) -> str:
    """A run in words."""
    more = "".join(f", {name} {run[name]}" for name in ("ticket", "job") if run.get(name))
    return f"run {run.get('id', '?')} of {run.get('operator', '?')} on {run.get('host', '?')}{more}"


# -- rules, over plain state -----------------------------------------------------------------------------------------
def fence(state: State, epoch: int, where: str) -> None:
    """Raises Refusal (stale_epoch, unknown_epoch, run_closed) unless `epoch` is the one that may write now."""
    if epoch < state.epoch:
        raise Refusal(
            "stale_epoch",
            f"{who(state.run)} (epoch {state.epoch}) took over journal {where} at {state.run.get('started', '?')}. This"
            f" run holds epoch {epoch}, so it stops here. To go on with this one instead, start it again with"
            " -e mesh_takeover=true (takeover=true of migration_journal).",
            epoch=epoch, newest=state.epoch, run=state.run,
        )  # fmt: skip
    if epoch > state.epoch:
        raise Refusal(
            "unknown_epoch",
            f"Journal {where} is at epoch {state.epoch} and never gave out epoch {epoch}. It was made anew, or this is"
            " the journal of another migration: open it again.",
            epoch=epoch, newest=state.epoch,
        )  # fmt: skip
    if state.run.get("state") == "closed":
        raise Refusal(
            "run_closed",
            f"{who(state.run)} (epoch {epoch}) closed journal {where} at {state.run.get('closed', '?')}. Open it again"
            " before changing anything more.",
            epoch=epoch, run=state.run,
        )  # fmt: skip


def take(state: State, run: dict[str, t.Any], takeover: bool, where: str) -> None:
    """Gives `run` the next epoch. Raises Refusal run_active when another run has not closed the journal."""
    holder = state.run
    if holder and holder.get("state") != "closed" and holder.get("id") != run["id"] and not takeover:
        raise Refusal(
            "run_active",
            f"{who(holder)} (epoch {state.epoch}) opened journal {where} at {holder.get('started', '?')} and has not"
            " closed it: it is still running, or it was killed. If it is gone, or must stop now, take over explicitly"
            " with -e mesh_takeover=true (takeover=true of migration_journal); it can then change nothing more.",
            epoch=state.epoch, run=holder,
        )  # fmt: skip
    state.epoch += 1
    state.runs = [*state.runs, {"epoch": state.epoch, **run}][-RUNS_LIMIT:]
    state.run = {**run, "state": "active"}


def set_phase(state: State, phase: str, to: str, epoch: int) -> None:
    """to: started, done or undone. A phase that is done stays done when it is started again and changes nothing: only
    a recorded step makes it `started` (see add_step), so that a repeated run leaves the journal as it is."""
    have = state.phases.get(phase, {}).get("state")
    if have == to or (have == "done" and to == "started"):
        return
    state.phases[phase] = {"state": to, "epoch": epoch, "at": now()}


def unmet(state: State | None, required: t.Iterable[str]) -> dict[str, str]:
    """Required phases that are not done, with what is known about each."""
    missing = {}
    for phase in required:
        have = state.phases.get(phase) if state else None
        if not have:
            missing[phase] = "it has not been run"
        elif have["state"] == "started":
            missing[phase] = f"it was started at {have['at']} (epoch {have['epoch']}) and did not finish"
        elif have["state"] == "undone":
            missing[phase] = f"it was rolled back at {have['at']}"
    return missing


def refuse_unmet(missing: dict[str, str], where: str) -> None:
    if missing:
        first = min(missing, key=PHASES.index)
        reasons = "; ".join(f"{phase}: {why}" for phase, why in missing.items())
        raise Refusal(
            "phase_missing",
            f"Not done according to journal {where}: {reasons}. Run migrate.yml with -t {first} first.",
            missing=missing,
        )


def find_step(state: State, phase: str, op: str, key: str) -> dict[str, t.Any] | None:
    """The step that is in force for this, if one is."""
    for step in state.steps:
        if (step["phase"], step["op"], step["key"]) == (phase, op, key) and step["state"] != "undone":
            return step
    return None


def add_step(state: State, step: dict[str, t.Any]) -> None:
    """Appends a new step and marks its phase as started: the phase is not done any more, or not yet."""
    state.steps.append(step)
    if state.phases.get(step["phase"], {}).get("state") != "started":
        state.phases[step["phase"]] = {"state": "started", "epoch": step["epoch"], "at": step["at"]}


def set_steps(state: State, ids: t.Iterable[str], to: str, where: str) -> None:
    """Raises Refusal unknown_step, before anything is changed."""
    known = {step["id"]: step for step in state.steps}
    ids = list(ids)
    for step_id in ids:
        if step_id not in known:
            steps = ", ".join(known) or "none"
            raise Refusal("unknown_step", f"Journal {where} has no step {step_id!r}. It has: {steps}.")
    for step_id in ids:
        known[step_id]["state"] = to


def merge_facts(state: State, facts: dict[str, t.Any], where: str) -> None:
    """Top-level values replace what is there; None removes. Raises Refusal facts_too_big."""
    merged = {k: v for k, v in {**state.facts, **facts}.items() if v is not None}
    size = len(json.dumps(merged))
    if size > FACTS_LIMIT:
        raise Refusal(
            "facts_too_big",
            f"The facts of journal {where} would be {size} bytes; at most {FACTS_LIMIT} are kept there. Largest:"
            f" {max(merged, key=lambda k: len(json.dumps(merged[k])))}.",
        )
    state.facts = merged


def to_undo(state: State, phase: str) -> list[dict[str, t.Any]]:
    """Steps in force of `phase` and every later phase, newest first; but what says so before all others of its phase."""
    concerned = set(PHASES[PHASES.index(phase) :])
    steps = [step for step in reversed(state.steps) if step["phase"] in concerned and step["state"] != "undone"]
    for step in [step for step in steps if step.get("first")]:
        at = next(i for i, other in enumerate(steps) if other["phase"] == step["phase"])
        steps.insert(at, steps.pop(steps.index(step)))
    return steps


def prune(state: State) -> int:
    """Drops the oldest undone steps while the journal is over its limit; returns its size in bytes then."""
    size = sum(len(value) for value in state.dump().values())
    for step in [s for s in state.steps if s["state"] == "undone"]:
        if size <= JOURNAL_LIMIT:
            break
        state.steps.remove(step)
        size -= len(json.dumps(step, separators=(",", ":"))) + 1
    return size


# -- in the cluster --------------------------------------------------------------------------------------------------
class Store:
    """Reads and conditionally writes one journal. Raises ClusterError, and Refusal as its methods say."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        if not NAME.fullmatch(name):
            raise Refusal(
                "bad_name",
                f"Journal name {name!r}: expected lower-case letters, digits and dashes, at most 40, starting and"
                " ending with a letter or digit.",
            )
        self.cluster = cluster
        self.namespace = namespace
        self.name = name
        self.where = f"{namespace}/{name}"
        self._path = path_of("v1", "configmaps", namespace, name)
        self._data: dict[str, str] | None = None
        self._version = ""
        self._uid = ""

    def read(self) -> State | None:
        """The state now, or None where there is no journal. Raises Refusal (not_a_journal, wrong_cluster)."""
        body = self.cluster.find(self._path)
        if body is None:
            self._data = None
            return None
        if not LABELS.items() <= (body["metadata"].get("labels") or {}).items():
            raise Refusal(
                "not_a_journal",
                f"ConfigMap {self.where} exists and is not a journal (no label app.kubernetes.io/managed-by:"
                " bluegreen.mesh). Choose another name for the migration.",
            )
        state = self._remember(body)
        if state.cluster != self.uid():
            raise Refusal(
                "wrong_cluster",
                f"Journal {self.where} belongs to the cluster whose kube-system has UID {state.cluster}; that of"
                f" context {self.cluster.context} has {self.uid()}. Check kubeconfig and context; a journal that came"
                " with a restored backup must be removed.",
                found=self.uid(), expected=state.cluster,
            )  # fmt: skip
        return state

    def existing(self) -> State:
        """The state now. Raises Refusal no_journal."""
        state = self.read()
        if state is None:
            raise Refusal(
                "no_journal",
                f"There is no journal {self.where} in the cluster of context {self.cluster.context}. Open it with"
                " migration_journal, state=open (migrate.yml does); without it nothing can be rolled back.",
            )
        return state

    def uid(self) -> str:
        self._uid = self._uid or self.cluster.uid()
        return self._uid

    def update(self, change: t.Callable[[State], t.Any], fresh: bool = False) -> t.Any:
        """Applies change(state) and writes what differs, if the journal is still as it was read; else again from a
        fresh read. Returns what `change` returned. Raises Refusal conflict after TRIES tries."""
        for attempt in range(TRIES):
            state = self.existing() if fresh or attempt or self._data is None else State.parse(self._data)
            result = change(state)
            if self._write(state):
                return result
        raise self.conflict()

    def open(self, change: t.Callable[[State], t.Any]) -> t.Any:
        """update() that makes the namespace and the ConfigMap where there are none."""
        for _attempt in range(TRIES):
            state = self.read()
            if state is not None:
                result = change(state)
                if self._write(state):
                    return result
                continue
            state = State(cluster=self.uid())
            result = change(state)
            if self._create(state):
                return result
        raise self.conflict()

    def backup(self, step: dict[str, t.Any]) -> dict[str, bytes]:
        """What a step's backup Secret holds. Raises Refusal backup_missing."""
        secret = self.cluster.find(path_of("v1", "secrets", self.namespace, step["backup"]))
        if secret is None:
            raise Refusal(
                "backup_missing",
                f"Step {step['id']} ({step['op']} {step['key']}) keeps its inverse in Secret"
                f" {self.namespace}/{step['backup']}, and that is gone. Undo this step by hand.",
            )
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    def inverse(self, step: dict[str, t.Any]) -> dict[str, t.Any]:
        """A step's inverse, wherever it is kept. May hold secrets when the step says so."""
        if (step.get("inverse") or {}).get("params") is not None:
            return step["inverse"]
        return json.loads(gzip.decompress(self.backup(step)["inverse.json.gz"]))

    def told(self, step: dict[str, t.Any]) -> dict[str, t.Any]:
        """A step with its inverse, as it may be returned and shown: params that are secret are None."""
        return step if step.get("secret") else {**step, "inverse": self.inverse(step)}

    def save_backup(self, step_id: str, content: dict[str, str | bytes]) -> str:
        """Writes NAME-backup-ID and returns its name. No label but ours: Helm takes a Secret with its own labels for a
        revision of a release."""
        name = f"{self.name}-backup-{step_id}"
        data = {k: base64.b64encode(v.encode() if isinstance(v, str) else v).decode() for k, v in content.items()}
        metadata = {"name": name, "namespace": self.namespace, "labels": {**LABELS, JOURNAL_LABEL: self.name}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        try:
            self.cluster.create(path_of("v1", "secrets", self.namespace), body)
        except ApiError as exc:
            if exc.status != 409:  # ids are random, so what is there is from our own request, whose answer was lost
                raise
        return name

    def _remember(self, body: dict[str, t.Any]) -> State:
        data = body.get("data") or {}
        try:
            state = State.parse(data)
        except (KeyError, ValueError) as exc:
            raise Refusal(
                "journal_damaged",
                f"ConfigMap {self.where} can't be understood as a journal ({type(exc).__name__}: {exc}). Restore it, or"
                " remove it and give up rolling back what it recorded.",
            ) from exc
        self._data, self._version = data, body["metadata"]["resourceVersion"]
        return state

    def _write(self, state: State) -> bool:
        """True when stored (or nothing to store), False when someone else wrote meanwhile."""
        if prune(state) > JOURNAL_LIMIT:
            raise Refusal(
                "journal_full",
                f"Journal {self.where} would be larger than {JOURNAL_LIMIT} bytes with {len(state.steps)} steps, none"
                " of which may be forgotten.",
            )
        old = self._data or {}
        data = {key: value for key, value in state.dump().items() if old.get(key) != value}
        if not data:
            return True
        try:
            body = self.cluster.patch(self._path, {"metadata": {"resourceVersion": self._version}, "data": data})
        except ApiError as exc:
            if exc.status not in (404, 409):
                raise
            return False
        self._remember(body)
        return True

    def _create(self, state: State) -> bool:
        metadata = {"name": self.name, "namespace": self.namespace, "labels": LABELS}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": state.dump()}
        for _attempt in range(2):
            try:
                self._remember(self.cluster.create(path_of("v1", "configmaps", self.namespace), body))
                return True
            except ApiError as exc:
                if exc.status == 409:
                    return False
                if exc.status != 404:
                    raise
            metadata = {"name": self.namespace, "labels": LABELS}
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
            try:
                self.cluster.create(path_of("v1", "namespaces"), namespace)
            except ApiError as exc:
                if exc.status != 409:
                    raise
        return False

    def conflict(self) -> Refusal:
        return Refusal(
            "conflict",
            f"Journal {self.where} was changed by others during each of {TRIES} tries to write it. Is another run"
            " active?",
        )


class Journal:
    """A run's place in the journal: what mutating modules use.

    journal = Journal.load(cluster, module.params["journal"])
    if journal and not module.check_mode:
        step = journal.record("op", "object", {"module": "our_module", "params": {...}})   # before acting
        ...act, with journal.check() again between long batches...
        journal.done(step)
    """

    def __init__(self, store: Store, epoch: int, phase: str) -> None:
        self.store = store
        self.epoch = epoch
        self.phase = phase
        self._read = False

    @classmethod
    def load(cls, cluster: Cluster, params: dict[str, t.Any] | None) -> Journal | None:
        """params: the `journal` option, or None. Asks the cluster nothing yet, so it is safe in check mode, where the
        journal may not exist. Raises Refusal (bad_name, unknown_phase)."""
        if params is None:
            return None
        if params["phase"] not in (*PHASES, ROLLBACK):
            raise Refusal(
                "unknown_phase",
                f"journal.phase is {params['phase']!r}; expected one of {', '.join((*PHASES, ROLLBACK))}.",
            )
        return cls(Store(cluster, params["namespace"], params["name"]), params["epoch"], params["phase"])

    @classmethod
    def of(cls, module: AnsibleModule) -> Journal | None:
        """For a module that needs the cluster for its journal only, and so connects for that alone."""
        return cls.load(connect(module), module.params["journal"]) if module.params["journal"] else None

    def check(self) -> None:
        """Reads the journal anew. Raises Refusal when this run may not write any more (see fence) or there is none."""
        fence(self.store.existing(), self.epoch, self.store.where)
        self._read = True

    def record(
        self, op: str, key: str, inverse: dict[str, t.Any], secret: bool = False,
        backup: dict[str, str | bytes] | None = None,
    ) -> str:  # fmt: skip
        """Writes down, before the act, how to undo it; returns the step's id for done().

        inverse: {"module": short name, "params": {...}}, and "first": True if it must be carried out before those of
        all other steps of its phase. secret: keep it out of the ConfigMap. backup: more to keep in
        the step's Secret, by key. The same (phase, op, key) in force already keeps its first inverse: a repeated run
        would record a state that is already changed. In phase `rollback` nothing is recorded and the id is "".
        """
        return self.record_all([(op, key, inverse, secret, backup)])[0]

    def record_all(self, steps: t.Sequence[tuple[t.Any, ...]]) -> list[str]:
        """record() for several steps in one write; each is (op, key, inverse, secret, backup)."""
        if not self._read or self.phase == ROLLBACK:
            self.check()
        if self.phase == ROLLBACK:
            return [""] * len(steps)
        ids = [new_id(self.epoch) for _step in steps]
        saved: dict[str, str] = {}

        def change(state: State) -> list[str]:
            fence(state, self.epoch, self.store.where)
            return [self.put(state, step_id, *step, saved=saved) for step_id, step in zip(ids, steps)]

        return self.store.update(change)

    def done(self, *step_ids: str) -> None:
        """Marks steps as carried out. A step that has been undone since is left alone."""
        wanted = [step_id for step_id in step_ids if step_id]

        def change(state: State) -> None:
            fence(state, self.epoch, self.store.where)
            undone = {step["id"] for step in state.steps if step["state"] == "undone"}
            set_steps(state, [step_id for step_id in wanted if step_id not in undone], "done", self.store.where)

        if wanted:
            self.store.update(change)

    def taken_back(self, op: str, key: str) -> None:
        """Marks the step in force for this as undone: whoever made it has taken it back."""

        def change(state: State) -> None:
            fence(state, self.epoch, self.store.where)
            step = find_step(state, self.phase, op, key)
            set_steps(state, [step["id"]] if step else [], "undone", self.store.where)

        if self.phase != ROLLBACK:
            self.store.update(change)

    def settle(self, step_ids: t.Sequence[str], steps: t.Sequence[tuple[t.Any, ...]]) -> None:
        """Puts steps that are done, as for record_all(), in the place of recorded ones: it came out differently."""
        ids = [new_id(self.epoch) for _step in steps]
        saved: dict[str, str] = {}

        def change(state: State) -> None:
            fence(state, self.epoch, self.store.where)
            set_steps(state, [step_id for step_id in step_ids if step_id], "undone", self.store.where)
            new = [self.put(state, step_id, *step, saved=saved) for step_id, step in zip(ids, steps)]
            set_steps(state, new, "done", self.store.where)

        if self.phase != ROLLBACK:
            self.store.update(change)

    def put(
        self, state: State, step_id: str, op: str, key: str, inverse: dict[str, t.Any], secret: bool = False,
        backup: dict[str, t.Any] | None = None, saved: dict[str, str] | None = None,
    ) -> str:  # fmt: skip
        """Adds a step to `state` unless it is in force already; returns the id in force.

        What must not be in the ConfigMap is written to the step's Secret now. saved: Secrets that earlier tries of
        the same write have made, by step id.
        """
        known = find_step(state, self.phase, op, key)
        if known:
            return known["id"]
        saved = {} if saved is None else saved
        step: dict[str, t.Any] = {
            "id": step_id, "phase": self.phase, "op": op, "key": key, "inverse": inverse, "state": "recorded",
            "at": now(), "epoch": self.epoch,
        }  # fmt: skip
        content = dict(backup or {})
        text = json.dumps(inverse, separators=(",", ":"))
        room = JOURNAL_LIMIT - 1024 - sum(len(value) for value in state.dump().values())  # 1024: the rest of the step
        if secret or len(text) > min(INVERSE_LIMIT, room):
            step["inverse"] = {"module": inverse["module"], "params": None} if secret else None
            content["inverse.json.gz"] = gzip.compress(text.encode(), mtime=0)
        if secret:
            step["secret"] = True
        if inverse.get("first"):
            step["first"] = True
        if content:
            if step_id not in saved:
                saved[step_id] = self.store.save_backup(step_id, content)
            step["backup"] = saved[step_id]
        add_step(state, step)
        return step_id


def new_id(epoch: int) -> str:
    """A step's id. Random, so that two runs that race for the journal never share a backup Secret."""
    return f"{epoch}-{secrets.token_hex(4)}"
