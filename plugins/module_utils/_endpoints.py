# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoints blue's Service has, so that green gets a share: rules over plain objects.

kube-proxy joins all EndpointSlices of a Service and picks evenly among the ready endpoints (an address counts once,
however often it is listed). So with blue's n endpoints, which their controller keeps, and k of green's in a slice of
ours, green has k in n+k. For everything, blue's are taken out by a label in the Service's selector that no pod has: the
controller empties its slices itself, and fills them again when the label goes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ._module import Refusal
from ._objects import CARRIES, OUR_LABELS, own_selector

Object = dict[str, t.Any]
DISCOVERY = "discovery.k8s.io/v1"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
OURS = "bluegreen.mesh"
WANTED = "bluegreen.mesh/green-percent"  # annotation on slices of ours: the share that was asked for
STANDS_FOR = "bluegreen.mesh/stands-for"  # annotation on the Service of ours that goes on selecting blue's pods
OWNERS = "bluegreen.mesh/selector-owners"  # annotation there: whose the field spec.selector was
# Istio: such a Service's targetPorts do not become ports that a gateway listens on.
UNTRANSLATED = "experimental.istio.io/disable-gateway-port-translation"
FAMILIES = ("IPv4", "IPv6")
TOLERANCE = 0.5  # percentage points by which a share may be missed, as for weights


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One address of a pod. ports: (name, protocol, number); key: what tells its pod, whatever the family."""

    family: str
    address: str
    ports: tuple[tuple[str, str, int], ...]
    ready: bool
    serving: bool
    terminating: bool
    node: str
    key: str
    name: str
    target: t.Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Pair:
    """Blue's Service and green's, with all that stands behind them.

    behind: endpoints of blue's Service that its controller keeps. own: blue's pods, which `helper` goes on selecting
    when blue's Service does not. target: behind green's Service. slices: those of ours, behind blue's Service.
    """

    blue: str
    green: str
    service: Object
    green_service: Object | None
    helper: Object | None
    behind: list[Endpoint]
    own: list[Endpoint]
    target: list[Endpoint]
    slices: list[Object]
    foreign: list[str]

    @property
    def held(self) -> bool:
        return CARRIES in (self.service["spec"].get("selector") or {})

    @property
    def noted(self) -> float:
        """The share that was asked for last; 0 where nothing of ours is left."""
        for body in self.slices:
            try:
                return float((body["metadata"].get("annotations") or {}).get(WANTED, ""))
            except ValueError:
                continue
        return 100.0 if self.held else 0.0

    @property
    def put(self) -> list[Endpoint]:
        return endpoints_of(self.slices)

    @property
    def families(self) -> list[str]:
        return list(self.service["spec"].get("ipFamilies") or ["IPv4"])

    @property
    def local(self) -> bool:
        spec = self.service["spec"]
        return "Local" in (spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy"))

    @property
    def sound(self) -> bool:
        """Whether what is there is what we leave behind for the share that is noted."""
        return self.held == (self.noted == 100) and bool(self.slices) == bool(self.noted)

    @property
    def share(self) -> float | None:
        return share(self.behind, self.put, self.families, self.local)


@dataclasses.dataclass(frozen=True)
class Plan:
    """percent: what is asked for; share: what that comes to; held: blue's Service selects none of blue's pods."""

    percent: float
    held: bool
    endpoints: tuple[Endpoint, ...]
    share: float | None


# -- names -----------------------------------------------------------------------------------------------------------
def base_name(service: str) -> str:
    """Of what we add beside a Service. Names of Services end at 63 characters."""
    name = f"{service}-bluegreen"
    return name if len(name) <= 63 else f"{service[:44]}-{hashlib.sha256(service.encode()).hexdigest()[:8]}-bluegreen"


# -- reading ---------------------------------------------------------------------------------------------------------
def endpoints_of(slices: t.Iterable[Object]) -> list[Endpoint]:
    """Each address once. While a pod moves from one slice to another it is in both, and as kube-proxy does it, the one
    that is not ending counts. What a slice leaves open is as its API says: ready unless told."""
    found: dict[tuple[str, str], Endpoint] = {}
    for body in slices:
        family = body.get("addressType")
        if family not in FAMILIES:
            continue
        ports = tuple(
            (port.get("name") or "", port.get("protocol") or "TCP", port["port"])
            for port in body.get("ports") or ()
            if port.get("port")
        )
        for entry in body.get("endpoints") or ():
            told = entry.get("conditions") or {}
            ready = told.get("ready") is not False
            target = entry.get("targetRef") or {}
            address = entry["addresses"][0]
            endpoint = Endpoint(
                family=family,
                address=address,
                ports=ports,
                ready=ready,
                serving=ready if told.get("serving") is None else told["serving"],
                terminating=bool(told.get("terminating")),
                node=entry.get("nodeName") or "",
                key=target.get("uid") or address,
                name=target.get("name") or address,
                target=entry.get("targetRef"),
            )
            if (family, address) not in found or not endpoint.terminating:
                found[family, address] = endpoint
    return sorted(found.values(), key=lambda e: (e.family, e.address))


def of_service(slices: t.Iterable[Object], service: str, managed_by: str) -> list[Object]:
    return [
        body
        for body in slices
        if (body["metadata"].get("labels") or {}).get(SERVICE_NAME) == service
        and (body["metadata"].get("labels") or {}).get(MANAGED_BY) == managed_by
    ]


def foreign(slices: t.Iterable[Object], service: str) -> list[str]:
    """Slices of a Service that somebody else keeps, not its controller and not we."""
    return [
        f"{body['metadata']['name']} (by {(body['metadata'].get('labels') or {}).get(MANAGED_BY) or 'nobody named'})"
        for body in slices
        if (body["metadata"].get("labels") or {}).get(SERVICE_NAME) == service
        and (body["metadata"].get("labels") or {}).get(MANAGED_BY) not in (CONTROLLER, OURS)
        and body.get("endpoints")
    ]


# -- shares ----------------------------------------------------------------------------------------------------------
def ready(endpoints: t.Iterable[Endpoint], family: str | None = None) -> list[Endpoint]:
    return [e for e in endpoints if e.ready and family in (None, e.family)]


def share(
    blue: t.Iterable[Endpoint], green: t.Iterable[Endpoint], families: t.Sequence[str], local: bool
) -> float | None:
    """Green's percentage of new connections; None where there is no endpoint, or address families differ.

    local: a node gives connections to its own endpoints only, and those who send to the nodes share evenly among the
    nodes that answer.
    """
    blue, green = list(blue), list(green)
    values = []
    for family in families:
        cells: dict[str, list[int]] = {}
        for side, endpoints in enumerate((blue, green)):
            for endpoint in ready(endpoints, family):
                cells.setdefault(endpoint.node if local else "", [0, 0])[side] += 1
        if not cells:
            return None
        values.append(sum(100 * g / (b + g) for b, g in cells.values()) / len(cells))
    if max(values) - min(values) > TOLERANCE or ({0.0, 100.0} & set(values) and len(set(values)) > 1):
        return None
    return round(sum(values) / len(values), 2)


def usable(pair: Pair) -> list[str]:
    """Green's pods that can carry a part, by key, in the order in which they are taken: those that do already, then
    spread over the nodes. Where nodes keep to themselves, only nodes on which blue is: others do not answer now, and
    would stop answering when green's share is taken back."""
    blue_nodes = {e.node for e in ready(pair.own)}
    pods: dict[str, list[Endpoint]] = {}
    for endpoint in ready(pair.target):
        pods.setdefault(endpoint.key, []).append(endpoint)
    whole = {
        key: es[0].node
        for key, es in pods.items()
        if set(pair.families) <= {e.family for e in es} and (not pair.local or es[0].node in blue_nodes)
    }
    have = [key for key in dict.fromkeys(e.key for e in pair.put) if key in whole]
    waiting: dict[str, list[str]] = {}
    for key, node in sorted(whole.items(), key=lambda item: (item[1], item[0])):
        if key not in have:
            waiting.setdefault(node, []).append(key)
    for key in have:  # nodes that have none yet come first
        waiting.setdefault(whole[key], [])
    load = {node: sum(whole[key] == node for key in have) for node in waiting}
    order = list(have)
    while any(waiting.values()):
        node = min((n for n in waiting if waiting[n]), key=lambda n: (load[n], n))
        order.append(waiting[node].pop(0))
        load[node] += 1
    return order


def parts(pair: Pair) -> list[tuple[float, tuple[Endpoint, ...]]]:
    """Every share below all that can be given, each with green's endpoints for it, rising."""
    order = usable(pair)
    found = []
    for count in range(1, len(order) + 1):
        chosen = set(order[:count])
        endpoints = tuple(e for e in ready(pair.target) if e.key in chosen and e.family in pair.families)
        value = share(pair.own, endpoints, pair.families, pair.local)
        if value is not None and value < 100:
            found.append((value, endpoints))
    return found


# -- planning --------------------------------------------------------------------------------------------------------
def plan(pair: Pair, percent: float, exact: bool = True) -> Plan:
    """What gives green `percent`. exact: refuse a share that can't be had; else the next one below it is taken, as
    somebody is waiting for green to have less.

    Raises Refusal: unrepresentable, green_not_ready, node_dark, port_missing, foreign_slices.
    """
    if not percent:
        return Plan(0, False, (), 0.0)
    if exact and pair.foreign:
        raise Refusal(
            "foreign_slices",
            f"{title(pair)} has endpoints that somebody else keeps: {', '.join(pair.foreign)}. They get connections"
            " too, so no share can be promised. Remove them, or have them kept by the Service's selector.",
            found=pair.foreign,
        )  # fmt: skip
    if percent == 100:
        _refuse_unready(pair)
        endpoints = tuple(e for e in pair.target if e.family in pair.families)
        ports_of(pair, endpoints)
        return Plan(100, True, endpoints, share((), endpoints, pair.families, pair.local))
    options = parts(pair)
    if exact:
        value, endpoints = min(options, key=lambda o: abs(o[0] - percent), default=(0.0, ()))
        if not endpoints or abs(value - percent) > TOLERANCE:
            _refuse_unready(pair)
            raise Refusal(
                "unrepresentable",
                f"{title(pair)}: {percent:g} % on green can't be had with {_count(pair.own)} ready pods of blue's and"
                f" {_count(pair.target)} of green's: connections are shared evenly among pods. What can be had:"
                f" {', '.join(f'{v:g}' for v in [*(o[0] for o in options), 100])} %. Ask for one of these"
                " (mesh_cutover_steps), or change how many pods there are.",
                possible=[o[0] for o in options] + [100.0],
            )  # fmt: skip
    else:
        below = [o for o in options if o[0] <= percent + TOLERANCE]
        value, endpoints = below[-1] if below else (0.0, ())
        if not endpoints:
            return Plan(0, False, (), 0.0)
    ports_of(pair, endpoints)
    return Plan(percent, False, endpoints, value)


def lowered(pairs: t.Sequence[Pair], percent: float) -> dict[str, Plan]:
    """The highest share up to `percent` that all of them can give, by Service."""
    while True:
        plans = {pair.blue: plan(pair, percent, exact=False) for pair in pairs}
        shares = [p.percent if p.share is None else p.share for p in plans.values()]
        if max(shares) - min(shares) <= TOLERANCE:
            return plans
        percent = min(shares)


def stays(pair: Pair, percent: float) -> bool:
    """Whether this share was asked for already. Pods that came or went since are no reason to take it from green."""
    return bool(percent) and pair.sound and pair.noted == percent


def refreshed(pair: Pair) -> Plan:
    """The same share with the pods that there are now, as near as they can give it; the selector is left as it is."""
    if not pair.slices:
        return Plan(0, pair.held, (), pair.share)
    if pair.held or pair.noted == 100:
        endpoints = tuple(e for e in pair.target if e.family in pair.families)
    else:
        _value, endpoints = min(parts(pair), key=lambda o: abs(o[0] - pair.noted), default=(0.0, ()))
    ports_of(pair, endpoints)
    return Plan(pair.noted, pair.held, endpoints, share(pair.behind, endpoints, pair.families, pair.local))


def _refuse_unready(pair: Pair) -> None:
    for family in pair.families:
        if not ready(pair.target, family):
            raise Refusal(
                "green_not_ready",
                f"Service {pair.green} has no ready endpoint with an {family} address"
                f"{' or does not exist' if pair.green_service is None else ''}; {title(pair)} needs one. Look at"
                " green's pods, and at ipFamilies of its Service.",
                family=family,
            )
        if pair.local:
            dark = {e.node for e in ready(pair.own, family)} - {e.node for e in ready(pair.target, family)}
            if dark:
                raise Refusal(
                    "node_dark",
                    f"{title(pair)} has a traffic policy Local, and on {', '.join(sorted(dark))} there is a ready pod"
                    " of blue's and none of green's: these nodes would stop answering while the balancer still sends"
                    " there. Place green's pods where blue's are.",
                    nodes=sorted(dark),
                )


def _count(endpoints: t.Iterable[Endpoint]) -> int:
    return len({e.key for e in ready(endpoints)})


def title(pair: Pair) -> str:
    return f"Service {pair.blue}"


# -- objects ---------------------------------------------------------------------------------------------------------
def ports_of(pair: Pair, endpoints: t.Iterable[Endpoint]) -> dict[tuple[str, str], tuple[tuple[str, int], ...]]:
    """(family, address) -> (port name of blue's Service, green's port number) in the order of blue's Service. Ports are
    the same by name, else by number. Raises Refusal port_missing."""
    names = {
        (port.get("protocol") or "TCP", port["port"]): port.get("name") or ""
        for port in (pair.green_service or {"spec": {}})["spec"].get("ports") or ()
    }
    found = {}
    for endpoint in endpoints:
        numbers = {(protocol, name): number for name, protocol, number in endpoint.ports}
        mine = []
        for port in pair.service["spec"].get("ports") or ():
            protocol, name = port.get("protocol") or "TCP", port.get("name") or ""
            number = numbers.get((protocol, name)) or numbers.get((protocol, names.get((protocol, port["port"]), "?")))
            if number is None:
                if not endpoint.ready:  # a pod that is not there yet may not say where it listens
                    break
                raise Refusal(
                    "port_missing",
                    f"{title(pair)} has port {name or port['port']} ({protocol}), and Service {pair.green} has none of"
                    f" that name or number at {endpoint.name}; it has"
                    f" {', '.join(f'{n}/{p}' for n, p, _number in endpoint.ports) or 'none'}. Clients of that port"
                    " would be refused: add it to green's Service.",
                    port=name or port["port"],
                )  # fmt: skip
            mine.append((name, number))
        else:
            found[endpoint.family, endpoint.address] = tuple(mine)
    return found


def slices_of(pair: Pair, wanted: Plan) -> list[Object]:
    """The EndpointSlices of ours for this plan: for each family one, or one for each set of port numbers. A family
    without an endpoint keeps an empty one, on which the share is noted."""
    if not wanted.percent:
        return []
    numbers = ports_of(pair, wanted.endpoints)
    service = pair.service
    namespace, name = pair.blue.split("/")
    declared = {
        port.get("name") or "": {k: port[k] for k in ("protocol", "appProtocol") if port.get(k)}
        for port in service["spec"].get("ports") or ()
    }
    found = []
    for family in pair.families:
        groups: dict[tuple[tuple[str, int], ...], list[Endpoint]] = {}
        for endpoint in wanted.endpoints:
            if endpoint.family == family and (family, endpoint.address) in numbers:
                groups.setdefault(numbers[family, endpoint.address], []).append(endpoint)
        for index, (ports, endpoints) in enumerate(sorted(groups.items()) or [((), [])]):
            found.append(
                {
                    "apiVersion": DISCOVERY,
                    "kind": "EndpointSlice",
                    "metadata": {
                        "name": f"{base_name(name)}-{family.lower()}-{index}",
                        "namespace": namespace,
                        "labels": {SERVICE_NAME: name, MANAGED_BY: OURS, **OUR_LABELS},
                        "annotations": {WANTED: f"{wanted.percent:g}"},
                        "ownerReferences": [owned_by(service)],
                    },
                    "addressType": family,
                    "ports": [{"name": port, "protocol": "TCP", **declared[port], "port": n} for port, n in ports],
                    "endpoints": [_entry(e) for e in sorted(endpoints, key=lambda e: e.address)],
                }
            )
    return found


def _entry(endpoint: Endpoint) -> Object:
    """As its own slice has it, without hints for zones: green's are made for green's Service alone."""
    entry: Object = {
        "addresses": [endpoint.address],
        "conditions": {
            "ready": endpoint.ready, "serving": endpoint.serving, "terminating": endpoint.terminating
        },
    }  # fmt: skip
    if endpoint.node:
        entry["nodeName"] = endpoint.node
    if endpoint.target:
        entry["targetRef"] = endpoint.target
    return entry


def same_slice(have: Object, wanted: Object) -> bool:
    """Whether what matters is the same, in whatever order."""

    def essence(body: Object) -> t.Any:
        meta = body["metadata"]
        return (
            body["addressType"],
            {k: (meta.get("labels") or {}).get(k) for k in (SERVICE_NAME, MANAGED_BY)},
            (meta.get("annotations") or {}).get(WANTED),
            sorted((p.get("name") or "", p.get("protocol") or "TCP", p.get("port")) for p in body.get("ports") or ()),
            [dataclasses.astuple(e)[:-1] for e in endpoints_of([body])],
        )

    return essence(have) == essence(wanted)


def helper_of(pair: Pair) -> Object:
    """A Service that goes on selecting blue's pods while blue's own does not. By its ports istiod goes on knowing on
    which ports blue's gateway listens (a Gateway's server port is a Service's port to it), and by its endpoints
    everybody knows which of blue's pods are ready to go back to."""
    service = pair.service
    namespace, name = pair.blue.split("/")
    spec = service["spec"]
    labels = {UNTRANSLATED: v for k, v in (service["metadata"].get("labels") or {}).items() if k == UNTRANSLATED}
    kept = ("ipFamilies", "ipFamilyPolicy", "publishNotReadyAddresses")
    fields = ("name", "protocol", "port", "targetPort", "appProtocol")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": base_name(name),
            "namespace": namespace,
            "labels": {**OUR_LABELS, **labels},
            "annotations": {STANDS_FOR: name},
            "ownerReferences": [owned_by(service)],
        },
        "spec": {
            "type": "ClusterIP",
            "selector": own_selector(spec.get("selector")),
            "ports": [{k: port[k] for k in fields if k in port} for port in spec.get("ports") or ()],
            **{k: spec[k] for k in kept if k in spec},
        },
    }


def same_helper(have: Object, wanted: Object) -> bool:
    def numbers(body: Object) -> set[t.Any]:
        return {(p["port"], p.get("targetPort"), p.get("protocol") or "TCP") for p in body["spec"]["ports"]}

    return have["spec"].get("selector") == wanted["spec"]["selector"] and numbers(have) == numbers(wanted)


def owned_by(service: Object) -> Object:
    """What we add goes with blue's Service, whoever removes that."""
    meta = service["metadata"]
    return {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}


def differs(pair: Pair, wanted: Plan) -> bool:
    """Whether something has to be written."""
    have = {body["metadata"]["name"]: body for body in pair.slices}
    slices = {body["metadata"]["name"]: body for body in slices_of(pair, wanted)}
    return (
        pair.held != wanted.held
        or have.keys() != slices.keys()
        or any(not same_slice(have[name], body) for name, body in slices.items())
        or bool(wanted.percent) != (pair.helper is not None)
        or (pair.helper is not None and not same_helper(pair.helper, helper_of(pair)))
    )


# -- telling ---------------------------------------------------------------------------------------------------------
def unexpected(pair: Pair, expected: float, wanted: Plan | None) -> str | None:
    """Why what is there is not the share that was left there; None where it is. A pod that came or went moves the
    share, and is nobody's change: what was asked for last counts as well."""
    if wanted is not None and not differs(pair, wanted):
        return None
    if pair.sound and (_near(pair.share, expected) or _near(pair.noted, expected)):
        return None
    selecting = "selects none of blue's pods" if pair.held else "selects blue's pods"
    found = "no share" if pair.share is None else f"{pair.share:g} %"
    return (
        f"{title(pair)}: expected {expected:g} % on green, found {found} ({pair.noted:g} % was asked for last; it"
        f" {selecting}, and has {len(pair.slices)} EndpointSlices of ours)"
    )


def _near(value: float | None, expected: float) -> bool:
    if value is None:
        return False
    return value == expected if {value, expected} & {0.0, 100.0} else abs(value - expected) <= TOLERANCE


def servers(pair: Pair) -> list[Object]:
    """As balancers tell it: every pod, whose it is, whether it is ready, and whether it gets new connections."""
    in_rotation = {e.key for e in ready(pair.behind)} | {e.key for e in ready(pair.put)}
    found: dict[str, Object] = {}
    for colour, endpoints in (("blue", pair.own), ("green", pair.target)):
        for e in endpoints:
            known = found.get(e.key)
            found[e.key] = {
                "backend": pair.blue,
                "server": e.name,
                "colour": colour,
                "weight": int(e.key in in_rotation),
                "admin": "ready",
                "health": "UP" if e.ready and (known is None or known["health"] == "UP") else "DOWN",
                "node": e.node,
                "scur": None,
            }
    return list(found.values())


def summary(pair: Pair) -> Object:
    return {
        "service": pair.blue,
        "green_percent": pair.share,
        "wanted_percent": pair.noted,
        "blue": _count(pair.own),
        "green": _count(pair.target),
        "possible": [value for value, _endpoints in parts(pair)] + [100.0],
    }


def shown(pair: Pair, wanted: Plan | None = None) -> Object:
    """For a diff: what a reviewer wants to see of it."""
    percent, held = (pair.noted, pair.held) if wanted is None else (wanted.percent, wanted.held)
    selector = own_selector(pair.service["spec"].get("selector"))
    return {"green_percent": percent, "selector": {**selector, CARRIES: "green"} if held else selector}


def share_of(pairs: t.Sequence[Pair]) -> float | None:
    """The share of all of them. Where pods that came or went have moved them apart, the one that was asked for."""
    found = common([pair.share for pair in pairs])
    asked = {pair.noted for pair in pairs}
    if found is None and len(asked) == 1 and all(pair.sound and pair.share is not None for pair in pairs):
        return asked.pop()
    return found


def common(values: t.Sequence[float | None]) -> float | None:
    """The share where it is one: None where Services differ by more than rounding."""
    known = [value for value in values if value is not None]
    if not known or len(known) != len(values) or max(known) - min(known) > TOLERANCE:
        return None
    if {0.0, 100.0} & set(known) and len(set(known)) > 1:
        return None
    return round(sum(known) / len(known), 2)
