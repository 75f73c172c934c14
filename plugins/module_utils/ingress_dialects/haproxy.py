# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy Technologies' Kubernetes Ingress Controller (haproxy.org annotations).

Source: its documentation/annotations.md, 3.2. server-ssl sends no server name, so that takes a backend-config-snippet;
and Ingresses for one Service share one backend, unless each says standalone-backend.
"""

from __future__ import annotations

from ._dialect import HOUR, Cannot, Dialect, Object, Words, seconds

A = "haproxy.org/"


class HAProxy(Dialect):
    code = "haproxy"
    title = "HAProxy Kubernetes Ingress Controller"
    controllers = ("haproxy.org/ingress-controller/haproxy",)
    same_path = "which of two Ingresses answers is not defined: remove the interim Ingress of a host right behind it"
    shares_backends = True

    def backend(self, protocol: str, sni: str) -> Words:
        words = {A + "standalone-backend": "true"}
        if protocol in ("https", "grpcs"):
            words[A + "server-ssl"] = "true"
        if protocol in ("h2c", "grpc", "grpcs"):
            words[A + "server-proto"] = "h2"
        if sni and protocol in ("https", "grpcs"):
            if not self.snippets:
                raise Cannot(
                    f"{self.title} sends a server name to backends by a backend-config-snippet alone, and the gateway"
                    " picks its certificate by it. Allow snippets (snippets: true), or choose another controller."
                )
            words[A + "backend-config-snippet"] = "default-server sni req.hdr(host)\n"
        return Words(words)

    def https_redirect(self, wanted: bool) -> Words:
        words = {A + "ssl-redirect": str(wanted).lower()}
        return Words({**words, A + "ssl-redirect-code": "301", A + "ssl-redirect-port": "443"} if wanted else words)

    def patience(self) -> Words:
        words = {A + "timeout-server": f"{HOUR}s"}
        return Words(words, differs="timeout-client and timeout-tunnel are the controller's alone: see its ConfigMap")

    def rewrite_path(self, kind: str, path: str, new: str) -> Words:
        if kind == "exact":
            return Words({A + "path-rewrite": new or "/"})
        return Words({A + "path-rewrite": rf"{path.rstrip('/')}/?(.*) {new.rstrip('/')}/\1"})

    def rewrite_host(self, host: str) -> Words:
        return Words({A + "set-host": host})

    def timeout(self, value: float) -> Words:
        words = {A + "timeout-server": f"{seconds(value)}s"}
        return Words(words, differs="it is the longest silence of the backend, not the longest request")

    def cors(self, policy: Object) -> Words:
        if len(policy["origins"]) > 1:
            raise Cannot("it takes one origin, or one regex for all of them. Write the regex by hand.")
        if policy["expose"]:
            raise Cannot("it has no annotation for exposed headers. Let the application answer with these headers.")
        words = {
            A + "cors-enable": "true", A + "cors-allow-origin": policy["origins"][0],
            A + "cors-allow-credentials": str(policy["credentials"]).lower(),
        }  # fmt: skip
        lists = (("methods", "cors-allow-methods"), ("headers", "cors-allow-headers"))
        words |= {A + name: ", ".join(policy[key]) for key, name in lists if policy[key]}
        if policy["max_age"] is not None:
            words[A + "cors-max-age"] = f"{seconds(policy['max_age'])}s"
        return Words(words)

    def request_headers(self, change: Object) -> Words:
        return self._headers("request-set-header", change)

    def response_headers(self, change: Object) -> Words:
        return self._headers("response-set-header", change)

    def _headers(self, name: str, change: Object) -> Words:
        if change["remove"]:
            raise Cannot(f"it sets headers and removes none: {', '.join(change['remove'])}. Let the application do it.")
        values = {**change["set"], **change["add"]}
        differs = f"{', '.join(change['add'])} replaces what is there" if change["add"] else ""
        return Words({A + name: "".join(f'{k} "{v}"\n' for k, v in values.items())}, differs=differs)
