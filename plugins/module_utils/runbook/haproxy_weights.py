# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights by HAProxy's runtime API: those of before, and all to blue."""

from __future__ import annotations

import shlex
import typing as t

from ._command import Book, Command


def ask(instance: str, lines: t.Iterable[str]) -> str:
    """Commands to one runtime API. What is refused is said in its answer; a carried-out one is an empty line."""
    kind, _colon, rest = instance.partition(":")
    target = f"UNIX-CONNECT:{rest}" if kind == "unix" else f"TCP:{rest}"
    return f"printf '%s\\n' {shlex.quote(';'.join(lines))} | socat -t 5 STDIO {shlex.quote(target)}"


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    found = []
    for instance in params["runtime_apis"]:
        lines = [
            f"set server {backend}/{server} weight {weight}"
            for backend, servers in params["weights"].items()
            for server, weight in sorted(servers.items(), key=lambda item: -item[1])
        ]
        found.append(Command(f"weights of HAProxy {instance} as they were", ask(instance, lines)))
    return found


def by_instance(servers: list[dict[str, t.Any]]) -> dict[str, list[dict[str, t.Any]]]:
    found: dict[str, list[dict[str, t.Any]]] = {}
    for server in servers:
        found.setdefault(server["instance"], []).append(server)
    return found


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    """servers: as haproxy_weights returns them. Blue gets its share before green loses it."""
    found = []
    for instance, mine in by_instance(servers).items():
        for colour, title in (("blue", "give blue its weight"), ("green", "and green none")):
            lines = [
                f"set server {s['backend']}/{s['server']} weight {0 if colour == 'green' else full(s)}"
                for s in mine
                if s["colour"] == colour
            ]
            if lines:
                found.append(Command(f"HAProxy {instance}: {title}", ask(instance, lines)))
    return found + show(servers)


def full(server: dict[str, t.Any]) -> int:
    """The weight that a server has when all traffic is its colour's."""
    return server["configured_weight"] or 100


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    return [
        Command(
            f"weights that HAProxy {instance} has in force",
            ask(instance, ["show servers state"]) + " | awk '$2 && $4 { print $2, $4, $8 }'",
        )
        for instance in by_instance(servers)
    ]
