# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy Ingress, the community's (haproxy-ingress.github.io). HAProxy Technologies' is the dialect haproxy.

Source: its docs, configuration/keys: backend-protocol, secure-backends (secure-sni: `host` sends each request's own),
timeout-*, cors-*, rewrite-target, redirect-to.
"""

from __future__ import annotations

from ._dialect import HOUR, Dialect, Object, Words, seconds

A = "haproxy-ingress.github.io/"
PROTOCOLS = {"http": "h1", "https": "h1-ssl", "h2c": "h2", "grpc": "grpc", "grpcs": "grpcs"}


class HAProxyIngress(Dialect):
    code = "haproxy_ingress"
    title = "HAProxy Ingress"
    controllers = ("haproxy-ingress.github.io/controller",)
    same_path = "the oldest Ingress keeps it: remove the interim Ingress of a host right behind it"

    def backend(self, protocol: str, sni: str) -> Words:
        words = {A + "backend-protocol": PROTOCOLS[protocol]}
        if sni and protocol in ("https", "grpcs"):
            words[A + "secure-sni"] = "host"
        return Words(words)

    def https_redirect(self, wanted: bool) -> Words:
        return Words({A + "ssl-redirect": str(wanted).lower()})

    def patience(self) -> Words:
        words = {A + name: f"{HOUR}s" for name in ("timeout-server", "timeout-tunnel")}
        return Words(words, differs="timeout-client is the controller's alone (50s by default): raise it there")

    def rewrite_path(self, kind: str, path: str, new: str) -> Words:
        if kind != "prefix" or path.rstrip("/") == "" or not path.endswith("/") == new.endswith("/"):
            return super().rewrite_path(kind, path, new)
        return Words({A + "rewrite-target": new})

    def timeout(self, value: float) -> Words:
        words = {A + "timeout-server": f"{seconds(value)}s"}
        return Words(words, differs="it is the longest silence of the backend, not the longest request")

    def cors(self, policy: Object) -> Words:
        words = {
            A + "cors-enable": "true", A + "cors-allow-origin": ",".join(policy["origins"]),
            A + "cors-allow-credentials": str(policy["credentials"]).lower(),
        }  # fmt: skip
        lists = (
            ("methods", "cors-allow-methods"),
            ("headers", "cors-allow-headers"),
            ("expose", "cors-expose-headers"),
        )
        words |= {A + name: ",".join(policy[key]) for key, name in lists if policy[key]}
        if policy["max_age"] is not None:
            words[A + "cors-max-age"] = seconds(policy["max_age"])
        return Words(words)
