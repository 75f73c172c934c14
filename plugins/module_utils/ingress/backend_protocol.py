# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""backend-protocol, proxy-ssl-*: how the backend is spoken to.

Istio takes that from the Service's port (appProtocol, or the beginning of its name), and TLS from a DestinationRule.
blue does not verify the backend's certificate unless told to; green must not be stricter, or it fails where blue did
not.
"""

from __future__ import annotations

from ._model import Source, World

CODE = "backend_protocol"
ANNOTATIONS = {
    "backend-protocol": "HTTPS, GRPCS: DestinationRule tls; GRPC, GRPCS: HTTP/2 to the backend; others are refused",
    "proxy-ssl-verify": "off: insecureSkipVerify; on needs its CA, by hand",
    "proxy-ssl-name": "tls.sni",
    "proxy-ssl-server-name": "whether SNI is sent",
    "proxy-ssl-secret": "by hand: the Secret must be with the gateway's pods",
    "proxy-ssl-verify-depth": "not translated",
    "proxy-ssl-ciphers": "not translated",
    "proxy-ssl-protocols": "not translated",
}
H2 = frozenset(("grpc", "grpc-web", "http2", "h2c", "kubernetes.io/h2c"))


def apply(source: Source, world: World) -> None:
    written = source.get("backend-protocol")
    protocol = (written or "HTTP").upper()
    if protocol not in ("HTTP", "HTTPS", "GRPC", "GRPCS", "AUTO_HTTP"):
        if protocol in ("AJP", "FCGI"):
            source.refuse(
                "backend-protocol", f"Istio does not speak {protocol}", "Put a server that does before the application."
            )
        else:
            source.not_needed("backend-protocol", f"{written!r} is not known to ingress-nginx, which takes HTTP then")
        protocol = "HTTP"
    elif protocol == "AUTO_HTTP":
        source.refuse("backend-protocol", "nginx takes the client's scheme for it", "Write HTTP or HTTPS.")
    elif protocol == "HTTP":
        source.not_needed("backend-protocol", "Istio speaks HTTP unless told otherwise")
    tls, h2 = protocol in ("HTTPS", "GRPCS"), protocol.startswith("GRPC")
    for route in source.routes:
        if route.backend is None:
            continue
        if h2 and declared(world.port_of(route.backend) or {}) not in H2:
            route.traffic.setdefault("connectionPool", {}).setdefault("http", {})["h2UpgradePolicy"] = "UPGRADE"
        if tls:
            route.traffic["tls"] = {"mode": "SIMPLE", "insecureSkipVerify": True}
            if source.flag("proxy-ssl-server-name") and source.get("proxy-ssl-name"):
                route.traffic["tls"]["sni"] = source.get("proxy-ssl-name")
    if tls or h2:
        source.translated("backend-protocol", f"{protocol}, by {'a DestinationRule' if tls else 'HTTP/2 to the port'}")
    _tls(source, tls)


def _tls(source: Source, tls: bool) -> None:
    names = [name for name in ANNOTATIONS if name.startswith("proxy-ssl")]
    if not tls:
        for name in names:
            source.not_needed(name, "the backend is not asked by TLS")
        return
    if (source.get("proxy-ssl-verify") or "off").lower() == "on":
        source.refuse(
            "proxy-ssl-verify", "the CA is in a Secret beside the Ingress, and the gateway's pods can't read it there",
            "Copy it to the gateway's namespace and name it as credentialName in the DestinationRule, then take"
            " insecureSkipVerify away.",
        )  # fmt: skip
    source.not_needed("proxy-ssl-verify", "it is off")
    source.refuse(
        "proxy-ssl-secret", "it is in the Ingress' namespace, and the gateway's pods can't read it there",
        "Copy it to the gateway's namespace, and name it as credentialName, with tls.mode MUTUAL, in the"
        " DestinationRule.",
    )  # fmt: skip
    for name in ("proxy-ssl-name", "proxy-ssl-server-name"):
        source.translated(name, "SNI, if both are set")
    for name in ("proxy-ssl-verify-depth", "proxy-ssl-ciphers", "proxy-ssl-protocols"):
        source.refuse(name, "Istio has no such field towards backends", "Envoy's defaults are good.", "warning")


def declared(port: dict[str, object]) -> str:
    """What Istio takes a Service's port for, in lower case: appProtocol, else the name up to the first hyphen."""
    return str(port.get("appProtocol") or str(port.get("name") or "").partition("-")[0]).lower()
