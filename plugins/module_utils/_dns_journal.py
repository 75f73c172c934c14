# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of changed records the journal holds: how to undo them, and for how long caches may have what was before."""

from __future__ import annotations

import time
import typing as t

from . import _dns
from ._journal import Journal, State, fence, merge_facts

FACT = "dns"


class Host(t.Protocol):
    """colour: "" if it is left alone; rrsets: what it has, each with plain(), by which it is found again."""

    @property
    def name(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def colour(self) -> str: ...
    @property
    def rrsets(self) -> t.Sequence[t.Any]: ...


class Change(t.Protocol):
    @property
    def host(self) -> Host: ...


class Stale:
    """What is stale since changes of one kind: `ttl`, where addresses stay, or `records`. Without a journal it knows
    only of this run. module: which undoes them; stale_for: for how long caches may have what was before changes."""

    def __init__(
        self, journal: Journal | None, kind: str, module: str = "dns_records",
        stale_for: t.Callable[[t.Any], int] = _dns.stale_for,
    ) -> None:  # fmt: skip
        self.journal, self.kind, self.module, self.stale_for = journal, kind, module, stale_for
        self.op = f"{module.partition('_')[0]}_{kind}"
        self.facts: dict[str, _dns.Fact] = {}
        if journal:
            self.facts = dict(journal.store.existing().facts.get(FACT, {}))

    def record(
        self, changes: t.Sequence[Change], hosts: t.Sequence[Host], kept: dict[str, t.Any]
    ) -> list[str]:
        """Before the change. The first step of its kind has all hosts, so that it undoes later ones as well; a host
        that was not there then gets one of its own."""
        steps: list[str] = []
        if self.journal:
            self.journal.check()
            covered = self._covered()
            new = [host for host in hosts if host.colour and host.name not in covered]
            if any(change.host.name not in covered for change in changes):
                records = [rrset.plain() for host in new for rrset in host.rrsets]
                inverse = {"module": self.module, "params": {**kept, "records": records}}
                key = f"{new[0].name} and {len(new) - 1} more" if len(new) > 1 else new[0].name
                steps = self.journal.record_all([(self.op, key, inverse, False, None)])
        now = time.time()
        for zone in {change.host.zone for change in changes}:
            mine = [change for change in changes if change.host.zone == zone]
            name = f"{self.kind} {zone}"
            self.facts[name] = _dns.begun(self.facts.get(name), self.stale_for(mine), now)
        self._write()
        return steps

    def _covered(self) -> set[str]:
        found = set()
        for step in self.journal.store.existing().steps if self.journal else ():
            if step["op"] == self.op and step["phase"] == self.journal.phase and step["state"] != "undone":
                found |= {record["name"] for record in self.journal.store.inverse(step)["params"]["records"]}
        return found

    def done(self, steps: t.Sequence[str]) -> None:
        if self.journal:
            self.journal.done(*steps)

    def made(self, zones: t.Sequence[str]) -> None:
        """All servers have what was changed in these zones."""
        now = time.time()
        names = [f"{kind} {zone}" for kind in ("ttl", "records") for zone in zones]
        after = {name: _dns.made(fact, now) if name in names else fact for name, fact in self.facts.items()}
        if after != self.facts:
            self.facts = after
            self._write()

    def left(self) -> float:
        """Before hosts move, caches must have let go of the old TTL too. On the way back that does not matter: what
        they have by it is blue's."""
        names = [name for name in self.facts if self.kind == "ttl" or name.startswith("records ")]
        return max((_dns.left(self.facts[name], time.time()) for name in names), default=0.0)

    def _write(self) -> None:
        def change(state: State) -> None:
            fence(state, self.journal.epoch, self.journal.store.where)
            merge_facts(state, {FACT: self.facts}, self.journal.store.where)

        if self.journal:
            self.journal.store.update(change)
