# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a line of any format becomes."""

from __future__ import annotations

import typing as t


class Record(t.NamedTuple):
    """One request. authority: as the client named the host, maybe with a port, "" if not logged; target: path and
    query as sent; protocol: "HTTP/1.1", "HTTP/2", ...; tls: whether the client came over TLS, None if not logged."""

    method: str
    authority: str
    target: str
    status: int
    protocol: str
    tls: bool | None


NOT_HTTP = Record("", "", "", 0, "", None)
