"""Helm 4, which scenarios call as `helm4` beside the lab's own Helm 3."""

from __future__ import annotations

from . import build
from . import settings as s

MODULES = (build.Module(s.LAB / "build" / "helm4", {"helm4": "helm.sh/helm/v4/cmd/helm"}),)
