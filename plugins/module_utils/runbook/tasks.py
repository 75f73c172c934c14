# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A balancer that is moved by task files of the user's own. What is in them is not known here, so they are named."""

from __future__ import annotations

import typing as t

from ._command import Book, Command


def commands(step: dict[str, t.Any], params: dict[str, t.Any], book: Book) -> list[Command]:
    """By your file: a person does by hand what is in it."""
    return [Command(f"give green {params['green_percent']:g} % again, as your file {params['set']} does", ":")]


def all_to_blue(servers: list[dict[str, t.Any]]) -> list[Command]:
    what = "give green 0 %, as your file does that mesh_balancer.set names"
    return [Command(f"{what}. {known(servers)}".rstrip(), ":")]


def show(servers: list[dict[str, t.Any]]) -> list[Command]:
    what = "look at the shares in force, as your file does that mesh_balancer.read names"
    return [Command(f"{what}. {known(servers)}".rstrip(), ":")]


def known(servers: list[dict[str, t.Any]]) -> str:
    """The servers that the file named, by colour, each in its backend."""
    found = []
    for colour in ("blue", "green"):
        named = [f"{s['backend']}/{s['server']}" for s in servers if s.get("colour") == colour]
        if named:
            found.append(f"{colour.capitalize()} is {', '.join(named)}.")
    return " ".join(found)
