# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No policy: VirtualServices are patched, once. What is written later is bound by the next run only."""

from __future__ import annotations

import typing as t

from .._resources import Resources
from .._virtual_services import Bound

NAME = "direct"
KINDS: tuple[tuple[str, str], ...] = ()
WHERE = "nothing"


def available(_resources: Resources) -> str:
    return "patches need nothing"


def objects(_resources: Resources, _name: str, _rule: Bound) -> list[dict[str, t.Any]]:
    return []
