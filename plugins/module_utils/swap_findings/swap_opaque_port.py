# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port where the server speaks first, or that is no HTTP. Linkerd waits for the client's first bytes to tell the
protocol, ten seconds at most, unless the port is called opaque."""

from __future__ import annotations

from .._inventory import WARNING, Finding, named
from .._mesh_swap import Mesh
from .._objects import annotations_of

CODE = "swap_opaque_port"
# linkerd2, charts/linkerd-control-plane/values.yaml, proxy.opaquePorts
DEFAULT = {25, 587, 3306, 4444, 5432, 6379, 9300, 11211}
SAYS = "config.linkerd.io/opaque-ports"
NOT_HTTP = ("tcp", "mysql", "mongo", "redis", "smtp", "ftp", "amqp", "postgres")


def check(mesh: Mesh) -> list[Finding]:
    found = []
    for item in mesh.within("services"):
        if annotations_of(item).get(SAYS) or annotations_of(mesh.namespace(item["metadata"]["namespace"])).get(SAYS):
            continue
        ports = [
            port["port"] for port in (item.get("spec") or {}).get("ports") or ()
            if ((port.get("appProtocol") or port.get("name") or "").lower()).startswith(NOT_HTTP) and port["port"] not in DEFAULT
        ]  # fmt: skip
        if ports:
            text = ", ".join(map(str, ports))
            found.append(
                Finding(
                    CODE, WARNING, named(item), "spec.ports", f"port {text} is no HTTP by its name",
                    f"If the server speaks first, annotate the Service and its pods {SAYS}: \"{text}\".",
                )
            )  # fmt: skip
    return found
