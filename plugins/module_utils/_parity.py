# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two gateways' effective Envoy configuration, normalised and compared part by part.

A dump is what Envoy's /config_dump returns, or istiod's /debug/config_dump, which says the same with other spelling. It
is taken apart into listeners, filter chains (by SNI), virtual hosts and routes. What names the gateway, its version or
its place is left out; certificates become digests, and private keys are never looked at. What is not known to be a mere
name is compared, so what this code does not know shows as a difference and never passes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ._probe import fingerprint
from ._routes import subset

Object = dict[str, t.Any]
VERDICTS = ("equal", "different", "unknown", "only_blue", "only_green")
UNKNOWN = "not in the dump"  # a secret's digest that can't be told
SHOWN = 160  # characters of a value
FIELDS = 8  # differences of one part that are told

# Names and places of the gateway itself, or of no effect on clients.
_DROPPED = frozenset((
    "statPrefix", "altStatName", "routeConfigName", "lastUpdated", "versionInfo", "initialFetchTimeout",
    "configSource", "sdsConfig", "edsConfig", "decorator",
))  # fmt: skip
_SENSITIVE = re.compile(r"(?i)header|secret|token|password|inline|authorization|cookie|credential|apikey|private")
_WASM = re.compile(r"^(extenstions?\.istio\.io/wasmplugin/)[^.]*\.")  # the name of the plugin, behind its namespace


class Unreadable(ValueError):
    """What was given is no dump."""


@dataclass
class Part:
    """A piece of configuration. kind: listener, filter_chain (HTTP), tcp_chain, virtual_host or route; port: the pods'
    port; host: SNI, or name of the virtual host; match: of a route."""

    kind: str
    port: int
    host: str
    match: str
    config: t.Any

    @property
    def id(self) -> str:
        return " ".join(word for word in (self.kind, str(self.port), self.host, self.match) if word)


@dataclass
class Comparison:
    """parts: {id, kind, port, host, match, verdict, differences: [{field, blue, green}]}; port is blue's."""

    parts: list[Object] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {name: 0 for name in VERDICTS} | Counter(part["verdict"] for part in self.parts)


# -- taking a dump apart -----------------------------------------------------------------------------------------------
def parts_of(dump: t.Any, own_certificates: bool = False) -> dict[tuple[str, int, str, str], Part]:
    """The parts of a dump by (kind, port, host, match). own_certificates: that there is a server certificate is all that
    is said about it. Raises Unreadable."""
    if not isinstance(dump, dict) or not isinstance(dump.get("configs"), list):
        raise Unreadable('it has no "configs"; give what /config_dump of the proxy returns, whole.')
    sections = {str(one.get("@type", "")).rpartition(".")[2]: _camel(one) for one in dump["configs"]}
    secrets = _secrets(sections.get("SecretsConfigDump") or {})
    for secret in secrets.values() if own_certificates else ():
        if secret.get("certificate", UNKNOWN) != UNKNOWN:
            secret["certificate"] = "its own"
    clusters = _by_name(sections.get("ClustersConfigDump") or {}, "Clusters", "cluster")
    routes = _by_name(sections.get("RoutesConfigDump") or {}, "RouteConfigs", "routeConfig")
    reader = _Reader(secrets, clusters, routes, _extensions(sections.get("EcdsConfigDump") or {}))
    for one in (sections.get("ListenersConfigDump") or {}).get("dynamicListeners") or ():
        listener = (one.get("activeState") or {}).get("listener")
        if listener:
            reader.listener(listener)
    if not reader.parts:
        raise Unreadable("it has no active listener; is it a gateway's, and has the gateway its configuration?")
    return reader.parts


def _camel(value: t.Any) -> t.Any:
    """Envoy writes snake_case, istiod camelCase."""
    if isinstance(value, dict):
        return {re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name): _camel(one) for name, one in value.items()}
    return [_camel(one) for one in value] if isinstance(value, list) else value


def _by_name(section: Object, ending: str, key: str) -> dict[str, Object]:
    found = {}
    for name, entries in section.items():
        if name.endswith(ending) and isinstance(entries, list):
            for entry in entries:
                one = entry.get(key) or {}
                if one.get("name"):
                    found[one["name"]] = one
    return found


def _extensions(section: Object) -> dict[str, Object]:
    """Filters that are handed out by themselves, by name: WasmPlugins. istiod gives them without their wrapping."""
    found = {}
    for entry in section.get("ecdsFilters") or ():
        one = entry.get("ecdsFilter") or {}
        name = one.get("name") or (one.get("config") or {}).get("name")
        if name:
            found[name] = one.get("typedConfig") or one
    return found


def _secrets(section: Object) -> dict[str, Object]:
    """By name: a digest of the certificate (of the authorities, for those that clients' certificates lead to)."""
    found = {}
    for secret in _by_name({"s": section.get("dynamicActiveSecrets") or []}, "s", "secret").values():
        certificate = ((secret.get("tlsCertificate") or {}).get("certificateChain")) or {}
        context = secret.get("validationContext") or {}
        known: Object = {}
        if certificate:
            known["certificate"] = _digest(certificate)
        if context:
            known["authorities"] = _digest(context.get("trustedCa") or {})
            known.update({name: one for name, one in context.items() if name != "trustedCa"})
        found[secret["name"]] = known or {"certificate": UNKNOWN}
    return found


def _digest(source: Object) -> str:
    if source.get("filename"):
        return f"file {source['filename']}"
    try:
        data = base64.b64decode(source.get("inlineBytes") or "") or (source.get("inlineString") or "").encode()
        leaf = fingerprint(data.decode("ascii", "replace"))
    except (binascii.Error, ValueError):
        return UNKNOWN
    return f"sha256:{leaf or hashlib.sha256(data).hexdigest()}" if data else UNKNOWN


class _Reader:
    def __init__(
        self, secrets: dict[str, Object], clusters: dict[str, Object], routes: dict[str, Object],
        extensions: dict[str, Object],
    ) -> None:  # fmt: skip
        self.secrets = secrets
        self.extensions = extensions
        self.clusters = clusters
        self.routes = routes
        self.parts: dict[tuple[str, int, str, str], Part] = {}

    def listener(self, listener: Object) -> None:
        port = ((listener.get("address") or {}).get("socketAddress") or {}).get("portValue")
        rest = {name: one for name, one in listener.items() if name not in ("name", "address", "filterChains")}
        rest.pop("defaultFilterChain", None)
        self._add("listener", port, "", "", self.clean(rest))
        chains = [*(listener.get("filterChains") or ()), *filter(None, [listener.get("defaultFilterChain")])]
        for chain in chains:
            self._chain(port, chain)

    def _chain(self, port: int, chain: Object) -> None:
        match = dict(chain.get("filterChainMatch") or {})
        names = match.pop("serverNames", None) or ["*"]
        rest = {name: one for name, one in chain.items() if name not in ("name", "filterChainMatch")}
        extra = json.dumps(self.clean(match), sort_keys=True) if match else ""
        config, tables = self.clean(rest), self._route_tables(chain)
        if not tables:  # TCP: what it leads to is part of it
            config = {**config, "clusters": self._clusters(rest)}
        for name in names:
            self._add("filter_chain" if tables else "tcp_chain", port, name, extra, config)
            for table in tables:
                self._virtual_hosts(port, table)

    def _route_tables(self, chain: Object) -> list[Object]:
        found = []
        for one in chain.get("filters") or ():
            config = one.get("typedConfig") or {}
            name = (config.get("rds") or {}).get("routeConfigName")
            table = self.routes.get(name) if name else config.get("routeConfig")
            if name or table:
                # A table that the dump names and does not have: nothing of it can be told.
                found.append(table or {"virtualHosts": [{"domains": ["*"], "unknown": UNKNOWN}]})
        return found

    def _virtual_hosts(self, port: int, table: Object) -> None:
        common = {name: one for name, one in table.items() if name not in ("name", "virtualHosts")}
        for virtual in table.get("virtualHosts") or ():
            rest = {name: one for name, one in virtual.items() if name not in ("name", "domains", "routes")}
            labels = [json.dumps(self.clean(one.get("match") or {}), sort_keys=True) for one in virtual.get("routes") or ()]
            whole = {**self.clean(common), **self.clean(rest), "order": labels}
            for domain in dict.fromkeys(re.sub(r":(\d+|\*)$", "", one) for one in virtual.get("domains") or ()):
                self._add("virtual_host", port, domain, "", whole)
                seen: Counter[str] = Counter()
                for label, route in zip(labels, virtual.get("routes") or ()):
                    seen[label] += 1
                    label = label if seen[label] == 1 else f"{label} #{seen[label]}"
                    action = {name: one for name, one in route.items() if name not in ("match", "name")}
                    self._add("route", port, domain, label, {**self.clean(action), "clusters": self._clusters(action)})

    def _clusters(self, action: t.Any) -> Object:
        """What the clusters are that something leads to; by name, since backends are the same for both gateways."""
        names = sorted(set(_named(action)))
        return {name: self.clean(self.clusters[name]) if name in self.clusters else "unknown cluster" for name in names}

    def _add(self, kind: str, port: int, host: str, match: str, config: t.Any) -> None:
        self.parts.setdefault((kind, port, host, match), Part(kind, port, host, match, config))

    # -- normalising ---------------------------------------------------------------------------------------------------
    def clean(self, value: t.Any, key: str = "") -> t.Any:
        if isinstance(value, list):
            return [self.clean(one, key) for one in value]
        if not isinstance(value, dict):
            return value
        if key in ("tlsCertificateSdsSecretConfigs", "validationContextSdsSecretConfig"):
            return self.secrets.get(value.get("name", ""), {"certificate": UNKNOWN})
        if key == "rules" and isinstance(value.get("policies"), dict):
            # The name of an authorization policy tells its namespace; what it says is what counts.
            bodies = [self.clean(one) for one in value["policies"].values()]
            value = {**value, "policies": sorted(bodies, key=lambda one: json.dumps(one, sort_keys=True))}
            return {name: one if name == "policies" else self.clean(one, name) for name, one in value.items()}
        if "configDiscovery" in value:
            filled = self.extensions.get(value.get("name", ""), {"unknown": UNKNOWN})
            value = {**{name: one for name, one in value.items() if name != "configDiscovery"}, "typedConfig": filled}
        found = {}
        for name, one in value.items():
            if name in _DROPPED or name == "privateKey":
                continue
            if name == "filterMetadata" and isinstance(one, dict):
                one = {space: more for space, more in one.items() if space != "istio"}
            if name == "name" and isinstance(one, str):
                one = _WASM.sub(r"\1", one)
            cleaned = self.clean(one, name)
            if cleaned not in ({}, []) or one in ({}, []):
                found[name] = cleaned
        return found


def _named(value: t.Any) -> t.Iterator[str]:
    """Names of clusters in a route's or a filter's configuration."""
    if isinstance(value, list):
        for one in value:
            yield from _named(one)
    elif isinstance(value, dict):
        for name, one in value.items():
            if name == "cluster" and isinstance(one, str):
                yield one
            elif name == "clusters" and isinstance(one, list):
                yield from (entry["name"] for entry in one if isinstance(entry, dict) and entry.get("name"))
            else:
                yield from _named(one)


# -- comparing ---------------------------------------------------------------------------------------------------------
def compare(
    blue: t.Any, green: t.Any, ports: dict[int, int] | None = None, own_certificates: bool = False
) -> Comparison:  # fmt: skip
    """Compares two dumps. ports: blue's port -> green's, where they differ. own_certificates: each side has server
    certificates of its own, so that these are not compared. Raises Unreadable, saying whose."""
    sides = {}
    for name, dump in (("blue", blue), ("green", green)):
        try:
            sides[name] = parts_of(dump, own_certificates)
        except Unreadable as exc:
            raise Unreadable(f"{name}: {exc}") from exc
    back = {to: port for port, to in (ports or {}).items()}
    others = {(kind, back.get(port, port), host, match): one for (kind, port, host, match), one in sides["green"].items()}
    found = Comparison()
    for key in sorted({*sides["blue"], *others}, key=str):
        one, other = sides["blue"].get(key), others.get(key)
        kind, port, host, match = key
        part = {"id": Part(*key, None).id, "kind": kind, "port": port, "host": host, "match": match, "differences": []}
        if one is None or other is None:
            part["verdict"] = "only_green" if one is None else "only_blue"
        else:
            part["differences"] = list(_differences(one.config, other.config, ""))[:FIELDS]
            unknown = UNKNOWN in json.dumps(one.config) or UNKNOWN in json.dumps(other.config)
            part["verdict"] = "different" if part["differences"] else "unknown" if unknown else "equal"
        found.parts.append(part)
    return found


def _differences(blue: t.Any, green: t.Any, path: str) -> t.Iterator[Object]:
    if blue == green:
        return
    if isinstance(blue, dict) and isinstance(green, dict):
        for name in sorted({*blue, *green}):
            if blue.get(name) != green.get(name):
                yield from _differences(blue.get(name), green.get(name), f"{path}.{name}" if path else name)
        return
    if isinstance(blue, list) and isinstance(green, list):
        names = [[one.get("name") if isinstance(one, dict) else None for one in side] for side in (blue, green)]
        if None not in names[0] + names[1] and names[0] != names[1]:
            yield {"field": path, "blue": ", ".join(names[0]), "green": ", ".join(names[1])}
            return
        if len(blue) == len(green):
            for index, (one, other) in enumerate(zip(blue, green)):
                yield from _differences(one, other, f"{path}[{index}]")
            return
    yield {"field": path, "blue": _shown(blue, path), "green": _shown(green, path)}


def _shown(value: t.Any, path: str) -> str | None:
    """A value for people. What may be a secret is a digest: configuration holds headers to set, and scripts."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if _SENSITIVE.search(path) or (not isinstance(value, str) and _SENSITIVE.search(text)):
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


# -- routes ------------------------------------------------------------------------------------------------------------
def judge(route: Object, found: Comparison, listening: dict[int, int]) -> Object:
    """Whether all that configuration has to do with a route (or what route_info calls unprobed) is equal.

    listening: Gateway server port -> port of blue's pods. Every route of the host counts, since they are tried in order.
    Returns {id, verdict, differences}.
    """
    port = listening.get(route["port"], route["port"])
    hosts = [one.strip().lower() for one in (route.get("host") or "").split(",")]
    relevant = [
        part
        for part in found.parts
        if part["port"] == port and (part["kind"] == "listener" or any(_meets(part["host"], host) for host in hosts))
    ]
    # That neither side has anything for a host proves nothing: the dumps may be older than the route.
    ends = [part["host"] for part in relevant if part["kind"] in ("virtual_host", "tcp_chain")]
    missing = [host for host in hosts if not any(_meets(end, host) for end in ends)]
    wrong = [part for part in relevant if part["verdict"] != "equal"]
    different = [part for part in wrong if part["verdict"] != "unknown"]
    if missing:
        words = f"no configuration of blue or green is for {', '.join(missing)} on port {port}"
        return {"id": route["id"], "verdict": "unknown", "differences": [_difference("", "host", words, None)]}
    return {
        "id": route["id"],
        "verdict": "different" if different else "unknown" if wrong else "equal",
        "differences": [
            {"part": part["id"], **one}
            for part in (different or wrong)
            for one in part["differences"] or [{"field": "", "blue": _has(part, "blue"), "green": _has(part, "green")}]
        ][:FIELDS],
    }


def _meets(one: str, other: str) -> bool:
    return subset(one, other) or subset(other, one)


def _difference(part: str, name: str, blue: t.Any, green: t.Any) -> Object:
    return {"part": part, "field": name, "blue": blue, "green": green}


def _has(part: Object, side: str) -> str:
    if part["verdict"] == "unknown":
        return UNKNOWN
    return "there" if part["verdict"] == f"only_{side}" else "missing"
