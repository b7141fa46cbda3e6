# SPDX-License-Identifier: GPL-2.0-or-later
"""Who gets the series, and why: ``get_maintainer.pl`` asked about each patch."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import maintainers, process
from kvtools.errors import MachineError
from kvtools.maintainers import Named
from kvtools.model import Patch

DEADLINE = 60.0


@dataclass(frozen=True, slots=True)
class Recipient:
    """``reasons`` maps a role, as MAINTAINERS has it, to the numbers of the patches."""

    who: str
    address: str
    is_to: bool
    is_list: bool
    reasons: Mapping[str, tuple[int, ...]]


def ask(tree: Path, patches: Sequence[Patch], tick: Callable[[int], None]) -> list[Recipient]:
    """Ask the tree's own script. Raises MachineError when it does not answer."""
    found: list[tuple[int, Named]] = []
    with tempfile.TemporaryDirectory(prefix="kvtools-") as scratch:
        for patch in patches:
            path = Path(scratch) / f"{patch.number:04}.patch"
            path.write_bytes(patch.mail)
            done = process.run([*maintainers.COMMAND, str(path)], deadline=DEADLINE, cwd=tree,
                               check=False)
            named = list(maintainers.parse(done.text))
            if done.returncode != 0 or not named:
                last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
                raise MachineError(f"get_maintainer.pl says nothing of patch {patch.number}: "
                                   f"{last[0] if last else f'exit status {done.returncode}'}")
            found += [(patch.number, one) for one in named]
            tick(patch.number)
    return arrange(found)


def arrange(found: Iterable[tuple[int, Named]]) -> list[Recipient]:
    """One entry for each address: who maintains, then who reviews, then the lists."""
    by_address: dict[str, list[tuple[int, Named]]] = {}
    for number, named in found:
        by_address.setdefault(named.address, []).append((number, named))
    everyone = [_recipient(entries) for entries in by_address.values()]
    return sorted(everyone, key=lambda one: (one.is_list, not one.is_to))


def _recipient(entries: Sequence[tuple[int, Named]]) -> Recipient:
    reasons: dict[str, tuple[int, ...]] = {}
    for number, named in entries:
        known = reasons.get(named.role, ())
        reasons[named.role] = known if number in known else (*known, number)
    first = entries[0][1]
    is_list = all(named.is_list for _, named in entries)
    return Recipient(first.who, first.address,
                     not is_list and any(named.maintains for _, named in entries), is_list, reasons)
