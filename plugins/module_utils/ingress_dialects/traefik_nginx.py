# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traefik's provider for Ingresses written for ingress-nginx: the same annotations, as far as Traefik knows them.

Source: traefik, pkg/provider/kubernetes/ingress-nginx/annotations.go, as of 2026. What is not in KNOWN is ignored there
without a word, so it is refused here.
"""

from __future__ import annotations

import typing as t

from . import nginx
from ._dialect import Cannot, Object, Words

KNOWN = frozenset(
    nginx.A + name
    for name in (
        "force-ssl-redirect", "ssl-redirect", "ssl-passthrough", "use-regex", "rewrite-target", "app-root",
        "permanent-redirect", "permanent-redirect-code", "temporal-redirect", "temporal-redirect-code",
        "from-to-www-redirect", "affinity", "service-upstream", "backend-protocol", "proxy-ssl-secret",
        "proxy-ssl-verify", "proxy-ssl-name", "proxy-ssl-server-name", "proxy-connect-timeout",
        "proxy-next-upstream-tries", "proxy-next-upstream-timeout", "enable-cors", "cors-allow-credentials",
        "cors-expose-headers", "cors-allow-headers", "cors-allow-methods", "cors-allow-origin", "cors-max-age",
        "upstream-vhost", "proxy-request-buffering", "proxy-body-size", "proxy-buffering",
    )
)  # fmt: skip


class TraefikNginx(nginx.Nginx):
    code = "traefik_nginx"
    title = "Traefik's ingress-nginx provider"
    same_path = "which of two Ingresses answers is not defined: remove the interim Ingress of a host right behind it"
    wildcard_any_depth = False

    def patience(self) -> Words:
        """Traefik's limits are those of its entry points (respondingTimeouts), not of an Ingress."""
        return Words(
            {key: value for key, value in super().patience().annotations.items() if key in KNOWN},
            differs="an entry point's respondingTimeouts.readTimeout (60 s) ends longer uploads: raise it",
        )

    def backend(self, protocol: str, sni: str) -> Words:
        """Traefik takes the server name for HTTPS and GRPCS alike."""
        if protocol == "grpcs" and sni:
            over_tls = super().backend("https", sni)
            return Words({**over_tls.annotations, nginx.A + "backend-protocol": "GRPCS"})
        return super().backend(protocol, sni)

    def timeout(self, value: float) -> Words:
        raise Cannot("Traefik ignores proxy-read-timeout. Use a ServersTransport (dialect traefik), or do without.")

    def retries(self, attempts: int, on: t.Sequence[str]) -> Words:
        raise Cannot("Traefik ignores proxy-next-upstream. Use a Middleware (dialect traefik), or Linkerd's retries.")

    def redirect(self, kind: str, path: str, target: Object) -> Words:
        if not (target.get("scheme") and target.get("authority") and target.get("uri")):
            raise Cannot(
                "Traefik does not know nginx' variables, so the whole URL is needed: scheme, authority and uri."
            )
        return super().redirect(kind, path, target)

    def share(self, percent: int) -> Words:
        raise Cannot("Traefik ignores canary-weight. Finish the canary before this host is moved.")

    def header_match(self, name: str, value: str) -> Words:
        raise Cannot("Traefik ignores canary-by-header. Give these clients a host or a path of their own.")
