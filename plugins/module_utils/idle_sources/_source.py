# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of idleness are given."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Tools:
    """cluster: gives the connection, made when it is first needed; state: what this source's last look left for it;
    gone_is_idle: what is not there any more is not in use."""

    cluster: t.Callable[[], t.Any]
    state: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    gone_is_idle: bool = False
