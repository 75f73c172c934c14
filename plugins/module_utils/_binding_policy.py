# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration's binding policy: written, proven by dry runs, reduced, taken away. How it looks is in binding_policies.

The policy carries the rule it was made for in an annotation, so that it can be recognised, reduced and brought back
without anything else being known.
"""

from __future__ import annotations

import json
import time
import types
import typing as t

from . import _binding, _deletion_guard
from . import _virtual_services as vs
from ._client import ApiError, Cluster, path_of
from ._journal import NAME, Journal
from ._module import Refusal
from ._resources import Ref, Resources
from .binding_policies import STRATEGIES, choose

RULE = "bluegreen.mesh/binding"  # on our objects: the rule, as JSON
LABELS = _deletion_guard.LABELS
HOST = "proof.bluegreen-mesh.invalid"
TRIES = 5

Object = dict[str, t.Any]


def policy_name(migration: str) -> str:
    return f"bluegreen-mesh-bind-{migration}"


def written(rule: vs.Bound) -> str:
    """A rule as our annotation has it."""
    return json.dumps({"pairs": [pair._asdict() for pair in rule.pairs], "both_ways": rule.both_ways}, sort_keys=True)


def rule_of(stored: Object) -> vs.Bound | None:
    """The rule that an object of ours was made for, or None if the annotation was damaged."""
    try:
        found = json.loads((stored["metadata"].get("annotations") or {})[RULE])
        pairs = tuple(vs.Pair(pair["blue"], pair["green"]) for pair in found["pairs"])
        return vs.Bound(pairs, bool(found["both_ways"]))
    except (KeyError, TypeError, ValueError):
        return None


def holds(stored: t.Any, wanted: t.Any) -> bool:
    """Whether everything wanted is stored. What the API server or a webhook has added besides does no harm."""
    if isinstance(wanted, dict):
        return isinstance(stored, dict) and all(key in stored and holds(stored[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return isinstance(stored, list) and len(stored) == len(wanted) and all(map(holds, stored, wanted))
    return stored == wanted


def probes(rule: vs.Bound, namespace: str) -> list[Object]:
    """VirtualServices that no rule but this one makes what it makes of them: each side alone, at the top and in a
    match."""
    sides = [[pair.blue for pair in rule.pairs], [pair.green for pair in rule.pairs]]
    return [
        {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"generateName": "bluegreen-mesh-proof-", "namespace": namespace},
            "spec": {
                "hosts": [HOST], "gateways": list(names),
                "http": [{"match": [{"gateways": list(names)}], "route": [{"destination": {"host": HOST}}]}],
            },
        }
        for names in sides
    ]  # fmt: skip


# -- in the cluster --------------------------------------------------------------------------------------------------
class Policy:
    """One migration's policy. Raises ClusterError, and Refusal as its methods say."""

    def __init__(self, cluster: Cluster, migration: str, timeout: float) -> None:
        self._cluster = cluster
        self._resources = Resources(cluster)
        self._timeout = timeout
        self.name = policy_name(migration)
        self.stored: list[tuple[types.ModuleType, Object]] = []

    def read(self) -> None:
        """Everything of this name, of whatever strategy. Raises Refusal foreign_policy."""
        found: dict[str, tuple[types.ModuleType, Object]] = {}  # by uid: some kinds are served in several versions
        for strategy in STRATEGIES:
            for kind in strategy.KINDS:
                body = self._cluster.find(self._path(kind)) if self._resources.find(*kind) else None
                if body is None:
                    continue
                if not LABELS.items() <= (body["metadata"].get("labels") or {}).items():
                    raise Refusal(
                        "foreign_policy",
                        f"{kind[1]} {self.name} exists and is not ours (no label app.kubernetes.io/managed-by:"
                        " bluegreen.mesh). Remove it, or name the migration otherwise.",
                    )
                found.setdefault(body["metadata"]["uid"], (strategy, {**body, "apiVersion": kind[0], "kind": kind[1]}))
        self.stored = list(found.values())

    def current(self) -> tuple[types.ModuleType, vs.Bound] | None:
        """The strategy and the rule that are in force, or None."""
        found = [(strategy, rule_of(body)) for strategy, body in self.stored]
        return next(((strategy, rule) for strategy, rule in found if rule), None)

    def choose(self, wanted: str) -> tuple[types.ModuleType, str]:
        return choose(self._resources, wanted)

    def wanted(self, strategy: types.ModuleType, rule: vs.Bound) -> list[Object]:
        bodies = strategy.objects(self._resources, self.name, rule)
        own = {"labels": LABELS, "annotations": {RULE: written(rule)}}
        return [{**body, "metadata": {**body["metadata"], **own}} for body in bodies]

    def changes(self, wanted: list[Object]) -> tuple[list[tuple[Object | None, Object]], list[Object]]:
        """(what to write, as (stored or None, wanted); what to remove, last written first)."""
        have = {(body["apiVersion"], body["kind"]): body for _strategy, body in self.stored}
        todo = []
        for body in wanted:
            found = have.pop((body["apiVersion"], body["kind"]), None)
            parts = ("spec", "metadata")
            if found is None or not all(holds(found.get(part), body[part]) for part in parts):
                todo.append((found, body))
        return todo, list(have.values())[::-1]

    def write(self, wanted: list[Object]) -> None:
        """Raises Refusal conflict."""
        for _attempt in range(TRIES):
            try:
                for found, body in self.changes(wanted)[0]:
                    self._put(found, body)
                return
            except ApiError as exc:
                if exc.status not in (404, 409):  # Kyverno, for one, writes to its policies too
                    raise
            self.read()
        raise Refusal(
            "conflict",
            f"The policy {self.name} was changed by others during each of {TRIES} tries to write it. Is another run"
            " active?",
        )

    def _put(self, found: Object | None, body: Object) -> None:
        path = self._path((body["apiVersion"], body["kind"]))
        if found is None:
            self._cluster.create(path.rpartition("/")[0], body)
            return
        metadata = dict(found["metadata"])
        for field in ("labels", "annotations"):
            metadata[field] = {**(metadata.get(field) or {}), **body["metadata"][field]}
        self._cluster.replace(path, {**body, "metadata": metadata})

    def remove(self, bodies: list[Object]) -> None:
        for body in bodies:
            meta = body["metadata"]
            try:
                self._cluster.delete(self._path((body["apiVersion"], body["kind"])), meta.get("uid"))
            except ApiError as exc:
                if exc.status != 404:
                    raise

    def _path(self, kind: tuple[str, str]) -> str:
        return self._resources.path(Ref(*kind, "", self.name))

    def reports(self, strategy: types.ModuleType | None) -> dict[str, int]:
        """What the strategy's own reports say of this policy, as result -> how often. Empty where there are none."""
        kind = getattr(strategy, "REPORTS", None)
        found = self._resources.find(*kind) if kind else None
        counts: dict[str, int] = {}
        for report in self._cluster.list(path_of(kind[0], found[0])) if kind and found else ():
            for result in report.get("results") or ():
                if result.get("policy") == self.name:
                    counts[result.get("result", "?")] = counts.get(result.get("result", "?"), 0) + 1
        return counts

    # -- proof -------------------------------------------------------------------------------------------------------
    def prove(self, rule: vs.Bound, active: bool, api: str, bodies: list[Object]) -> list[str]:
        """Returns when the API server does exactly what the rule says (active), or nothing of it any more, with what
        would be written now. A policy takes some seconds either way. api, bodies: the VirtualServices that there are.
        Returns the verbs seen.

        Raises Refusal policy_inactive, policy_still_active.
        """
        # Where such objects are: policies of others may keep them from other namespaces.
        served = next((body for body in bodies if vs.names_any(body, rule)), None)
        namespace = served["metadata"]["namespace"] if served else rule.pairs[0].blue.partition("/")[0]
        asked: list[tuple[str, Object]] = [("create", {**body, "apiVersion": api}) for body in probes(rule, namespace)]
        changing = (body for body in bodies if vs.plan_one(body, rule).verdict == "change")
        asked += [("update", body) for body in [next(changing, None)] if body]
        deadline, pause = time.monotonic() + self._timeout, 0.1
        for verb, body in asked:
            expected = self._expected(body, rule) if active else vs.lists_of(body)
            while True:
                found = self._dry_run(api, verb, body, namespace)
                if found is None or found == expected:
                    break
                if time.monotonic() > deadline:
                    raise self._unproven(verb, body, found, expected, active)
                time.sleep(pause)
                pause = min(1.0, pause * 1.5)
        return list(dict.fromkeys(verb for verb, _body in asked))

    @staticmethod
    def _expected(body: Object, rule: vs.Bound) -> vs.Lists:
        return rule.apply(f"{body['metadata']['namespace']}/", vs.lists_of(body))

    def _dry_run(self, api: str, verb: str, body: Object, namespace: str) -> vs.Lists | None:
        """The lists that would be stored; None where the object is gone or was changed by others."""
        if verb == "create":
            return vs.lists_of(self._cluster.create(path_of(api, "virtualservices", namespace), body, dry_run=True))
        meta = body["metadata"]
        path = path_of(api, "virtualservices", meta["namespace"], meta["name"])
        try:
            return vs.lists_of(self._cluster.patch(path, vs.readmission(meta["resourceVersion"]), dry_run=True))
        except ApiError as exc:
            if exc.status not in (404, 409):
                raise
            return None

    def _unproven(self, verb: str, body: Object, found: vs.Lists, expected: vs.Lists, active: bool) -> Refusal:
        field = next(pointer for pointer in expected if found.get(pointer) != expected[pointer])
        name = vs.key_of(body) if verb == "update" else f"a VirtualService in {body['metadata']['namespace']}"
        seen = f"a dry-run {verb} of {name} still comes out with {vs.dotted(field)} {found.get(field)}"
        if active:
            hint = "Look at the policy's status, at the logs of what carries it out, and at other mutating webhooks"
            return Refusal(
                "policy_inactive",
                f"{self.name}: after {self._timeout:g} s {seen}, expected {expected[field]}. {hint}; or choose another"
                " strategy.",
                found=found, expected=expected,
            )  # fmt: skip
        return Refusal(
            "policy_still_active",
            f"{self.name} is removed, and after {self._timeout:g} s {seen}, expected {expected[field]}: something else"
            " binds VirtualServices. Look for other policies and mutating webhooks, and remove what does it.",
            found=found, expected=expected,
        )  # fmt: skip


# -- the whole -------------------------------------------------------------------------------------------------------
def operate(params: dict[str, t.Any], check_mode: bool, cluster: Cluster) -> dict[str, t.Any]:
    """What the module does; returns its result. Raises Refusal."""
    migration = params["migration"] or (params["journal"] or {}).get("name") or ""
    if not NAME.fullmatch(migration):
        raise Refusal(
            "bad_name",
            f"migration is {migration!r}; expected lower-case letters, digits and dashes, at most 40; or give journal",
        )
    pairs = _binding.pairs_of(params["pairs"] or ())
    if params["state"] == "present" and not pairs:
        raise Refusal("bad_options", "pairs is empty; name the Gateways that stand for each other.")
    journal = Journal.load(cluster, params["journal"])
    if journal and not check_mode:
        journal.check()
    policy = Policy(cluster, migration, params["timeout"])
    if params["state"] == "chosen":
        strategy, reason = policy.choose(params["strategy"])
        return {"changed": False, "strategy": strategy.NAME, "reason": reason, "objects": []}
    policy.read()
    current = policy.current()
    api, bodies = _binding.read_all(cluster)
    if params["state"] == "present":
        strategy, reason = policy.choose(params["strategy"])
        rule: vs.Bound | None = vs.Bound(pairs, params["both_ways"])
        _binding.check_gateways(cluster, api, rule)
    elif params["state"] == "reduced" and current:
        strategy, reason = current[0], "it is the one in force"
        rule = vs.Bound(current[1].pairs, both_ways=False)
    else:
        strategy, reason, rule = None, "nothing is to be bound any more", None
    wanted = policy.wanted(strategy, rule) if strategy and rule else []
    todo, gone = policy.changes(wanted)
    if params["state"] == "reduced" and not current:
        gone = []
    result = {
        "changed": bool(todo or gone), "strategy": strategy.NAME if strategy else None, "reason": reason,
        "objects": [{"kind": body["kind"], "name": policy.name} for body in wanted], "manifests": wanted, "proven": [],
        "reports": policy.reports(strategy), "diff": _diff(policy.stored, wanted, todo, gone),
    }  # fmt: skip
    if check_mode:
        return result
    if params["written_by"] == "others":
        _refuse_unlike(policy.name, todo, gone)
        removed = vs.Bound(pairs, params["both_ways"]) if pairs and params["state"] == "absent" else None
        asked = rule if wanted else removed
        return {**result, "proven": policy.prove(asked, bool(wanted), api, bodies) if asked else []}
    step = ""
    if journal and (todo or gone):
        step = journal.record("binding_policy", policy.name, _inverse(migration, current))
    policy.write(wanted)
    if wanted and rule:
        result["proven"] = policy.prove(rule, True, api, bodies)
    policy.remove(gone)
    if gone and not wanted and current:
        result["proven"] = policy.prove(current[1], False, api, bodies)
    if journal and step:
        journal.done(step)
    return result


def _refuse_unlike(name: str, todo: list[tuple[Object | None, Object]], gone: list[Object]) -> None:
    """Raises Refusal not_as_written: others are to write the policy, and it is not what we would make of it."""
    wrong = [f"{body['kind']} {'is not as it should be' if found else 'is not there'}" for found, body in todo]
    wrong += [f"{body['kind']} is still there" for body in gone]
    if wrong:
        raise Refusal(
            "not_as_written",
            f"{name}: {', '.join(wrong)}, and others write it (written_by). See what applies it; nothing was changed.",
        )


def _inverse(migration: str, current: tuple[types.ModuleType, vs.Bound] | None) -> dict[str, t.Any]:
    """What brings the policy back that was in force. Where there was none, its removal comes before everything else
    of its phase is undone: it would bind again what is being put back."""
    if current is None:
        return {"module": "binding_policy", "params": {"state": "absent", "migration": migration}, "first": True}
    strategy, rule = current
    params = {"state": "present", "migration": migration, "strategy": strategy.NAME, **json.loads(written(rule))}
    return {"module": "binding_policy", "params": params}


def _diff(
    stored: list[tuple[types.ModuleType, Object]], wanted: list[Object],
    todo: list[tuple[Object | None, Object]], gone: list[Object],
) -> dict[str, t.Any]:  # fmt: skip
    changed = {(body["apiVersion"], body["kind"]) for body in [*(body for _found, body in todo), *gone]}
    sides = {"before": [body for _strategy, body in stored], "after": wanted}
    return {
        side: {
            f"{body['kind']} {body['metadata']['name']}": {
                "rule": (body["metadata"].get("annotations") or {}).get(RULE), "spec": body.get("spec")
            }
            for body in bodies if (body["apiVersion"], body["kind"]) in changed
        }
        for side, bodies in sides.items()
    }  # fmt: skip
