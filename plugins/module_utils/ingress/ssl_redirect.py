# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssl-redirect, force-ssl-redirect: plain HTTP is sent to HTTPS with 308.

On by default where the host has a certificate (ingress-nginx docs, annotations.md). Istio's `httpsRedirect` of a server
would answer 301 for all of its hosts; a route at the server's port answers as blue does, path by path.
"""

from __future__ import annotations

from ._model import Source, World

CODE = "ssl_redirect"
ANNOTATIONS = {
    "ssl-redirect": "redirect 308 at the HTTP port; without it, where the host has TLS",
    "force-ssl-redirect": "redirect 308 at the HTTP port, with TLS or without",
    "preserve-trailing-slash": "not needed: Envoy keeps it",
}


def apply(source: Source, world: World) -> None:
    wanted, forced = source.flag("ssl-redirect"), source.flag("force-ssl-redirect")
    for route in source.routes:
        if forced:
            route.https = True
        elif wanted is False:
            route.https = False
    if wanted is not None:
        has_tls = bool(source.spec.get("tls"))
        what = "plain HTTP is redirected" if wanted or forced else "plain HTTP is served"
        source.translated("ssl-redirect", what if has_tls or not wanted else f"{what} if the host has a certificate")
    if forced is not None:
        (source.translated if forced else source.not_needed)(
            "force-ssl-redirect", "it is on" if forced else "it is off"
        )
    source.not_needed("preserve-trailing-slash", "Envoy's redirect keeps the path as it is")
    if forced and not source.spec.get("tls"):
        source.warn(
            "redirect_without_tls", "metadata.annotations[nginx.ingress.kubernetes.io/force-ssl-redirect]",
            "it redirects to HTTPS and has no tls: if a balancer before the gateway ends TLS and forwards plain HTTP,"
            " that is a loop on a gateway that does not know so",
            "Serve the host's certificate at the gateway, or take the annotation away and redirect at the balancer.",
        )  # fmt: skip
