# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ingress-nginx, which was retired in March 2026. It is here for those who have it already; choose another for green.

Sources: its docs (user-guide/nginx-configuration/annotations.md), its template and annotations/proxyssl. proxy_ssl_name
is for HTTPS backends; the template sets no grpc_ssl_name, so a GRPCS backend sees no server name.
"""

from __future__ import annotations

import re
import typing as t

from ._dialect import HOUR, Cannot, Dialect, Object, Words, seconds

A = "nginx.ingress.kubernetes.io/"
PROTOCOLS = {"http": "HTTP", "https": "HTTPS", "h2c": "GRPC", "grpc": "GRPC", "grpcs": "GRPCS"}
# Istio's retryOn -> proxy_next_upstream. What is not here has no like in nginx.
RETRY = {
    "connect-failure": ("error", "timeout"), "refused-stream": ("error",), "reset": ("error",),
    "unavailable": ("http_503",), "gateway-error": ("http_502", "http_503", "http_504"),
    "5xx": ("error", "timeout", "http_500", "http_502", "http_503", "http_504"), "503": ("http_503",),
    "retriable-status-codes": (), "cancelled": (), "retriable-4xx": (), "reset-before-request": ("error",),
    "envoy-ratelimited": (),
}  # fmt: skip
PLAIN = re.compile(r"[A-Za-z0-9/_~.-]*")  # what needs no escaping in a location and in a rewrite


class Nginx(Dialect):
    code = "nginx"
    title = "ingress-nginx"
    controllers = ("k8s.io/ingress-nginx",)
    same_path = (
        "the oldest Ingress keeps it; with its admission webhook on, a second one is refused: remove the interim"
        " Ingress of a host in the same minute"
    )
    wildcard_any_depth = True

    def backend(self, protocol: str, sni: str) -> Words:
        if protocol == "h2c":
            raise Cannot(f"{self.title} speaks HTTP/2 to backends as gRPC only. Serve HTTP/1.1 on this port as well.")
        words = {A + "backend-protocol": PROTOCOLS[protocol]}
        if sni and protocol == "grpcs":
            return self._grpc_sni(words, sni)
        if sni:
            words |= {A + "proxy-ssl-server-name": "on", A + "proxy-ssl-name": sni}
        return Words(words)

    def _grpc_sni(self, words: dict[str, str], sni: str) -> Words:
        if not self.snippets:
            raise Cannot(
                f"{self.title} sends no server name to a GRPCS backend, and the gateway picks its certificate by it."
                " Move this host first, allow snippets (snippets: true), or choose another controller."
            )
        snippet = f"grpc_ssl_server_name on;\ngrpc_ssl_name {sni};\n"
        return Words({**words, A + "configuration-snippet": snippet})

    def https_redirect(self, wanted: bool) -> Words:
        words = {A + "ssl-redirect": str(wanted).lower()}
        return Words({**words, A + "force-ssl-redirect": "true"} if wanted else words)

    def patience(self) -> Words:
        return Words(
            {
                A + "proxy-read-timeout": str(HOUR), A + "proxy-send-timeout": str(HOUR), A + "proxy-body-size": "0",
                A + "proxy-request-buffering": "off", A + "proxy-buffering": "off",
            }
        )  # fmt: skip

    def rewrite_path(self, kind: str, path: str, new: str) -> Words:
        if not PLAIN.fullmatch(path) or not PLAIN.fullmatch(new):
            raise Cannot("its path has characters that mean something in a regex. Write the Ingress by hand.")
        regex = {A + "use-regex": "true"}
        where = re.escape(path).replace(r"\-", "-").replace(r"\~", "~")
        differs = "regex paths are matched without regard to case, for every Ingress of this host"
        if kind == "exact":
            return Words({**regex, A + "rewrite-target": new or "/"}, path=f"{where}$", path_type=ANY, differs=differs)
        if path.endswith("/"):
            return Words(
                {**regex, A + "rewrite-target": new + "$1"}, path=f"{where}(.*)", path_type=ANY, differs=differs
            )
        # /old/x becomes NEW/x: nothing is doubled where NEW ends in a slash, as Istio would double it.
        return Words(
            {**regex, A + "rewrite-target": (new.rstrip("/") + "$1") if new != "/" else "/$2"},
            path=f"{where}(/(.*)|$)" if new == "/" else f"{where}(/.*|$)", path_type=ANY, differs=differs,
        )  # fmt: skip

    def rewrite_host(self, host: str) -> Words:
        return Words({A + "upstream-vhost": host})

    def redirect(self, kind: str, path: str, target: Object) -> Words:
        code = target.get("code") or 301
        scheme, host = target.get("scheme") or "$scheme", target.get("authority") or "$host"
        url = f"{scheme}://{host}{target.get('uri') or '$request_uri'}"
        if "$" in url and not self.snippets:
            raise Cannot(
                f"{url} has nginx' variables, which its validation of annotations may refuse. Write the whole URL, or"
                " allow them (snippets: true)."
            )
        if code == 302:
            return Words({A + "temporal-redirect": url})
        return Words({A + "permanent-redirect": url, A + "permanent-redirect-code": str(code)})

    def timeout(self, value: float) -> Words:
        words = {A + "proxy-read-timeout": seconds(value), A + "proxy-send-timeout": seconds(value)}
        return Words(words, differs="it is the longest silence, not the longest request")

    def retries(self, attempts: int, on: t.Sequence[str]) -> Words:
        if attempts <= 0:
            return Words({A + "proxy-next-upstream": "off"})
        conditions = list(dict.fromkeys(word for one in on for word in RETRY.get(one, ())))
        lost = [one for one in on if not RETRY.get(one)]
        if not conditions:
            raise Cannot(f"nginx has no retry on {', '.join(lost)}. After the swap, Linkerd can retry for a Service.")
        differs = "requests that are not idempotent are not repeated once they were sent"
        if lost:
            differs += f"; not on {', '.join(lost)}"
        words = {A + "proxy-next-upstream": " ".join(conditions), A + "proxy-next-upstream-tries": str(attempts + 1)}
        return Words(words, differs=differs)

    def cors(self, policy: Object) -> Words:
        words = {
            A + "enable-cors": "true", A + "cors-allow-origin": ", ".join(policy["origins"]),
            A + "cors-allow-credentials": str(policy["credentials"]).lower(),
        }  # fmt: skip
        lists = (
            ("methods", "cors-allow-methods"),
            ("headers", "cors-allow-headers"),
            ("expose", "cors-expose-headers"),
        )
        words |= {A + name: ", ".join(policy[key]) for key, name in lists if policy[key]}
        if policy["max_age"] is not None:
            words[A + "cors-max-age"] = seconds(policy["max_age"])
        lacking = [name for key, name in lists[:2] if not policy[key]]
        return Words(words, differs=f"nginx' own defaults for {', '.join(lacking)}" if lacking else "")

    def request_headers(self, change: Object) -> Words:
        return self._headers("proxy_set_header", change)

    def response_headers(self, change: Object) -> Words:
        return self._headers("more_set_headers", change)

    def _headers(self, directive: str, change: Object) -> Words:
        raise Cannot(
            f"it takes a configuration-snippet ({directive}), which most clusters forbid. Let the application do it:"
            f" {', '.join([*change['set'], *change['add'], *change['remove']])}."
        )

    def share(self, percent: int) -> Words:
        return Words({A + "canary": "true", A + "canary-weight": str(percent)})

    def header_match(self, name: str, value: str) -> Words:
        words = {A + "canary": "true", A + "canary-by-header": name, A + "canary-by-header-value": value}
        return Words(words)


ANY = "ImplementationSpecific"
