# SPDX-License-Identifier: GPL-2.0-or-later
"""``Fixes: 123456789abc ("subject")`` against the history that the base has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvtools import git
from kvtools.checks.message import Trailer, trailers
from kvtools.checks.program import Finding, Request, Skip, run
from kvtools.git.command import git as run_git

_FORM = re.compile(r"(?P<id>[0-9a-f]{12,40}) \(\"(?P<subject>.*)\"\)$")
_LOOSE = re.compile(r"(?:commit )?(?P<id>[0-9a-fA-F]{6,40})\b\W*(?P<subject>.*?)\W*$")


def check(request: Request) -> Iterator[Finding]:
    tags = [t for t in trailers(request.mail.message) if t.name == "Fixes"]
    for one in tags:
        if not _FORM.match(one.value):
            yield Finding("FORM", f"'Fixes: {one.value}' is not of the form "
                          'Fixes: <12 digits of the commit id> ("<subject>")')
        if one.last > one.line:
            yield Finding("WRAPPED", f"'Fixes: {one.value}' is broken over several lines")
    if not tags:
        return
    if not has_history(request):
        raise Skip("the base was imported without its history: Fixes: cannot be looked up")
    for one in tags:
        yield from _resolve(request, one)


def has_history(request: Request) -> bool:
    """Whether enough commits lie behind the base to look something up."""
    needed = int(request.options.get("history", 1000))
    count = run_git(request.repo, "rev-list", "--count", f"--max-count={needed}",
                    request.base_commit).text
    return int(count) >= needed


def _resolve(request: Request, tag: Trailer) -> Iterator[Finding]:
    match = _LOOSE.match(tag.value)
    if match is None:
        return
    short = match["id"].lower()
    listed = run_git(request.repo, "rev-parse", f"--disambiguate={short}", check=False).text
    commits = [one for one in listed.split() if _is_commit(request, one)]
    if not commits:
        yield Finding("UNKNOWN_COMMIT", f"there is no commit {short}")
        return
    if len(commits) > 1:
        yield Finding("AMBIGUOUS", f"{short} may be {' or '.join(c[:16] for c in commits)}")
        return
    subject = git.log_subjects(request.repo, f"{commits[0]}^!")[0]
    named = _FORM.match(tag.value)
    if _plain(named["subject"] if named else match["subject"]) != _plain(subject):
        yield Finding("WRONG_SUBJECT", f'{short} is "{subject}", not what Fixes: says')
    ancestor = run_git(request.repo, "merge-base", "--is-ancestor", commits[0],
                       request.base_commit, check=False)
    if ancestor.returncode == 1:
        yield Finding("NOT_AN_ANCESTOR", f"{short} is not in the history of the base")


def _is_commit(request: Request, name: str) -> bool:
    kind = run_git(request.repo, "cat-file", "-t", name, check=False)
    return kind.text.strip() == "commit"


def _plain(subject: str) -> str:
    return " ".join(subject.replace("...", "").split())


if __name__ == "__main__":
    run(check)
