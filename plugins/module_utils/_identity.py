# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a probe is: a client certificate, a bearer token. Options say where these are; their values are read where the
probes are sent from, go into requests, and nowhere else."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass

OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "str", "required": True},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path"},
    "token_env": {"type": "str", "no_log": False},  # the name of a variable, not what is in it
    "token_file": {"type": "path", "no_log": False},
}


@dataclass(frozen=True)
class Identity:
    """certificate: paths of certificate and key, both "" for none; headers: what to send, secrets in them."""

    certificate: tuple[str, str] = ("", "")
    headers: tuple[tuple[str, str], ...] = ()


def check(identities: t.Sequence[dict[str, t.Any]]) -> None:
    """Raises ValueError for what can't be, without reading anything."""
    names = set()
    for index, one in enumerate(identities):
        where = f"identities[{index}] ({one['name']})"
        if not re.fullmatch(r"[\w.-]+", one["name"]) or one["name"] in names:
            raise ValueError(f"{where}: name must be of letters, digits, '.', '_' and '-', and no other identity's.")
        names.add(one["name"])
        if not one["hosts"]:
            raise ValueError(f"{where}: hosts is empty; name the hosts that it is for.")
        if bool(one.get("client_cert")) != bool(one.get("client_key")):
            raise ValueError(f"{where}: client_cert and client_key go together.")
        if one.get("token_env") and one.get("token_file"):
            raise ValueError(f"{where}: token_env and token_file exclude each other.")
        if not any(one.get(name) for name in ("client_cert", "token_env", "token_file")):
            raise ValueError(f"{where}: it has neither a client certificate nor a token.")


def load(identities: t.Sequence[dict[str, t.Any]]) -> dict[str, Identity]:
    """Reads what the options name. Raises ValueError that says what is missing, and never what was found."""
    check(identities)
    return {
        one["name"]: Identity(_certificate(one), bearer(one, f"identity {one['name']}")) for one in identities
    }


def _certificate(one: dict[str, t.Any]) -> tuple[str, str]:
    files = (one.get("client_cert") or "", one.get("client_key") or "")
    for path in filter(None, files):
        if not os.access(path, os.R_OK):
            raise ValueError(f"identity {one['name']}: {path} does not exist here, or may not be read.")
    return files


def bearer(one: dict[str, t.Any], who: str) -> tuple[tuple[str, str], ...]:
    """The header for token_env or token_file, if either is given. Raises ValueError, beginning with `who`."""
    if one.get("token_env"):
        where, token = f"the variable {one['token_env']}", os.environ.get(one["token_env"], "")
    elif one.get("token_file"):
        where = one["token_file"]
        try:
            with open(where, encoding="ascii") as file:
                token = file.read()
        except (OSError, UnicodeError) as exc:
            raise ValueError(f"{who}: {where} can't be read: {type(exc).__name__}.") from exc
    else:
        return ()
    token = token.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError(f"{who}: {where} is empty, or holds more than one token.")
    return (("authorization", f"Bearer {token}"),)
