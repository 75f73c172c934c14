# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets NodePorts as they were."""

from __future__ import annotations

import typing as t

from ._command import Book, Command, edited, literal


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    edits = [
        f"(.spec.ports[] | select(.name == {literal(name)}) | .nodePort) = {literal(port)}"
        for name, port in (params.get("node_ports") or {}).items()
    ]
    if params.get("health_check_node_port"):
        edits.append(f".spec.healthCheckNodePort = {literal(params['health_check_node_port'])}")
    title = f"Service {params['namespace']}/{params['name']}"
    return [Command(f"NodePorts of {title}", edited("service", params["namespace"], params["name"], " | ".join(edits)))]
