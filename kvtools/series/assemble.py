# SPDX-License-Identifier: GPL-2.0-or-later
"""From mails to the patches of one revision, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from kvtools import diff, mail
from kvtools.errors import SeriesError
from kvtools.events import Emit, Notice
from kvtools.mail import Mail
from kvtools.series.checks import applicable, readable, unfit
from kvtools.series.letters import Letter


@dataclass(frozen=True, slots=True)
class Entry:
    """A patch (``number`` from 1, None when nothing numbers it) or a cover letter (0)."""

    letter: Letter
    mail: Mail
    number: int | None
    total: int | None
    revision: int
    files: tuple[diff.FileDiff, ...] = field(repr=False)

    @property
    def title(self) -> str:
        return self.mail.subject.title


@dataclass(frozen=True, slots=True)
class Revision:
    """The mails of one revision. ``flaw`` says why it is not complete, "" when it is.

    ``previous`` are the patches of the revision before it, where they are at hand.
    """

    revision: int
    cover: Entry | None
    patches: tuple[Entry, ...]
    flaw: str
    previous: tuple[Entry, ...] = ()


def assemble(letters: Sequence[Letter], where: str, emit: Emit) -> Revision:
    """The newest complete revision among ``letters``, its patches in order and checked.

    ``where`` names the source in messages. Raises SeriesError when there is none, or when
    there is more than one series.
    """
    entries = _without_copies(_entries(letters))
    if not any(entry.number != 0 for entry in entries):
        what = "only a cover letter" if entries else "no patch"
        raise SeriesError(f"{where} holds {what}", fix="git format-patch writes the patches")
    numbers = sorted({entry.revision for entry in entries}, reverse=True)
    found = [_revision([e for e in entries if e.revision == n], n, where, emit) for n in numbers]
    chosen = next((one for one in found if not one.flaw), None)
    if chosen is None:
        raise SeriesError(f"{where}: {found[0].flaw}", fix="save the whole series")
    for other in found:
        if other is not chosen and not _related(chosen, other):
            raise _two_series(where, _head(chosen), _head(other))
    if len(found) > 1:
        passed = [f"v{one.revision}: {one.flaw}" for one in found[: found.index(chosen)]]
        why = f" ({'; '.join(passed)})" if passed else ""
        emit(
            Notice(
                f"{where} holds {len(found)} revisions, v{chosen.revision} is taken{why}",
                "warning" if passed else "info",
            )
        )
    first = chosen.patches[0]
    if len(letters) == 1 and (first.mail.subject.total or 1) > 1:
        one = first.mail.subject
        emit(Notice(f"{where} is patch {one.number} of {one.total} and is taken alone", "warning"))
    links: set[str] = set()
    for entry in chosen.patches:
        applicable(entry.files, entry.letter.origin, links)
    older = [one for one in found if one.revision < chosen.revision and not one.flaw]
    return replace(chosen, previous=older[0].patches) if older else chosen


def _entries(letters: Iterable[Letter]) -> list[Entry]:
    found = (_entry(letter, mail.parse(letter.raw)) for letter in letters)
    return [entry for entry in found if entry is not None]


def _entry(letter: Letter, read: Mail) -> Entry | None:
    """A patch or a cover letter; None for the talk in a mailbox."""
    subject = read.subject
    if subject.reply and not letter.own:
        return None
    number = letter.number
    if subject.number == 0 or (subject.number is not None and not letter.forced):
        number = subject.number
    clash = {letter.number, subject.number} - {None}
    if len(clash) > 1 and not letter.forced:
        raise SeriesError(
            f"{letter.origin}: its subject says {subject.number}/{subject.total}",
            fix="name the file by its number in the series, or format the series again",
        )
    if not letter.own and not subject.patch and number != 0:
        return None
    files = readable(read, letter.origin) if number != 0 else ()
    if number != 0 and not files:
        if letter.own:
            raise _no_patch(letter, read)
        return None
    if files and (read.author is None or not read.author.email):
        raise SeriesError(
            f"{letter.origin} has no From: header, so the patch has no author",
            fix="make it with git format-patch",
        )
    if not subject.title:
        raise SeriesError(f"{letter.origin} has no subject", fix="make it with git format-patch")
    return Entry(
        letter=letter,
        mail=read,
        number=number,
        total=subject.total,
        revision=subject.revision or letter.revision or 1,
        files=files,
    )


def _no_patch(letter: Letter, read: Mail) -> SeriesError:
    if read.problem:
        return unfit(read, letter.origin)
    if not read.subject.patch:
        return SeriesError(
            f"{letter.origin} is not a patch: no diff in it", fix="git format-patch makes one"
        )
    return SeriesError(
        f"{letter.origin} changes nothing: there is no diff in it",
        fix="leave it out, or make it with git format-patch",
    )


def _without_copies(entries: Iterable[Entry]) -> list[Entry]:
    """The first of each Message-ID: a mailbox has a mail once per list it came by."""
    seen: set[str] = set()
    kept = []
    for entry in entries:
        key = entry.mail.message_id
        if not key or key not in seen:
            kept.append(entry)
        seen.add(key)
    return kept


def _revision(entries: list[Entry], number: int, where: str, emit: Emit) -> Revision:
    covers = [entry for entry in entries if entry.number == 0]
    numbered = [entry for entry in entries if entry.number]
    loose = [entry for entry in entries if entry.number is None]
    if len(covers) > 1:
        raise _two_series(where, covers[0], covers[1])
    cover = covers[0] if covers else None
    if not numbered:
        flaw = "" if loose else "only its cover letter"
        return Revision(number, cover, tuple(_unnumbered(loose, where)), flaw)
    if loose:
        if any(entry.letter.own for entry in loose):
            raise SeriesError(
                f"{loose[0].letter.origin} has no number and {numbered[0].letter.origin} has one",
                fix="number the file names, or remove the stray patch",
            )
        emit(Notice(f"{where}: '{loose[0].title}' is not numbered and is left out", "warning"))
    by_number: dict[int, Entry] = {}
    for entry in numbered:
        other = by_number.setdefault(entry.number or 0, entry)
        if other is not entry:
            raise _double(where, other, entry)
    counted = [] if numbered[0].letter.forced else [*covers, *numbered]
    totals = {entry.total: entry for entry in counted if entry.total is not None}
    if len(totals) > 1:
        raise _two_series(where, *list(totals.values())[:2])
    last = max([*by_number, *totals])
    missing = [str(n) for n in range(1, last + 1) if n not in by_number]
    flaw = ""
    if totals and max(by_number) > min(totals):
        flaw = f"patch {max(by_number)} of a series of {min(totals)}"
    elif missing:
        plural = "es" if len(missing) > 1 else ""
        flaw = f"patch{plural} {', '.join(missing)} of {last} missing"
    ordered = tuple(by_number[n] for n in sorted(by_number))
    return Revision(number, cover, ordered, flaw)


def _unnumbered(loose: list[Entry], where: str) -> list[Entry]:
    """Patches that nothing numbers: one, or a mailbox that git wrote in order."""
    if len(loose) > 1:
        if any(entry.letter.own for entry in loose):
            raise SeriesError(
                f"{where}: neither names nor subjects number the {len(loose)} patches",
                fix="number the file names, or list them in a file named 'series'",
            )
        if any(entry.mail.message_id for entry in loose):
            raise _two_series(where, loose[0], loose[1])
    return loose


def _double(where: str, one: Entry, two: Entry) -> SeriesError:
    if one.letter.own:
        return SeriesError(
            f"{one.letter.origin} and {two.letter.origin} are both patch {one.number}",
            fix="remove the one that is not of the series",
        )
    return _two_series(where, one, two)


def _two_series(where: str, one: Entry, two: Entry) -> SeriesError:
    return SeriesError(
        f"{where} holds two series: '{one.title}' and '{two.title}'",
        fix="save each to a file of its own",
    )


def _head(revision: Revision) -> Entry:
    return revision.cover or revision.patches[0]


def _related(one: Revision, two: Revision) -> bool:
    """Whether two revisions are of the same series: change-id, a title, or a thread in common."""
    marks = [_marks(revision) for revision in (one, two)]
    return bool(marks[0] & marks[1])


def _marks(revision: Revision) -> set[str]:
    marks: set[str] = set()
    for entry in [*([revision.cover] if revision.cover else []), *revision.patches]:
        marks.add("title " + entry.title.lower())
        thread = (entry.mail.message_id, *entry.mail.references)
        marks.update(f"mail {one}" for one in thread if one)
        marks.update(
            f"change {value}" for key, value in mail.trailers(entry.mail.text) if key == "change-id"
        )
    return marks
