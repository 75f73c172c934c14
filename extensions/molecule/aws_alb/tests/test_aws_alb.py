# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and back by Application Load Balancers."""

from __future__ import annotations

import aws


class TestApplicationLoadBalancers(aws.ThereAndBack):
    kind, balancers = "aws_alb", ("front", "front-passthrough")
