# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ingress as a controller of a given dialect takes it, with what stands beside it. Pure."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import re
import typing as t

from ._objects import Object
from .ingress_dialects import Cannot, Dialect, Words

API = "networking.k8s.io/v1"
LONGEST = 50  # characters of a name, so that Traefik's kinds can have a number behind it


@dataclasses.dataclass
class Draft:
    """One Ingress in the making: one host ('' for any) and a set of paths that want the same words.

    paths: (path, pathType). service: (name, port number) in its namespace. words: what the dialect said so far.
    """

    name: str
    namespace: str
    class_name: str
    host: str
    paths: list[tuple[str, str]]
    service: tuple[str, int]
    secret: str = ""
    words: list[Words] = dataclasses.field(default_factory=list)

    @property
    def differs(self) -> list[str]:
        return [words.differs for words in self.words if words.differs]


def name_of(prefix: str, *parts: str) -> str:
    """A name that is legal, short, and one for one set of parts."""
    text = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower().replace("*", "any")).strip("-") or "any"
    name = f"{prefix}-{text}"
    plain = "-".join(parts) == text
    if plain and len(name) <= LONGEST:
        return name
    mark = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:6]
    return f"{name[: LONGEST - 7].rstrip('-')}-{mark}"


def render(draft: Draft, dialect: Dialect, services: t.Mapping[tuple[str, str], Object]) -> list[Object]:
    """The Ingress, and before it what it names. services: by (namespace, name). Raises Cannot."""
    annotations: dict[str, str] = {}
    wanted_of_service: dict[str, str] = {}
    parts: list[Object] = []
    paths = list(draft.paths)
    for words in draft.words:
        clash = [k for k, v in words.annotations.items() if annotations.get(k, v) != v and not _later_wins(k)]
        if clash:
            raise Cannot(f"two features want {', '.join(clash)} otherwise. Write this Ingress by hand.")
        annotations |= words.annotations
        wanted_of_service |= words.service
        parts += words.parts
        if words.path:
            paths = [(words.path, words.path_type or path_type) for _path, path_type in paths]
    ingress: Object = {
        "apiVersion": API, "kind": "Ingress",
        "metadata": {"namespace": draft.namespace, "name": draft.name, "annotations": annotations},
        "spec": {"ingressClassName": draft.class_name},
    }  # fmt: skip
    wanted_of_service |= dialect.service_words(ingress, parts)
    name, port = draft.service
    made = dialect.attach(ingress, parts)
    if wanted_of_service:
        made.insert(0, own_service(draft, services.get((draft.namespace, name)), wanted_of_service))
        name = draft.name
    backend = {"service": {"name": name, "port": {"number": port}}}
    rule: Object = {"http": {"paths": [{"path": p, "pathType": kind, "backend": backend} for p, kind in paths]}}
    if draft.host:
        rule = {"host": draft.host, **rule}
    if draft.secret:
        ingress["spec"]["tls"] = [{**({"hosts": [draft.host]} if draft.host else {}), "secretName": draft.secret}]
    ingress["spec"]["rules"] = [rule]
    return [*made, ingress]


def _later_wins(annotation: str) -> bool:
    """A timeout of a route comes after the general patience."""
    return annotation.endswith(("-read-timeout", "-send-timeout", "/timeout-server"))


def own_service(draft: Draft, source: Object | None, annotations: dict[str, str]) -> Object:
    """A Service of ours for the same pods and port, that carries annotations. Raises Cannot."""
    name, number = draft.service
    spec = (source or {}).get("spec") or {}
    port = next((p for p in spec.get("ports") or () if p["port"] == number), None)
    if not spec.get("selector") or port is None:
        raise Cannot(
            f"Service {draft.namespace}/{name} has no selector, or no port {number}: this controller needs a Service of"
            " ours beside it, for the same pods. Annotate that Service by hand, and write its Ingress."
        )
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": draft.namespace, "name": draft.name, "annotations": annotations},
        "spec": {
            "selector": dict(spec["selector"]),
            "ports": [{k: v for k, v in copy.deepcopy(port).items() if k != "nodePort"}],
        },
    }  # fmt: skip


def hosts_of(ingress: Object) -> set[str]:
    """'' for a rule without host."""
    return {(rule or {}).get("host") or "" for rule in (ingress.get("spec") or {}).get("rules") or ()}


def class_of(ingress: Object) -> str:
    """By the field, else by the old annotation."""
    old = (ingress["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class")
    return (ingress.get("spec") or {}).get("ingressClassName") or old or ""
