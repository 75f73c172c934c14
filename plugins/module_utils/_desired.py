# Copyright (c) 2026 bluegreen.mesh contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources of VirtualServices will make of them at their next run, judged against a migration.

The kinds of sources are in the package `sources`. Requests: two lists of Helm's records where something is in a
release, one list for each kind of Argo CD's and Flux's, and one for each other kind of owner.
"""

from __future__ import annotations

import dataclasses
import typing as t

from . import _virtual_services as vs
from . import sources
from ._client import ApiError, Cluster, path_of
from ._helm_storage import Record, Storage, read_storage
from ._inventory import KINDS, SOURCES, Inventory
from ._module import Refusal
from ._resources import Resources
from ._twin import title


class ClusterEvidence:
    """sources.Evidence of one cluster. Everything is asked for once, and only if a source wants it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._resources = Resources(cluster)
        self._known: dict[t.Any, t.Any] = {}

    def objects(self, group: str, versions: t.Sequence[str], plural: str) -> dict[str, sources.Object]:
        return self._once((group, plural), lambda: self._list([f"{group}/{version}" for version in versions], plural))

    def owner(self, api_version: str, kind: str, key: str) -> sources.Object | None:
        found = self._once((api_version, kind, "served"), lambda: self._resources.find(api_version, kind))
        if found is None:
            return None
        return self._once((api_version, kind), lambda: self._list([api_version], found[0])).get(key)

    def release(self, namespace: str, name: str) -> Record | None:
        storage: Storage = self._once("helm", lambda: read_storage(self._cluster, ()))
        try:
            found = storage.of(name, namespace)
        except Refusal as exc:
            raise sources.Unreadable(str(exc)) from exc
        if len(found) > 1:
            places = ", ".join(record.where for record in found)
            raise sources.Unreadable(f"Helm release {namespace}/{name} is stored more than once: {places}")
        return found[0] if found else None

    def _list(self, versions: t.Sequence[str], plural: str) -> dict[str, sources.Object]:
        for version in versions:
            try:
                return {_key(item): item for item in self._cluster.list(path_of(version, plural))}
            except ApiError as exc:
                if exc.status != 404:
                    raise
        return {}

    def _once(self, key: t.Any, read: t.Callable[[], t.Any]) -> t.Any:
        """What `read` returned the first time; that it is forbidden is remembered too."""
        if key not in self._known:
            try:
                self._known[key] = read()
            except ApiError as exc:
                self._known[key] = exc
        if isinstance(self._known[key], ApiError):
            raise sources.Unreadable(str(self._known[key]))
        return self._known[key]


class InventoryEvidence:
    """sources.Evidence of what was listed already: Argo CD's and Flux's objects (_inventory.SOURCES) and no others."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def objects(self, group: str, _versions: t.Sequence[str], plural: str) -> dict[str, sources.Object]:
        names = (k.name for k in KINDS if k.name in SOURCES and k.versions[0] == (f"{group}/{_versions[0]}", plural))
        name = next(names, "")
        if not name or name in self._inventory.unread:
            raise sources.Unreadable(f"{plural}.{group} were not read")
        return {_key(item): item for item in self._inventory[name]}

    def owner(self, _api_version: str, kind: str, key: str) -> sources.Object | None:
        raise sources.Unreadable(f"{kind} {key} was not read")

    def release(self, namespace: str, name: str) -> Record | None:
        raise sources.Unreadable(f"Helm release {namespace}/{name} was not read")


def _key(body: sources.Object) -> str:
    meta = body["metadata"]
    return f"{meta.get('namespace', '')}/{meta['name']}"


@dataclasses.dataclass(frozen=True)
class Judgement:
    """One source of one VirtualService. green: whether it keeps it on green; None where that is not known; the others as
    in the package sources."""

    body: sources.Object
    source: sources.Source
    desired: sources.Desired
    green: bool | None
    puts_back: str
    fights: str

    @property
    def key(self) -> str:
        return vs.key_of(self.body)

    def names(self) -> list[str] | None:
        """Every gateway that the source names, in its order, or None."""
        if self.desired.lists is None:
            return None
        return list(dict.fromkeys(str(name) for names in self.desired.lists.values() for name in names))

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "virtual_service": self.key, "source": self.source.id, "title": self.source.title, "names": self.names(),
            "told_by": self.desired.told_by, "green": self.green, "puts_back": self.puts_back,
            "fights_policy": self.fights,
        }  # fmt: skip

    def explain(self) -> str:
        names = self.names()
        found = "what it wants is unknown" if names is None else f"it names {', '.join(names) or 'no gateway'}"
        return f"{self.key}: {self.source.title}: {found} ({self.desired.told_by})"


def judge(
    bodies: t.Iterable[sources.Object], pairs: t.Sequence[vs.Pair], evidence: sources.Evidence
) -> list[Judgement]:
    """Every source of every VirtualService that names a side of a pair."""
    found = []
    for body in bodies:
        live, namespace = vs.lists_of(body), body["metadata"]["namespace"]
        own = _concerned(body, pairs)
        for source in sources.of(body) if own else ():
            kind = sources.BY_CODE[source.kind]
            desired = kind.desired(source, body, evidence, own)
            green = None if desired.lists is None else sources.is_green(live, desired.lists, namespace, own)
            insists, fights = kind.puts_back(source, body, evidence), kind.fights(source, body, evidence)
            found.append(Judgement(body, source, desired, green, insists, fights))
    return found


def foreseen(inventory: Inventory) -> list[Judgement]:
    """The sources of what binding is going to touch, as far as the inventory tells."""
    evidence = InventoryEvidence(inventory)
    return [
        judgement
        for body, pairs in inventory.routed
        if not vs.left_alone(body)
        for judgement in judge([body], [vs.Pair(title(p.blue), title(p.green)) for p in pairs], evidence)
    ]


def served(bodies: t.Iterable[sources.Object], pairs: t.Sequence[vs.Pair]) -> list[sources.Object]:
    """The VirtualServices that name a side of a pair."""
    return [body for body in bodies if _concerned(body, pairs)]


def _concerned(body: sources.Object, pairs: t.Sequence[vs.Pair]) -> list[vs.Pair]:
    return sources.concerned(vs.lists_of(body), body["metadata"]["namespace"], pairs)


def overrides(
    judgements: t.Iterable[Judgement], pairs: t.Sequence[vs.Pair], evidence: sources.Evidence
) -> list[sources.Override]:
    """The files that make green what is not, one for each source where it takes one for all its objects."""
    wanted: dict[sources.Source, list[sources.Wish]] = {}
    for judgement in judgements:
        if not judgement.green:
            wish = sources.wish_of(judgement.body, judgement.desired.lists, _concerned(judgement.body, pairs))
            if wish.patch():
                wanted.setdefault(judgement.source, []).append(wish)
    files = []
    for source, wishes in wanted.items():
        files += sources.BY_CODE[source.kind].overrides(source, wishes, evidence, pairs)
    return sources.joined(files)


# -- what may be waived ------------------------------------------------------------------------------------------------
def check_waivers(waived: t.Iterable[str]) -> None:
    """Raises Refusal bad_option for what can't be the name of an object or of a source."""
    for entry in waived:
        if not vs.NAMESPACED_NAME.fullmatch(entry) and entry.partition(":")[0] not in sources.CODES:
            raise Refusal(
                "bad_option",
                f"waived: {entry!r} is neither a VirtualService, as NAMESPACE/NAME, nor a source, as KIND:NAME with one"
                f" of the kinds {', '.join(sources.CODES)}.",
            )


def gate(
    judgements: t.Iterable[Judgement], waived: t.Sequence[str]
) -> tuple[list[Judgement], list[Judgement], list[str]]:
    """(those that would not leave their VirtualService on green, or might not; of these, waived ones; waivers that
    were not needed)."""
    open_ = [judgement for judgement in judgements if not judgement.green]
    used = {entry for j in open_ for entry in (j.key, j.source.id) if entry in waived}
    standing = [j for j in open_ if not used.intersection((j.key, j.source.id))]
    return standing, [j for j in open_ if j not in standing], [entry for entry in waived if entry not in used]
