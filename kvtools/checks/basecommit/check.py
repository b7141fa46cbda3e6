# SPDX-License-Identifier: GPL-2.0-or-later
"""git format-patch --base: without it nobody, and no robot, knows where the series applies."""

from __future__ import annotations

from collections.abc import Iterator

from kvtools import mail
from kvtools.checks.program import Finding, Note, Request, run
from kvtools.git.command import git


def check(request: Request) -> Iterator[Finding | Note]:
    texts = [*([request.cover] if request.cover else []), *request.series]
    found = [value for path in texts
             for key, value in mail.trailers(mail.parse(path.read_bytes()).text + "\n")
             if key == "base-commit"]
    found += [value for path in texts for key, value in mail.trailers(
        mail.parse(path.read_bytes()).diff.decode("utf-8", "replace")) if key == "base-commit"]
    if not found:
        yield Finding("MISSING", "there is no base-commit: (git format-patch --base=auto)")
        return
    named = git(request.repo, "rev-parse", "--quiet", "--verify", "--end-of-options",
                f"{found[0]}^{{commit}}", check=False).text.strip()
    if not named:
        yield Note(f"base-commit {found[0][:12]} is not in this repository: not compared")
    elif named != request.base_commit:
        yield from _other(request, named)


def _other(request: Request, named: str) -> Iterator[Finding | Note]:
    """Another commit will do as long as the files that the series touches are the same."""
    paths = git(request.repo, "diff", "--name-only", "-z", request.base_commit,
                request.commit).text.strip("\0").split("\0")
    differ = git(request.repo, "diff", "--name-only", "-z", named, request.base_commit, "--",
                 *paths).text.strip("\0")
    if differ:
        yield Finding("WRONG", f"base-commit says {named[:12]}, and there "
                      f"{differ.split(chr(0))[0]} differs from the base that the series was tested "
                      f"on, {request.base_commit[:12]}")
    else:
        yield Note(f"base-commit says {named[:12]}: another commit, with the same files")


if __name__ == "__main__":
    run(check)
