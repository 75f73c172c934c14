# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traefik's own provider for Ingresses (kubernetesIngress), with its own kinds for what annotations can't say.

Sources: Traefik's docs, reference/routing-configuration/kubernetes/ingress (annotations of Ingresses and Services) and
.../crd/http/serverstransport, middlewares. How the backend is spoken to is said on the Service, so each Ingress gets a
Service of its own: blue's is not touched. Objects of other providers are named NAMESPACE-NAME@kubernetescrd.
"""

from __future__ import annotations

import re
import typing as t

from ._dialect import Cannot, Dialect, Object, Words, seconds

I = "traefik.ingress.kubernetes.io/router."  # noqa: E741
S = "traefik.ingress.kubernetes.io/service."
API = "traefik.io/v1alpha1"
SCHEMES = {"http": "http", "https": "https", "h2c": "h2c", "grpc": "h2c", "grpcs": "https"}


class Traefik(Dialect):
    code = "traefik"
    title = "Traefik"
    controllers = ("traefik.io/ingress-controller",)
    same_path = "the one with the higher router.priority answers; the interim Ingresses have 1, the lowest"

    def backend(self, protocol: str, sni: str) -> Words:
        service = {S + "serversscheme": SCHEMES[protocol], S + "passhostheader": "true"}
        parts = []
        if protocol in ("https", "grpcs"):
            spec: Object = {"insecureSkipVerify": True}
            if sni:
                spec["serverName"] = sni
            parts.append({"kind": "ServersTransport", "spec": spec})
        return Words(service=service if protocol != "http" else {}, parts=parts)

    def https_redirect(self, wanted: bool) -> Words:
        """An Ingress serves the entry points that it names; the chart calls them web and websecure."""
        words = {I + "entrypoints": "web,websecure"}
        if not wanted:
            return Words(words)
        return Words(words, parts=[middleware({"redirectScheme": {"scheme": "https", "permanent": True}})])

    def patience(self) -> Words:
        return Words(differs="an entry point's respondingTimeouts.readTimeout (60 s) ends longer uploads: raise it")

    def priority(self, low: bool) -> Words:
        return Words({I + "priority": "1"} if low else {})

    def rewrite_path(self, kind: str, path: str, new: str) -> Words:
        if kind == "exact":
            return Words(parts=[middleware({"replacePath": {"path": new or "/"}})])
        tail = "(.*)" if path.endswith("/") else ("/?(.*)" if new.endswith("/") else "(.*)")
        spec = {"regex": f"^{re.escape(path)}{tail}", "replacement": f"{new}$1"}
        return Words(parts=[middleware({"replacePathRegex": spec})])

    def redirect(self, kind: str, path: str, target: Object) -> Words:
        code = target.get("code") or 301
        if code not in (301, 302):
            raise Cannot(f"Traefik redirects with 301 or 302 for GET, not with {code}. Let the application answer.")
        parts = r"^(https?)://([^/]+)(.*)$"
        url = "".join(
            (
                target.get("scheme") or "$1", "://", target.get("authority") or "$2",
                target.get("uri") or "$3",
            )
        )  # fmt: skip
        # Traefik's replacement takes ${1}, so that what follows a group is no part of its name.
        url = re.sub(r"\$(\d)", r"${\1}", url)
        spec = {"regex": parts, "replacement": url, "permanent": code == 301}
        return Words(parts=[middleware({"redirectRegex": spec})])

    def rewrite_host(self, host: str) -> Words:
        return Words(parts=[middleware({"headers": {"customRequestHeaders": {"Host": host}}})])

    def timeout(self, value: float) -> Words:
        spec = {"forwardingTimeouts": {"responseHeaderTimeout": f"{seconds(value)}s"}}
        return Words(
            service={S + "passhostheader": "true"}, parts=[{"kind": "ServersTransport", "spec": spec}],
            differs="it ends at the response's headers, not at its end",
        )  # fmt: skip

    def retries(self, attempts: int, on: t.Sequence[str]) -> Words:
        if attempts <= 0:
            return Words()
        differs = "only where the backend does not answer at all, whatever its status"
        return Words(parts=[middleware({"retry": {"attempts": attempts + 1}})], differs=differs)

    def cors(self, policy: Object) -> Words:
        spec: Object = {
            "accessControlAllowOriginList": policy["origins"], "accessControlAllowCredentials": policy["credentials"],
            "addVaryHeader": True,
        }  # fmt: skip
        names = (("methods", "Methods"), ("headers", "Headers"))
        spec |= {f"accessControlAllow{name}": policy[key] for key, name in names if policy[key]}
        if policy["expose"]:
            spec["accessControlExposeHeaders"] = policy["expose"]
        if policy["max_age"] is not None:
            spec["accessControlMaxAge"] = int(policy["max_age"])
        return Words(parts=[middleware({"headers": spec})])

    def request_headers(self, change: Object) -> Words:
        return self._headers("customRequestHeaders", change)

    def response_headers(self, change: Object) -> Words:
        return self._headers("customResponseHeaders", change)

    def _headers(self, field: str, change: Object) -> Words:
        """An empty value removes a header; nothing adds a second one of a name."""
        values = {**change["set"], **change["add"], **dict.fromkeys(change["remove"], "")}
        differs = f"{', '.join(change['add'])} replaces what is there" if change["add"] else ""
        return Words(parts=[middleware({"headers": {field: values}})], differs=differs)

    def attach(self, ingress: Object, parts: t.Sequence[Object]) -> list[Object]:
        """One ServersTransport of all that is said about it, and one Middleware for each other part, in order."""
        meta = ingress["metadata"]
        made, names = [], []
        transport: Object = {}
        for part in parts:
            if part["kind"] == "ServersTransport":
                transport |= part["spec"]
                continue
            name = f"{meta['name']}-{len(names) + 1}"
            names.append(f"{meta['namespace']}-{name}@kubernetescrd")
            made.append(_object("Middleware", meta["namespace"], name, part["spec"]))
        if transport:
            made.insert(0, _object("ServersTransport", meta["namespace"], meta["name"], transport))
        if names:
            meta["annotations"][I + "middlewares"] = ",".join(names)
        return made

    def service_words(self, ingress: Object, parts: t.Sequence[Object]) -> dict[str, str]:
        """What the Service must say of the parts."""
        if not any(part["kind"] == "ServersTransport" for part in parts):
            return {}
        meta = ingress["metadata"]
        return {S + "serverstransport": f"{meta['namespace']}-{meta['name']}@kubernetescrd"}


def middleware(spec: Object) -> Object:
    return {"kind": "Middleware", "spec": spec}


def _object(kind: str, namespace: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API, "kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec}
