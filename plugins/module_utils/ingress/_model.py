# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between Ingress and Istio: sources (Ingress objects), routes (one host and path each) and the world around.

Plain data. Features read annotations from a Source and write what becomes of them into its routes; nothing here knows
how it is written down for Istio.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from .._inventory import ERROR, WARNING, Finding
from .._objects import annotations_of, key_of, ref_of

Object = dict[str, t.Any]
Ref = tuple[str, str]  # namespace, name
NGINX = "nginx.ingress.kubernetes.io/"
TRANSLATED, NOT_NEEDED, NOT_TRANSLATED = "translated", "not_needed", "not_translated"
EXACT, PREFIX, SPECIFIC = "Exact", "Prefix", "ImplementationSpecific"
BOOLEANS = {  # strconv.ParseBool, with which ingress-nginx reads them
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
ANY = "*"  # the host of a rule without host
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a name of a header (RFC 9110)


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """The Gateway that the Ingresses of a class come to. gateway, workload_namespace: where it is, and where its pods
    are, which is where it reads certificates; selector: labels of these pods; ports: of its servers; default_secret:
    the certificate, in the pods' namespace, for hosts whose Ingress asks for TLS and names no Secret."""

    class_name: str
    gateway: Ref
    selector: dict[str, str]
    workload_namespace: str
    http_port: int = 80
    https_port: int = 443
    default_secret: str = ""

    @property
    def name(self) -> str:
        return f"{self.gateway[0]}/{self.gateway[1]}"


@dataclasses.dataclass(frozen=True)
class Backend:
    """A Service's port. port: its number, None where the Service or the port's name is not known."""

    namespace: str
    service: str
    port: int | None
    written: str  # the port as the Ingress has it

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.written}"


@dataclasses.dataclass
class Canary:
    """What a canary Ingress adds to a backend. weight: percent. header_value, header_pattern: without either, `always`
    and `never` are the values that count."""

    source: Source
    backend: Backend
    weight: int = 0
    header: str = ""
    header_value: str = ""
    header_pattern: str = ""
    cookie: str = ""


@dataclasses.dataclass
class Route:
    """One host and path of an Ingress, and what is done with its requests.

    http: fields of Istio's HTTPRoute as they are to be written (timeout, retries, rewrite, ...); instead: redirect or
    directResponse in the place of a destination; traffic: fields of a DestinationRule's policy for the backend's port;
    regex: its path is a regular expression, for which ingress-nginx takes all paths of the host then; rewrite: what
    rewrite-target says; https: plain HTTP is redirected (None: where the host has TLS); ranges: source addresses that
    may use it, if not all; first: comes before all order; fallback: of spec.defaultBackend, only where no other has the
    path.
    """

    source: Source
    field: str
    host: str
    path: str
    path_type: str
    backend: Backend | None
    http: Object = dataclasses.field(default_factory=dict)
    instead: Object | None = None
    traffic: Object = dataclasses.field(default_factory=dict)
    regex: bool = False
    rewrite: str = ""
    https: bool | None = None
    ranges: tuple[str, ...] = ()
    first: bool = False
    fallback: bool = False

    @property
    def rewrites(self) -> bool:
        """ingress-nginx rewrites nothing where the target is the path itself (location.go, needsRewrite)."""
        return bool(self.rewrite) and self.rewrite != self.path

    @property
    def name(self) -> str:
        return f"{self.source.key} {self.field}"


class Source:
    """An Ingress that is converted, and what became of each of its annotations."""

    def __init__(self, body: Object, target: Target) -> None:
        self.body = body
        self.target = target
        self.key = key_of(body)
        self.namespace = body["metadata"]["namespace"]
        self.annotations = annotations_of(body)
        self.routes: list[Route] = []
        self.entries: dict[str, Object] = {}
        self.passthrough = False
        self.findings: list[Finding] = []
        self.feature = ""  # the one at work

    @property
    def spec(self) -> Object:
        return self.body.get("spec") or {}

    @property
    def canary(self) -> bool:
        return BOOLEANS.get(self.annotations.get(f"{NGINX}canary", ""), False)

    def get(self, name: str) -> str | None:
        """An ingress-nginx annotation by its short name, without surrounding blanks; None where it is not there."""
        value = self.annotations.get(NGINX + name)
        return None if value is None else str(value).strip()

    def flag(self, name: str) -> bool | None:
        """A boolean annotation; None where it is absent, or ignored by ingress-nginx because it is no boolean."""
        value = self.get(name)
        if value is not None and value not in BOOLEANS:
            self.not_needed(name, f"{value!r} is no boolean, and ingress-nginx ignores it")
            return None
        return None if value is None else BOOLEANS[value]

    def number(self, name: str) -> int | None:
        """A whole number that is not negative; None as for flag()."""
        value = self.get(name)
        if value is None:
            return None
        if not value.isdigit():
            self.not_needed(name, f"{value!r} is no number, and ingress-nginx ignores it")
            return None
        return int(value)

    # -- the report ----------------------------------------------------------------------------------------------------
    def translated(self, name: str, why: str) -> None:
        """name: short for ingress-nginx's own annotations, or full where it has a slash."""
        self._note(name, TRANSLATED, why, "")

    def not_needed(self, name: str, why: str) -> None:
        self._note(name, NOT_NEEDED, why, "")

    def refuse(self, name: str, why: str, todo: str, severity: str = ERROR) -> None:
        """It is not translated. severity: error where the routes would do something else than they do now, or let in
        whom they keep out; warning where only a setting is lost."""
        if full(name) not in self.annotations:
            return
        self._note(name, NOT_TRANSLATED, why, todo)
        self.findings.append(
            Finding(
                f"annotation_{self.feature}", severity, f"Ingress {self.key}", f"metadata.annotations[{full(name)}]",
                why, todo,
            )
        )  # fmt: skip

    def _note(self, name: str, status: str, why: str, todo: str) -> None:
        name = full(name)
        if name in self.annotations and (name not in self.entries or status == NOT_TRANSLATED):
            self.entries[name] = {
                "ingress": self.key, "annotation": name, "status": status, "feature": self.feature, "why": why,
                "todo": todo,
            }  # fmt: skip

    def warn(self, code: str, field: str, found: str, fix: str, severity: str = WARNING) -> None:
        self.findings.append(Finding(code, severity, f"Ingress {self.key}", field, found, fix))


def full(name: str) -> str:
    return name if "/" in name else NGINX + name


@dataclasses.dataclass
class World:
    """All that a conversion looks at, and what features share. secrets: names of all TLS Secrets, None where they may
    not be listed; others: Istio objects that are not ours, by kind; marks: labels of what we make."""

    sources: list[Source] = dataclasses.field(default_factory=list)
    targets: list[Target] = dataclasses.field(default_factory=list)
    services: list[Object] = dataclasses.field(default_factory=list)
    secrets: set[Ref] | None = None
    issuers: list[Object] = dataclasses.field(default_factory=list)
    certificates: list[Object] = dataclasses.field(default_factory=list)
    pods: list[Object] = dataclasses.field(default_factory=list)
    gateways: list[Object] = dataclasses.field(default_factory=list)
    virtual_services: list[Object] = dataclasses.field(default_factory=list)
    destination_rules: list[Object] = dataclasses.field(default_factory=list)
    cluster_domain: str = "cluster.local"
    marks: dict[str, str] = dataclasses.field(default_factory=dict)
    canaries: dict[tuple[str, Backend], Canary] = dataclasses.field(default_factory=dict)  # by class and main backend
    hosts: set[tuple[str, str]] = dataclasses.field(default_factory=set)  # (Gateway, host) of every rule
    aliases: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)  # (Gateway, alias) -> host
    findings: list[Finding] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def service_by_ref(self) -> dict[Ref, Object]:
        return {ref_of(service): service for service in self.services}

    def backend(self, namespace: str, written: Object) -> Backend | None:
        """What `backend` of an Ingress means; None for a resource, which is no Service."""
        service = written.get("service")
        if not service:
            return None
        port = service.get("port") or {}
        number, name = port.get("number"), port.get("name")
        found = self.service_by_ref.get((namespace, service["name"]))
        for entry in ((found or {}).get("spec") or {}).get("ports") or ():
            if name and entry.get("name") == name:
                number = entry["port"]
        return Backend(namespace, service["name"], number, str(name or number or ""))

    def port_of(self, backend: Backend) -> Object | None:
        """The Service's entry for the backend's port."""
        service = self.service_by_ref.get((backend.namespace, backend.service))
        ports = ((service or {}).get("spec") or {}).get("ports") or ()
        return next((entry for entry in ports if entry["port"] == backend.port), None)
