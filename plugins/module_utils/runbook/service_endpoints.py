# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue's own Services: blue's pods back behind them, and green's away."""

from __future__ import annotations

import shlex
import typing as t

from .._objects import CARRIES
from .._endpoints import CONTROLLER, MANAGED_BY, OURS, SERVICE_NAME, base_name
from ._command import Book, Command, edited, literal, on


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for workload in params["workloads"]:
        service = f"{workload['blue']['namespace']}/{workload['blue']['service']}"
        if params["green_percent"]:
            what = f"Service {service} gave green {params['green_percent']:g} % before; only Ansible can give it that again"
            found.append(Command(what, ":"))
        else:
            found += to_blue(service)
    return found


def to_blue(service: str) -> list[Command]:
    """Blue has endpoints before green loses them. All of it does nothing where it was done already."""
    namespace, name = service.split("/")
    controllers = f"-n {shlex.quote(namespace)} -l {SERVICE_NAME}={shlex.quote(name)},{MANAGED_BY}={CONTROLLER}"
    return [
        Command(
            f"Service {service} selects blue's pods again",
            edited("service", namespace, name, f"del(.spec.selector[{literal(CARRIES)}])"),
        ),
        Command(
            "wait until the cluster has given it their endpoints",
            f"until k get endpointslices {controllers} -o json |"
            " jq -e '[.items[].endpoints[]? | select(.conditions.ready)] | length > 0' >/dev/null; do sleep 1; done",
        ),
        Command(
            "take green's endpoints away",
            f"k -n {shlex.quote(namespace)} delete endpointslices -l {SERVICE_NAME}={shlex.quote(name)},{MANAGED_BY}={OURS}",
        ),
        Command(
            "and the Service that stood for blue's pods",
            f"k delete {on('service', namespace, base_name(name))} --ignore-not-found",
        ),
    ]


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    """servers: as service_endpoints returns them."""
    return [command for service in services_of(servers) for command in to_blue(service)] + show(servers)


def services_of(servers: list[dict[str, t.Any]]) -> list[str]:
    return list(dict.fromkeys(server["backend"] for server in servers))


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    return [
        Command(
            f"endpoints of Service {service}, and who keeps them",
            f"k -n {shlex.quote(service.split('/')[0])} get endpointslices -l {SERVICE_NAME}="
            f"{shlex.quote(service.split('/')[1])} -o json | jq -r '.items[] | .metadata.labels[{literal(MANAGED_BY)}] as $by"
            " | .endpoints[]? | [.addresses[0], .conditions.ready, $by, .targetRef.name] | join(\" \")'",
        )
        for service in services_of(servers)
    ]
