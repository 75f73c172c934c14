# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tunes nginx itself. Some of it Envoy has no need of; of the rest it is said what is lost."""

from __future__ import annotations

from ._model import Source, World

CODE = "proxy_setting"
STREAMS = "Envoy streams, and has buffers of its own"
_NOT_NEEDED = {
    **dict.fromkeys(("proxy-buffering", "proxy-buffer-size", "proxy-buffers-number", "proxy-busy-buffers-size",
                     "proxy-max-temp-file-size", "proxy-request-buffering", "client-body-buffer-size"), STREAMS),
    "proxy-http-version": "Envoy speaks HTTP/1.1 or HTTP/2 to backends",
    "http2-push-preload": "no browser takes pushes any more",
    "service-upstream": "Istio sends to pods; a pod that goes is noticed at once",
    "enable-rewrite-log": "it is for nginx's own log",
    "disable-proxy-intercept-errors": "Istio never replaces answers of backends",
    "connection-proxy-header": "Envoy handles connections itself",
}  # fmt: skip
# (names, what is lost, what to do)
_GROUPS = (
    (
        "custom-http-errors default-backend",
        "Istio has no error pages, and no Service to ask for them",
        "Let the application answer with its own pages.",
    ),
    (
        "proxy-cookie-domain proxy-cookie-path proxy-redirect-from proxy-redirect-to",
        "Istio does not edit Location and Set-Cookie",
        "Let the application answer for the name and path that clients see.",
    ),
    (
        "mirror-target mirror-request-body mirror-host",
        "its target is a URL, and Istio mirrors to a Service",
        "Write `mirror` into the route by hand.",
    ),
    (
        "enable-access-log enable-opentracing opentracing-trust-incoming-span enable-opentelemetry"
        " opentelemetry-trust-incoming-span opentelemetry-operation-name",
        "logs and traces are a matter of Telemetry",
        "Write a Telemetry for the gateway's pods.",
    ),
    (
        "ssl-ciphers ssl-prefer-server-ciphers",
        "ciphers are a matter of the Gateway's server",
        "Set tls.cipherSuites and tls.minProtocolVersion there if needed.",
    ),
    (
        "enable-influxdb influxdb-measurement influxdb-port influxdb-host influxdb-server-name",
        "Istio has other metrics",
        "Use Prometheus.",
    ),
)
_LOST = {name: (why, todo) for names, why, todo in _GROUPS for name in names.split()}
CUSTOM_HEADERS = (
    "the headers are in a ConfigMap that is not read",
    "Write them as headers.response.set of the routes.",
)
ANNOTATIONS = (
    {name: f"not needed: {why}" for name, why in _NOT_NEEDED.items()}
    | {name: f"not translated: {why}" for name, (why, _todo) in _LOST.items()}
    | {"custom-headers": f"refused: {CUSTOM_HEADERS[0]}"}
)


def apply(source: Source, world: World) -> None:
    for name, why in _NOT_NEEDED.items():
        source.not_needed(name, why)
    for name, (why, todo) in _LOST.items():
        if source.get(name) is not None:
            source.refuse(name, why, todo, "warning")
    if source.get("custom-headers") is not None:
        source.refuse("custom-headers", *CUSTOM_HEADERS)
