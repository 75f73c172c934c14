# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes the gateways of many VirtualServices at once: reads, plans, journals, writes.

Requests: the paged list of VirtualServices, one list of Gateways, one PATCH for each changed object, and with a journal
four, and one more for every FENCE_EVERY writes. One more PATCH for each object whose lists were owned by server-side
apply, and one list for each kind of Argo CD's and Flux's where changed objects come from there.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import threading
import time
import typing as t

from . import _desired, sources
from . import _virtual_services as vs
from ._client import ApiError, Cluster, ClusterError, path_of
from ._give_back import give_back
from ._journal import Journal
from ._module import Refusal

API_VERSIONS = ("networking.istio.io/v1", "networking.istio.io/v1beta1")
TRIES = 5  # of one object's write, each after a fresh read
PATIENCE = 100  # repeats, of all objects together, of writes that a policy ought to have changed and did not
PAUSE = 0.2  # seconds before the first of these repeats of one object, then twice as long each time
FENCE_EVERY = 400  # writes between two looks whether this run may still write


@dataclasses.dataclass
class Selection:
    """Which VirtualServices are looked at; an empty field selects all."""

    namespaces: frozenset[str] = frozenset()
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    names: frozenset[str] = frozenset()

    def has(self, body: dict[str, t.Any]) -> bool:
        meta = body["metadata"]
        return (
            (not self.namespaces or meta["namespace"] in self.namespaces)
            and (not self.names or vs.key_of(body) in self.names)
            and self.labels.items() <= (meta.get("labels") or {}).items()
        )


# -- options ---------------------------------------------------------------------------------------------------------
def pairs_of(given: t.Sequence[dict[str, str]]) -> tuple[vs.Pair, ...]:
    """Raises Refusal (malformed_reference, bad_pairs)."""
    seen: dict[str, str] = {}
    pairs = []
    for i, pair in enumerate(given):
        for side in ("blue", "green"):
            where = f"pairs[{i}].{side}"
            gateway = pair[side]
            if not vs.NAMESPACED_NAME.fullmatch(gateway):
                raise Refusal("malformed_reference", f"{where} is {gateway!r}; expected a Gateway as NAMESPACE/NAME.")
            if gateway in seen:
                raise Refusal(
                    "bad_pairs",
                    f"{where} and {seen[gateway]} are both {gateway}; a Gateway can be in one pair, on one side.",
                )
            seen[gateway] = where
        pairs.append(vs.Pair(pair["blue"], pair["green"]))
    return tuple(pairs)


def rule_of(params: dict[str, t.Any]) -> vs.Rule:
    """The rule that the options ask for. Raises Refusal before anything has been asked of the cluster."""
    state = params["state"]
    only_with = {"from": "unbound", "restore": "restored"}
    for option, wanted in only_with.items():
        if params[option] and state != wanted:
            raise Refusal("bad_options", f"{option}: only with state={wanted}, found state={state}.")
    if params["method"] == "admission" and state != "bound":
        raise Refusal("bad_options", f"method: admission only with state=bound, found state={state}.")
    if params["bound_first"] and state != "unbound":
        raise Refusal("bad_options", f"bound_first: only with state=unbound, found state={state}.")
    if not 1 <= params["concurrency"] <= 16:
        raise Refusal("bad_options", f"concurrency is {params['concurrency']}; expected 1 to 16.")
    for option in ("pairs", "namespaces", "labels", "names", "restore"):
        if params[option] is not None and not params[option]:  # a template that came out empty must not mean "all"
            raise Refusal("bad_options", f"{option} is empty; leave it out, or name something.")
    for name in params["names"] or ():
        if not vs.NAMESPACED_NAME.fullmatch(name):
            raise Refusal("malformed_reference", f"names has {name!r}; expected a VirtualService as NAMESPACE/NAME.")
    if state == "restored":
        return vs.Restored({item["name"]: _restore(item) for item in params["restore"]})
    pairs = pairs_of(params["pairs"])
    return vs.Bound(pairs, params["both_ways"]) if state == "bound" else vs.Unbound(pairs, params["from"])


def _restore(item: dict[str, t.Any]) -> dict[str, tuple[list[str], list[str]]]:
    wanted = {}
    for pointer, change in item["lists"].items():
        known = isinstance(change, dict) and isinstance(change.get("from"), list) and isinstance(change.get("to"), list)
        if not known or not change["to"] or not pointer.startswith("/spec/"):
            raise Refusal(
                "bad_options", f"restore of {item['name']}: {pointer!r} must be a pointer with lists `from` and `to`."
            )
        wanted[pointer] = (change["from"], change["to"])
    return wanted


# -- reading ---------------------------------------------------------------------------------------------------------
def read_all(cluster: Cluster) -> tuple[str, list[dict[str, t.Any]]]:
    """(API version, all VirtualServices). Raises Refusal no_istio."""
    for api in API_VERSIONS:
        try:
            return api, cluster.list(path_of(api, "virtualservices"))
        except ApiError as exc:
            if exc.status != 404:
                raise
    raise Refusal(
        "no_istio", f"The cluster of context {cluster.context} serves no VirtualServices ({' or '.join(API_VERSIONS)})."
    )


def check_gateways(cluster: Cluster, api: str, rule: vs.Rule) -> None:
    """The gateways that must be there: blue when binding (green may come later: naming it early is harmless), the side
    that stays when unbinding. Raises Refusal no_gateway."""
    if isinstance(rule, vs.Restored):
        return
    stays = "green" if isinstance(rule, vs.Unbound) and rule.side == "blue" else "blue"
    have = [vs.key_of(body) for body in cluster.list(path_of(api, "gateways"))]
    for i, pair in enumerate(rule.pairs):
        wanted = getattr(pair, stays)
        if wanted not in have:
            name = wanted.partition("/")[2]
            near = [key for key in have if key.partition("/")[2] == name]
            near += [key for key in difflib.get_close_matches(wanted, have, 5, 0.7) if key not in near]
            raise Refusal(
                "no_gateway",
                f"pairs[{i}].{stays}: there is no Gateway {wanted} in the cluster of context {cluster.context}."
                f" {'Similar: ' + ', '.join(near) if near else 'There are: ' + (', '.join(have[:10]) or 'none')}."
                " Correct the name, or set check_gateways=false.",
                gateway=wanted, similar=near,
            )  # fmt: skip


def make_plans(
    bodies: list[dict[str, t.Any]], rule: vs.Rule, selection: Selection, delegates: bool, missing_fails: bool
) -> dict[str, vs.Plan]:
    """Plans of the selected objects by key, and of their delegates if wanted. Raises Refusal no_virtual_service."""
    chosen = {vs.key_of(body) for body in bodies if selection.has(body)}
    missing = sorted(selection.names - chosen) if selection.names else []
    if missing and missing_fails:
        near = difflib.get_close_matches(missing[0], [vs.key_of(body) for body in bodies], 5, 0.7)
        raise Refusal(
            "no_virtual_service",
            "names: not there, or not in the namespaces and with the labels that are asked for:"
            f" {', '.join(missing[:10])}." + (f" Similar to the first: {', '.join(near)}." if near else ""),
            missing=missing,
        )
    roots: dict[str, set[str]] = {}
    for body in bodies:
        for delegate in vs.delegates_of(body):
            roots.setdefault(delegate, set()).add(vs.key_of(body))
    gone = {name: vs.Plan(name, "", False, {}, {}, "skipped", "there is no such VirtualService") for name in missing}
    if not delegates:
        return {vs.key_of(body): vs.plan_one(body, rule) for body in bodies if vs.key_of(body) in chosen} | gone
    chosen |= {delegate for delegate, own_roots in roots.items() if own_roots & chosen}
    plans = {vs.key_of(body): vs.plan_one(body, rule) for body in bodies}
    vs.couple(plans, roots, chosen, rule)
    for delegate, own_roots in roots.items():  # for the writer: what must have been written before what
        if delegate in plans:
            plans[delegate].linked.update(root for root in own_roots if root in plans)
            for root in plans[delegate].linked:
                plans[root].linked.add(delegate)
    return {key: plan for key, plan in plans.items() if key in chosen} | gone


def as_bound(
    bodies: list[dict[str, t.Any]], pairs: tuple[vs.Pair, ...], selection: Selection, delegates: bool
) -> list[dict[str, t.Any]]:  # fmt: skip
    """All objects, those that are selected as they will be once they are bound."""
    plans = make_plans(bodies, vs.Bound(pairs), selection, delegates, False)
    return [plans[key].outcome(body) if (key := vs.key_of(body)) in plans else body for body in bodies]


# -- writing ---------------------------------------------------------------------------------------------------------
class Writer:
    """Carries out plans. After run(), every plan's verdict is changed, unchanged, skipped or failed."""

    def __init__(
        self, cluster: Cluster, api: str, rule: vs.Rule, workers: int, journal: Journal | None, method: str = "patch"
    ) -> None:
        self.cluster = cluster
        self.api = api
        self.rule = rule
        self.workers = workers
        self.method = method  # patch, or admission: an empty patch, and a policy does the rest
        self.journal = journal
        self._steps: list[str] = []  # ids in the journal
        self._recorded: list[dict[str, t.Any]] = []  # the inverses in them
        self._lock = threading.Lock()
        self._patience = PATIENCE
        self._lost = ""  # why the API server can't be reached any more
        self._since_check = 0

    def run(self, plans: dict[str, vs.Plan]) -> None:
        """Raises Refusal stale_epoch when another run took over; what has been written until then stays."""
        todo = [plan for plan in plans.values() if plan.verdict == "change"]
        if not todo:
            return
        self._record(todo)
        waves = [[plan for plan in todo if plan.delegate == wave] for wave in (False, True)]
        if not self.rule.roots_first:
            waves.reverse()
        self._wave(waves[0])
        for plan in waves[1]:
            broken = [plans[key] for key in sorted(plan.linked) if key in plans and plans[key].verdict == "failed"]
            if broken:
                plan.verdict = "failed"
                plan.reason = f"not tried, because {broken[0].key}, which must be written before it, failed"
        self._wave([plan for plan in waves[1] if plan.verdict == "change"])
        self._settle([plan for plan in todo if plan.ours])

    def _record(self, plans: list[vs.Plan]) -> None:
        if self.journal:
            inverses = vs.inverses(plans, self.rule)
            self._steps += self.journal.record_all([_step(options) for options in inverses])
            self._recorded += inverses

    def _settle(self, plans: list[vs.Plan]) -> None:
        """Marks as done what was recorded; what has failed or was changed by others meanwhile is not to be undone."""
        if self.journal:
            inverses = vs.inverses(plans, self.rule)
            if inverses == self._recorded:
                self.journal.done(*self._steps)
            else:
                self.journal.settle(self._steps, [_step(options) for options in inverses])

    def _wave(self, plans: list[vs.Plan]) -> None:
        for at in range(0, len(plans), FENCE_EVERY):
            batch = plans[at : at + FENCE_EVERY]
            if self.journal and self._since_check and self._since_check + len(batch) > FENCE_EVERY:
                self.journal.check()
                self._since_check = 0
            self.cluster.parallel(self._guarded, batch, self.workers)
            self._since_check += len(batch)

    def _guarded(self, plan: vs.Plan) -> None:
        if self._lost:
            plan.verdict, plan.reason = "failed", f"not tried, because of an earlier failure: {self._lost}"
            return
        try:
            self._write(plan)
        except ClusterError as exc:
            plan.verdict, plan.reason = "failed", str(exc)
            plan.ours = not isinstance(exc, ApiError) or exc.status >= 500  # it may have been carried out all the same
            if not isinstance(exc, ApiError) or exc.status == 401:  # what the next object would meet as well
                self._lost = str(exc)

    def _write(self, plan: vs.Plan) -> None:
        namespace, _slash, name = plan.key.partition("/")
        path = path_of(self.api, "virtualservices", namespace, name)
        for attempt in range(TRIES):
            try:
                answer = self._send(path, plan)
                if self._accept(plan, answer, last=attempt == TRIES - 1):
                    if self.method == "patch":
                        self._give_back(plan, path, answer)
                    return
                plan.version = answer["metadata"]["resourceVersion"]
                time.sleep(PAUSE * 2**attempt)
                continue
            except ApiError as exc:
                if exc.status not in (404, 409, 422):
                    raise
                body = self.cluster.find(path)
                if body is not None and exc.status == 422 and body["metadata"]["resourceVersion"] == plan.version:
                    raise  # else 422 says that a list we patched is not where it was
            if body is None:
                plan.skip("it was deleted meanwhile")
                return
            fresh = vs.plan_one(body, self.rule)
            plan.verdict, plan.reason = fresh.verdict, fresh.reason
            if fresh.verdict == "unchanged":  # by someone else, or by a try of ours whose answer was lost
                plan.ours = True
                self._give_back(plan, path, body)
            if fresh.verdict != "change":
                return
            if self.journal:
                self._record_again(plan, fresh)
            plan.version, plan.before, plan.after = fresh.version, fresh.before, fresh.after
            plan.appliers = fresh.appliers or plan.appliers
        plan.verdict = "failed"
        plan.reason = f"others changed it during each of {TRIES} tries; run again when they are done"

    def _give_back(self, plan: vs.Plan, path: str, body: dict[str, t.Any] | None) -> None:
        refusal = give_back(self.cluster, path, plan.appliers, body, TRIES)
        if refusal:
            plan.reason += f"; the {refusal}"
            plan.not_given_back = refusal

    def _send(self, path: str, plan: vs.Plan) -> dict[str, t.Any]:
        if self.method == "admission":
            return self.cluster.patch(path, vs.readmission(plan.version))
        return self.cluster.patch(path, plan.patch(), "json")

    def _accept(self, plan: vs.Plan, answer: dict[str, t.Any], last: bool) -> bool:
        """Judges what the API server says that it has stored, since admission may have added to it, or undone it.

        Returns False if it is worth another try: with several API servers, one may not know the policy yet. When that
        was waited for in vain once, it is not waited for again.
        """
        found = vs.lists_of(answer)
        plan.ours = found != plan.before
        if found == plan.after:
            plan.verdict = "changed"
            return True
        where = next(pointer for pointer in plan.after if found.get(pointer) != plan.after[pointer])
        wrong = f"{vs.dotted(where)} is {found.get(where)} after it was written, expected {plan.after[where]}"
        if self.method == "patch":
            plan.reason = f"{wrong}: an admission policy or webhook of this cluster changes it"
        else:
            plan.reason = f"{wrong}: no admission policy has done that, or another one undoes it"
            if not plan.ours and not last and self._patience:
                self._patience -= 1
                return False
        plan.verdict = "failed"
        if found.keys() == plan.before.keys():
            plan.after = found
        return True

    def _record_again(self, old: vs.Plan, fresh: vs.Plan) -> None:
        """The recorded inverse was that of the object as it was; if it is another one now, it is recorded too."""
        same = vs.inverse_of(old, self.rule), vs.inverse_of(fresh, self.rule)
        if same[0] is None or same[0] != same[1]:
            with self._lock:
                self._record([fresh])


def _step(options: dict[str, t.Any]) -> tuple[t.Any, ...]:
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:12]
    inverse = {"module": "virtual_service_gateways", "params": options}
    return "virtual_service_gateways", f"undo by {options['state']} {digest}", inverse, False, None


# -- the whole -------------------------------------------------------------------------------------------------------
def operate(params: dict[str, t.Any], check_mode: bool, cluster: Cluster) -> dict[str, t.Any]:
    """What the module does; returns its result. Raises Refusal; `write_failed` after all that could be done is done."""
    rule = rule_of(params)
    journal = Journal.load(cluster, params["journal"])
    names = rule.wanted if isinstance(rule, vs.Restored) else params["names"] or ()
    selection = Selection(frozenset(params["namespaces"] or ()), _labels(params["labels"]), frozenset(names))
    if params["bound_first"] and not check_mode:
        raise Refusal("bad_options", "bound_first: only in check mode, as it is not so yet.")
    if journal and not check_mode:
        journal.check()
    api, bodies = read_all(cluster)
    if params["check_gateways"]:
        check_gateways(cluster, api, rule)
    follow = params["delegates"] and not isinstance(rule, vs.Restored)
    if params["bound_first"] and isinstance(rule, vs.Unbound):
        bodies = as_bound(bodies, rule.pairs, selection, follow)
    strict = params["missing_names"] == "fail" and not isinstance(rule, vs.Restored)
    plans = make_plans(bodies, rule, selection, follow, strict)
    changing = [body for body in bodies if vs.key_of(body) in plans and plans[vs.key_of(body)].verdict == "change"]
    by_hand = changing if params["method"] == "patch" else []  # by admission, nothing of ours argues with a source
    made = {"owned_elsewhere": _owned(by_hand)}
    made["contested"] = _contested(cluster, by_hand, params["contested"] == "refuse")
    if check_mode:
        for plan in plans.values():
            plan.verdict = {"change": "changed"}.get(plan.verdict, plan.verdict)
    else:
        Writer(cluster, api, rule, params["concurrency"], journal, params["method"]).run(plans)
    return _result(cluster, plans, made, params["state"])


def _labels(given: dict[str, t.Any] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (given or {}).items()}


def _owned(bodies: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Objects that are made from something else, by that source."""
    found: dict[sources.Source, list[str]] = {}
    for body in bodies:
        for source in sources.of(body):
            found.setdefault(source, []).append(vs.key_of(body))
    return [
        {"source": source.title, "effect": sources.effect(source), "virtual_services": keys}
        for source, keys in sorted(found.items(), key=lambda item: item[0].title)
    ]


def _contested(cluster: Cluster, bodies: list[dict[str, t.Any]], refuse: bool) -> list[dict[str, str]]:
    """Objects that their source would put back by itself. Raises Refusal contested."""
    evidence = _desired.ClusterEvidence(cluster)
    asked = (
        (body, source, sources.BY_CODE[source.kind].puts_back(source, body, evidence))
        for body in bodies
        for source in sources.of(body)
    )
    found = [
        {"virtual_service": vs.key_of(body), "source": source.title, "reason": reason}
        for body, source, reason in asked
        if reason
    ]
    if found and refuse:
        told = "; ".join(f"{one['virtual_service']} ({one['source']}: {one['reason']})" for one in found[:5])
        raise Refusal(
            "contested",
            f"{len(found)} VirtualServices would be put back by what they come from: {told}"
            f"{'; ...' if len(found) > 5 else ''}. Nothing has been changed. Change them at their source, or use an"
            " admission policy; with contested=report they are changed all the same.",
            contested=found,
        )
    return found


def _result(
    cluster: Cluster, plans: dict[str, vs.Plan], made: dict[str, list[dict[str, t.Any]]], state: str
) -> dict[str, t.Any]:
    lists: dict[str, list[dict[str, str]]] = {"changed": [], "unchanged": [], "skipped": [], "failed": []}
    for plan in plans.values():
        lists[plan.verdict].append(plan.entry())
    result = {
        "virtual_services": lists,
        "counts": {verdict: len(entries) for verdict, entries in lists.items()},
        **made,
        "not_given_back": [
            {"virtual_service": plan.key, "reason": plan.not_given_back} for plan in plans.values() if plan.not_given_back
        ],
        "api_requests": sum(cluster.requests.values()),
    }
    if lists["failed"]:
        told = "; ".join(f"{e['namespace']}/{e['name']}: {e['reason']}" for e in lists["failed"][:5])
        raise Refusal(
            "write_failed",
            f"{len(lists['failed'])} VirtualServices are not {state} ({len(lists['changed'])} others have been"
            f" changed): {told}{'; ...' if len(lists['failed']) > 5 else ''}",
            **result,
        )
    changed = [plan for plan in plans.values() if plan.verdict == "changed"]
    diff = {
        side: {p.key: {vs.dotted(at): getattr(p, side)[at] for at in p.differing()} for p in changed}
        for side in ("before", "after")
    }
    return {"changed": bool(changed), **result, "diff": diff}
