# SPDX-License-Identifier: GPL-2.0-or-later
"""Checkers that stand in for the compiler in ``make C=1 CHECK=...``: sparse, smatch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from kvtools import process, units
from kvtools.checks import touched_units
from kvtools.checks.program import Finding, Request, Said, Skip
from kvtools.errors import MachineError
from kvtools.formats.sparse import Message
from kvtools.units import Unit

_DEADLINE = 100.0
_INLINE = re.compile(r"^static\s+(?:__always_)?inline\s[^;{}()]*?(\w+)\s*\(", re.MULTILINE)
Parse = Callable[[str], tuple[Message, ...]]


def checker(parse: Parse) -> Callable[[Request], Iterator[Said]]:
    """A check that runs ``options.command`` on every touched unit and reads it with ``parse``.

    ``options.rules`` are pairs of a regular expression on the message and the name of the rule.
    """

    def check(request: Request) -> Iterator[Said]:
        command = request.options["command"][0]
        if process.which(command) is None:
            raise Skip(f"{command} is not installed")
        touched = touched_units.find(request)
        touched.need_units(request)
        yield from touched.notes()
        alone = zip(touched.headers, touched_units.alone(request, touched), strict=True)
        asked = (*touched.units, *(_used(request, header, unit) for header, unit in alone))
        with ThreadPoolExecutor(max(request.jobs, 1)) as pool:
            outputs = list(pool.map(lambda unit: _output(request, unit), asked))
        yield from touched_units.distinct(
            _finding(request, message) for output in outputs for message in parse(output)
            if not message.file.startswith(f"{Path.cwd()}/"))  # what uses an inline function

    return check


def _used(request: Request, header: str, unit: Unit) -> Unit:
    """A header's unit that uses its inline functions: sparse looks at no other ones."""
    names = dict.fromkeys(_INLINE.findall(request.text(header)))
    source = Path(f"{header.replace('/', '__')}.{request.side}.c").absolute()
    uses = "".join(f"static const void *const kvtools_{name} = {name};\n" for name in names)
    source.write_text(uses, "utf-8")
    return replace(unit, source=str(source))


def _output(request: Request, unit: Unit) -> str:
    """What the checker says of one unit. Raises MachineError when it dies."""
    at = touched_units.place(request)
    argv = [*request.options["command"], *touched_units.flags(request).sparse,
            *units.arguments_of(unit), str(at.source / unit.source)]
    done = process.run(argv, cwd=at.objects, env=at.env, deadline=_DEADLINE, check=False,
                       merge=True)
    if done.returncode < 0:
        raise MachineError(f"{argv[0]} was killed by signal {-done.returncode} at {unit.source}")
    return done.text


def _finding(request: Request, message: Message) -> Finding:
    rule = next((name for pattern, name in request.options.get("rules", ())
                 if re.search(pattern, message.text)), message.severity)
    return Finding(rule, message.text, touched_units.relative(request, message.file), message.line,
                   message.function, lines=tuple(line.replace(f"{request.worktree}/", "")
                                                 for line in message.lines))
