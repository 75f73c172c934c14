# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps people out, or slows them down, and can't be said by Istio's routes: never left out in silence.

Each of these is an error, so that nothing is written while it stands: an Ingress that asks for a password must not
become a route that does not.
"""

from __future__ import annotations

from ._model import Source, World

CODE = "protection"
EXTERNAL = (
    "Add the service as an extensionProvider (envoyExtAuthzHttp) to the mesh's configuration, and an"
    " AuthorizationPolicy with action CUSTOM for this host and the gateway's pods. Then waive this."
)
BASIC = (
    "Let an external authorizer ask for it (AuthorizationPolicy, action CUSTOM), or the application. Then waive this."
)
CLIENT = (
    "Give the host a server of tls.mode MUTUAL in a Gateway, with the CA in NAME-cacert beside the gateway's pods. Then"
    " waive this."
)
LIMIT = "Add an EnvoyFilter with Envoy's local or global rate limit for this host, or waive this."
FIREWALL = "Run a WAF as a WasmPlugin or before the gateway. Then waive this."
_NAMES = {
    EXTERNAL: """auth-url auth-signin auth-signin-redirect-param auth-method auth-response-headers auth-request-redirect
        auth-snippet auth-cache-key auth-cache-duration auth-proxy-set-headers auth-always-set-cookie auth-keepalive
        auth-keepalive-requests auth-keepalive-share-vars auth-keepalive-timeout""",
    BASIC: "auth-type auth-secret auth-secret-type auth-realm satisfy",
    CLIENT: """auth-tls-secret auth-tls-verify-client auth-tls-verify-depth auth-tls-error-page auth-tls-match-cn
        auth-tls-pass-certificate-to-upstream""",
    LIMIT: """limit-rps limit-rpm limit-connections limit-burst-multiplier limit-rate limit-rate-after limit-whitelist
        global-rate-limit global-rate-limit-window global-rate-limit-key global-rate-limit-ignored-cidrs""",
    FIREWALL: "enable-modsecurity enable-owasp-core-rules modsecurity-snippet modsecurity-transaction-id",
}
_TODO = {name: todo for todo, names in _NAMES.items() for name in names.split()}
_WHY = {
    EXTERNAL: "Istio asks an external authorizer only if the mesh's configuration names it",
    BASIC: "Istio's gateways ask for no password",
    CLIENT: "client certificates are a matter of the Gateway's server, for all of its hosts and paths",
    LIMIT: "Istio's routes limit no rate",
    FIREWALL: "Istio has no such firewall",
}
# Without the first of each group the others do nothing.
LEADERS = {EXTERNAL: ("auth-url",), BASIC: ("auth-type",), CLIENT: ("auth-tls-secret",)}
ANNOTATIONS = {name: f"refused: {_WHY[todo]}" for name, todo in _TODO.items()} | {
    "enable-global-auth": "refused where it is on: a setting of the controller"
}


def apply(source: Source, world: World) -> None:
    for name, todo in _TODO.items():
        value = source.get(name)
        if value is None:
            continue
        leaders = LEADERS.get(todo, ())
        if leaders and not any(source.get(leader) for leader in leaders):
            source.not_needed(name, f"there is no {leaders[0]}, and so it does nothing")
        elif todo in (LIMIT, FIREWALL) and value in ("0", "", "false"):
            source.not_needed(name, "it is off")
        else:
            source.refuse(name, _WHY[todo], todo)
    if source.flag("enable-global-auth") is False:
        source.not_needed("enable-global-auth", "it is off, and so is it on Istio")
    elif source.get("enable-global-auth") is not None:
        source.refuse(
            "enable-global-auth", "whether the controller asks somebody for leave is in its ConfigMap", EXTERNAL
        )
