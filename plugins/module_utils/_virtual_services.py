# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateways a VirtualService names, and what naming one more or one less makes of it.

Plain functions over decoded objects. `Lists` is all gateway lists of one object by JSON pointer: spec.gateways, and the
match-level ones, which restrict a route to the gateways they name: a VirtualService that names green at the top and
blue alone in a match answers 404 on green.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
import typing as t

from . import _field_owners
from ._objects import key_of

MESH = "mesh"  # the sidecars; istio.io/istio pkg/config/constants IstioMeshGateway
TOP = "/spec/gateways"
LEAVE_ALONE = "bluegreen.mesh/bind"  # a label: with the value "false", nothing of ours changes this VirtualService
LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
NAMESPACED_NAME = re.compile(rf"{LABEL}/{LABEL}(?:\.{LABEL})*")
SHORT_NAME = re.compile(LABEL)
LEGACY_NAME = re.compile(rf"({LABEL})\.({LABEL})(?:\.[-a-zA-Z0-9.]*)?")

Lists = dict[str, list[t.Any]]


class Pair(t.NamedTuple):
    """Two gateways that stand for each other, as NAMESPACE/NAME."""

    blue: str
    green: str


class Skip(Exception):
    """Why an object is left as it is although it is concerned."""


def resolve(reference: t.Any, namespace: str) -> str | None:
    """The gateway that a VirtualService in `namespace` means by a reference: NAMESPACE/NAME, `mesh`, or None if
    malformed.

    As istiod does it (pilot/pkg/model/config.go, resolveGatewayName): name, ./name, ns/name, and the legacy name.ns,
    name.ns.svc, name.ns.svc.cluster.local, of which everything behind the namespace is ignored, whatever the domain.
    """
    return _resolve(reference, namespace) if isinstance(reference, str) else None


@functools.lru_cache(maxsize=65536)
def _resolve(reference: str, namespace: str) -> str | None:
    if reference == MESH:
        return MESH
    if reference.startswith("./"):
        reference = namespace + reference[1:]
    if "/" in reference:
        return reference if NAMESPACED_NAME.fullmatch(reference) else None
    if "." in reference:
        legacy = LEGACY_NAME.fullmatch(reference)
        return f"{legacy[2]}/{legacy[1]}" if legacy else None
    return f"{namespace}/{reference}" if SHORT_NAME.fullmatch(reference) else None


def alike(matches: t.Iterable[t.Any], match: dict[str, t.Any], but: t.Collection[str]) -> list[dict[str, t.Any]]:
    """The other entries of a route's `match` that say the same as this one, but for these keys (and their names)."""
    other_keys = {"name", *but}

    def rest(entry: dict[str, t.Any]) -> dict[str, t.Any]:
        return {key: value for key, value in entry.items() if key not in other_keys}

    return [other or {} for other in matches if other is not match and rest(other or {}) == rest(match)]


def lists_of(virtual_service: dict[str, t.Any]) -> Lists:
    """Every gateway list that is there and not empty; a list that is absent means something else than one that is
    written (spec level: the mesh; match level: whatever the spec level says) and is never added."""
    spec = virtual_service.get("spec") or {}
    found: Lists = {}
    if spec.get("gateways"):
        found[TOP] = spec["gateways"]
    for kind in ("http", "tcp", "tls"):
        for i, route in enumerate(spec.get(kind) or ()):
            for j, match in enumerate((route or {}).get("match") or ()):
                if match and match.get("gateways"):
                    found[f"/spec/{kind}/{i}/match/{j}/gateways"] = match["gateways"]
    return found


def left_alone(virtual_service: dict[str, t.Any]) -> bool:
    return (virtual_service["metadata"].get("labels") or {}).get(LEAVE_ALONE) == "false"


def is_delegate(virtual_service: dict[str, t.Any]) -> bool:
    """A VirtualService without hosts serves only through the roots that name it."""
    return not (virtual_service.get("spec") or {}).get("hosts")


def delegates_of(virtual_service: dict[str, t.Any]) -> set[str]:
    """NAMESPACE/NAME of the delegates that a root names."""
    own = virtual_service["metadata"]["namespace"]
    found = set()
    for route in (virtual_service.get("spec") or {}).get("http") or ():
        delegate = (route or {}).get("delegate")
        if delegate:
            found.add(f"{delegate.get('namespace') or own}/{delegate['name']}")
    return found


# -- rules: what the lists of an object should become ---------------------------------------------------------------
@dataclasses.dataclass(frozen=True)
class Bound:
    """Every list that names blue names green too; with both_ways also the other way round."""

    pairs: tuple[Pair, ...]
    both_ways: bool = True
    roots_first = True  # a delegate's match must name no gateway that its root's does not (mergeHTTPMatchRequests)

    def apply(self, key: str, lists: Lists) -> Lists:
        """New lists. The added name stands beside its twin, blue first; all else keeps its place and its written
        form."""
        namespace = key.partition("/")[0]
        return {pointer: self._one(names, namespace) for pointer, names in lists.items()}

    def _one(self, names: list[str], namespace: str) -> list[str]:
        resolved = [resolve(name, namespace) for name in names]
        new = list(names)
        for blue, green in self.pairs:
            if blue in resolved and green not in resolved:
                at, added = resolved.index(blue) + 1, green
            elif self.both_ways and green in resolved and blue not in resolved:
                at, added = resolved.index(green), blue
            else:
                continue
            new.insert(at, added)
            resolved.insert(at, added)
        return new


@dataclasses.dataclass(frozen=True)
class Unbound:
    """No list names the gateways of one side; side: blue or green."""

    pairs: tuple[Pair, ...]
    side: str
    roots_first = False

    def apply(self, key: str, lists: Lists) -> Lists:
        """New lists. Raises Skip when any list would be left without the twin: such an object is not changed by
        half."""
        namespace = key.partition("/")[0]
        return {pointer: self._one(pointer, names, namespace) for pointer, names in lists.items()}

    def _one(self, pointer: str, names: list[str], namespace: str) -> list[str]:
        resolved = [resolve(name, namespace) for name in names]
        gone = set()
        for pair in self.pairs:
            leaves, stays = (pair.blue, pair.green) if self.side == "blue" else (pair.green, pair.blue)
            if leaves in resolved:
                if stays not in resolved:
                    raise Skip(f"{dotted(pointer)} names {leaves} but not {stays}, which would stay: bind it first")
                gone.add(leaves)
        return [name for name, gateway in zip(names, resolved) if gateway not in gone]


@dataclasses.dataclass(frozen=True)
class Restored:
    """Lists are what they were; wanted: by object key and pointer, (what is expected there now, what it was)."""

    wanted: dict[str, dict[str, tuple[list[str], list[str]]]]

    @property
    def roots_first(self) -> bool:
        return any(len(was) > len(left) for lists in self.wanted.values() for left, was in lists.values())

    def apply(self, key: str, lists: Lists) -> Lists:
        """New lists. Raises Skip when a list is neither what we made of it nor what it was."""
        new = dict(lists)
        for pointer, (left, was) in self.wanted[key].items():
            found = lists.get(pointer)
            if found not in (left, was):
                raise Skip(f"{dotted(pointer)} has been changed by others since: expected {left}, found {found}")
            new[pointer] = was
        return new


Rule = t.Union[Bound, Unbound, Restored]


# -- plans -----------------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Plan:
    """What will be done with one object. verdict: change, unchanged or skipped, and once it is done changed or
    failed."""

    key: str
    version: str
    delegate: bool
    before: Lists
    after: Lists
    verdict: str
    reason: str
    linked: set[str] = dataclasses.field(default_factory=set)  # its roots, or its delegates
    ours: bool = False  # a write of ours may be in the object, so there is something to undo
    appliers: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)  # who owned what, as managedFields say
    not_given_back: str = ""  # why they do not own it again

    def skip(self, reason: str) -> None:
        self.verdict, self.reason, self.after = "skipped", reason, self.before

    def differing(self) -> list[str]:
        """Pointers of the lists that change."""
        return [pointer for pointer, names in self.after.items() if names != self.before[pointer]]

    def patch(self) -> list[dict[str, t.Any]]:
        """A JSON patch of these lists alone. Replacing resourceVersion by the one that was read makes the API server
        answer 409 if the object has changed since; a `test` would do so with a 422 that can mean anything."""
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": self.version}
        return [guard, *({"op": "add", "path": p, "value": self.after[p]} for p in self.differing())]

    def outcome(self, body: dict[str, t.Any]) -> dict[str, t.Any]:
        """A copy of the object, as it is once this is done."""
        result = copy.deepcopy(body)
        for pointer in self.differing():
            *way, last = pointer[1:].split("/")
            place = result
            for key in way:
                place = place[int(key)] if isinstance(place, list) else place[key]
            place[last] = list(self.after[pointer])
        return result

    def entry(self) -> dict[str, str]:
        namespace, _slash, name = self.key.partition("/")
        return {"namespace": namespace, "name": name, "reason": self.reason}


def dotted(pointer: str) -> str:
    """/spec/http/0/match/1/gateways as spec.http[0].match[1].gateways."""
    return re.sub(r"\.(\d+)", r"[\1]", pointer[1:].replace("/", "."))


def readmission(version: str) -> dict[str, t.Any]:
    """A merge patch that changes nothing: admission runs on the whole object all the same, and what it changes is nobody's
    in managedFields. Answered by 409 if the object is not as it was read."""
    return {"metadata": {"resourceVersion": version}}


def gateways_of(body: dict[str, t.Any]) -> set[str | None]:
    """Every gateway that a VirtualService names, in any of its lists, as resolve() has it."""
    namespace = body["metadata"]["namespace"]
    return {resolve(name, namespace) for names in lists_of(body).values() for name in names}


def names_any(body: dict[str, t.Any], rule: Bound | Unbound) -> bool:
    """Whether a VirtualService names a gateway of the rule, in any of its lists."""
    return not gateways_of(body).isdisjoint(gateway for pair in rule.pairs for gateway in pair)


def plan_one(body: dict[str, t.Any], rule: Rule) -> Plan:
    """The plan for one VirtualService, looked at on its own."""
    key = key_of(body)
    before = lists_of(body)
    plan = Plan(key, body["metadata"]["resourceVersion"], is_delegate(body), before, before, "unchanged", "")
    plan.appliers = _field_owners.appliers(body)
    if body["metadata"].get("deletionTimestamp"):
        plan.skip("it is being deleted")
        return plan
    namespace = key.partition("/")[0]
    if not isinstance(rule, Restored):
        resolved = {pointer: [resolve(name, namespace) for name in names] for pointer, names in before.items()}
        if not plan.delegate and set(resolved.get(TOP, (MESH,))) == {MESH}:
            plan.reason = "it serves the mesh only"
            return plan
        if not names_any(body, rule):
            plan.reason = "it names none of these gateways"
            return plan
        for pointer, gateways in resolved.items():
            if None in gateways:
                wrong = before[pointer][gateways.index(None)]
                plan.skip(f"{dotted(pointer)} has a malformed reference {wrong!r}; expected NAMESPACE/NAME")
                return plan
    try:
        plan.after = rule.apply(key, before)
    except Skip as exc:
        plan.skip(str(exc))
        return plan
    if plan.differing() and left_alone(body) and not isinstance(rule, Restored):
        plan.skip(f"its label {LEAVE_ALONE} is false")
    elif plan.differing():
        plan.verdict, plan.reason = "change", _summary(plan)
    else:
        plan.after, plan.reason = before, "it is so already"
    return plan


def _summary(plan: Plan) -> str:
    added: dict[str, None] = {}
    removed: dict[str, None] = {}
    for pointer in plan.differing():
        before, after = plan.before[pointer], plan.after[pointer]
        added.update(dict.fromkeys(name for name in after if name not in before))
        removed.update(dict.fromkeys(name for name in before if name not in after))
    parts = [f"added {', '.join(added)}"] if added else []
    parts += [f"removed {', '.join(removed)}"] if removed else []
    return "; ".join(parts) or "reordered"


def couple(plans: dict[str, Plan], roots: dict[str, set[str]], selected: set[str], rule: Rule) -> None:
    """Keeps roots and delegates together; plans: of all objects; roots: by delegate, the roots that name it.

    istiod drops a delegate's route whose match names a gateway that its root's match does not
    (pilot/pkg/model/virtualservice.go, hasConflict). So a delegate gets green only if its roots have it or get it; and
    neither of them loses a gateway that the other one keeps.
    """

    def stuck(key: str) -> str:
        """Why the object will still not be as the rule wants it afterwards, or ''."""
        plan = plans.get(key)
        if plan is None or plan.verdict == "unchanged":
            return ""
        if plan.verdict == "skipped":
            return plan.reason
        return "" if key in selected else "it is not selected"

    again = True
    while again:
        again = False
        for delegate, own_roots in roots.items():
            links = [(delegate, "root", root) for root in own_roots]
            if isinstance(rule, Unbound):
                links += [(root, "delegate", delegate) for root in own_roots]
            for key, word, other in links:
                plan = plans.get(key)
                if plan is not None and plan.verdict == "change" and key in selected and stuck(other):
                    plan.skip(f"its {word} {other} stays as it is: {stuck(other)}")
                    again = True


# -- the way back ----------------------------------------------------------------------------------------------------
def inverse_of(plan: Plan, rule: Rule) -> Rule | None:
    """The opposite rule, if it leads back to exactly the lists of before; else None: they must be restored by value."""
    opposites: list[Rule] = []
    if isinstance(rule, Bound):
        opposites = [Unbound(rule.pairs, "green"), Unbound(rule.pairs, "blue")]
    elif isinstance(rule, Unbound):
        opposites = [Bound(rule.pairs)]
    for opposite in opposites:
        try:
            if opposite.apply(plan.key, plan.after) == plan.before:
                return opposite
        except Skip:
            continue
    return None


def inverses(plans: t.Sequence[Plan], rule: Rule) -> list[dict[str, t.Any]]:
    """Options of this module that undo `plans`, in the order in which to record them: the last one is undone first.

    Names alone where the opposite rule is exact, which keeps 1,000 objects at some 30 kB; lists for the others.
    """
    if not plans:
        return []
    groups: dict[tuple[bool, Rule | None], list[Plan]] = {}
    for plan in plans:
        groups.setdefault((plan.delegate, inverse_of(plan, rule)), []).append(plan)
    if len({opposite for _delegate, opposite in groups}) == 1:
        return [_options(next(iter(groups))[1], list(plans))]
    order = sorted(groups, key=lambda group: group[0] == rule.roots_first)
    return [_options(group[1], groups[group]) for group in order]


BACK = {"contested": "report"}  # the way back is open whoever argues


def _options(rule: Rule | None, plans: list[Plan]) -> dict[str, t.Any]:
    names = [plan.key for plan in plans]
    if rule is None:
        lists = [{p: {"from": plan.after[p], "to": plan.before[p]} for p in plan.differing()} for plan in plans]
        return {"state": "restored", "restore": [{"name": n, "lists": own} for n, own in zip(names, lists)], **BACK}
    pairs = [pair._asdict() for pair in rule.pairs]
    # What was there comes back, whether or not its Gateway still exists: green's may be undone by now.
    common = {
        "pairs": pairs,
        "names": names,
        "missing_names": "skip",
        "delegates": False,
        "check_gateways": False,
        **BACK,
    }
    if isinstance(rule, Unbound):
        return {"state": "unbound", "from": rule.side, **common}
    return {"state": "bound", **common}
