# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m kvtools.cli.manual``: docs/commands/ and docs/man/kvtools.1, made from the parser.

Nothing here is argparse's own formatting: that differs between versions of Python, and the
committed pages are compared with what this makes.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvtools import paths
from kvtools.cli.arguments import parser

RENEW = ".venv/bin/python -m kvtools.cli.manual"
LICENCE = "SPDX-License-Identifier: GPL-2.0-or-later"
DATE = "2026-11-25"  # set by hand: the day of the build would change the page every day

EXIT_STATUS = (
    ("0", "all good; warnings do not count"),
    ("1", "a patch is at fault; without a series the kernel; refused (submit)"),
    ("2", "usage or bad input"),
    ("3", "ERROR: the machine or kvtools is at fault, there is no verdict"),
    ("130", "Ctrl-C"),
)
ENVIRONMENT = (
    ("KVTOOLS_HOME", "where state and cache go instead of the XDG directories"),
    ("KVTOOLS_VENV", "where ./kv keeps the virtual environment instead of .venv"),
)


@dataclass(frozen=True, slots=True)
class Argument:
    """An option or a positional argument: ``names`` is empty for a positional one."""

    names: tuple[str, ...]
    value: str
    text: str
    required: bool


@dataclass(frozen=True, slots=True)
class Page:
    """A command or an action of one, as its parser has it."""

    name: str
    text: str
    groups: tuple[tuple[str, tuple[Argument, ...]], ...]
    epilog: str
    actions: tuple[Page, ...]


def read(top: argparse.ArgumentParser) -> tuple[Page, ...]:
    """The commands in the order of ``--help``."""
    return tuple(_pages(top))


def _pages(of: argparse.ArgumentParser) -> Iterator[Page]:
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield _page(command, texts.get(name, ""))


def _page(command: argparse.ArgumentParser, text: str) -> Page:
    helper = argparse.HelpFormatter(command.prog)
    groups = []
    for group in command._action_groups:
        arguments = tuple(
            _argument(action, helper)
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
            and not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)
        )
        if arguments:
            groups.append((_title(group.title or ""), arguments))
    return Page(command.prog, text, tuple(groups), command.epilog or "", tuple(_pages(command)))


def _title(title: str) -> str:
    return {"positional arguments": "Arguments", "optional arguments": "Options"}.get(
        title, title[:1].upper() + title[1:])


def _argument(action: argparse.Action, helper: argparse.HelpFormatter) -> Argument:
    if isinstance(action, argparse.BooleanOptionalAction) and action.help:
        action.help = action.help.removesuffix(" (default: %(default)s)")  # before Python 3.13
    text = helper._expand_help(action) if action.help else ""
    required = action.required if action.option_strings else action.nargs not in ("?", "*")
    return Argument(tuple(action.option_strings), _value(action), text, required)


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    if action.metavar:
        return action.metavar
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper()


def synopsis(page: Page) -> str:
    """The line under SYNOPSIS: what must be given is written out, the rest is ``[OPTION]...``."""
    every = [one for _, arguments in page.groups for one in arguments]
    words = [page.name]
    if any(one.names and not one.required for one in every):
        words.append("[OPTION]...")
    words += [f"{one.names[0]} {one.value}" for one in every if one.names and one.required]
    words += [one.value if one.required else f"[{one.value}]" for one in every if not one.names]
    if page.actions:
        words.append("ACTION ...")
    return " ".join(words)


def paragraphs(text: str) -> Iterator[tuple[bool, str]]:
    """Of an epilog: (is it to be shown as it stands, its text); a heading is a text of its own."""
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        plain: list[str] = []
        code: list[str] = []
        for line in block.splitlines():
            (code if line.startswith(" ") else plain).append(line)
        if plain:
            yield False, "\n".join(plain)
        if code:
            yield True, "\n".join(line.removeprefix("  ") for line in code)


# Markdown


def markdown(page: Page) -> str:
    """One command, its actions as sections."""
    head = (f"<!-- {LICENCE} -->\n"
            f"<!-- made from the command line's own parser: {RENEW} -->\n")
    return head + "\n".join(_markdown(page, "#")) + "\n"


def _markdown(page: Page, level: str) -> Iterator[str]:
    yield f"{level} {page.name}\n"
    yield f"{_escaped(_sentence(page.text))}\n"
    yield f"```text\n{synopsis(page)}\n```\n"
    for title, arguments in page.groups:
        yield f"**{title}**\n"
        for one in arguments:
            yield f"- `{_names(one)}`" + (f": {_escaped(one.text)}" if one.text else "")
        yield ""
    for as_it_stands, text in paragraphs(page.epilog):
        yield f"```text\n{text}\n```\n" if as_it_stands else f"{_escaped(text)}\n"
    for action in page.actions:
        yield from _markdown(action, level + "#")


def index(pages: tuple[Page, ...]) -> str:
    """docs/commands/README.md."""
    rows = [f"- [{page.name}]({_file(page)}): {_escaped(page.text)}" for page in pages]
    return (f"<!-- {LICENCE} -->\n<!-- made from the command line's own parser: {RENEW} -->\n"
            "# Commands\n\nIn a clone each is started as `./kv COMMAND`; `./kv pytest` runs the "
            "project's own tests.\n\n" + "\n".join(rows) + "\n")


def _file(page: Page) -> str:
    return page.name.split()[-1] + ".md"


def _names(one: Argument) -> str:
    return f"{', '.join(one.names)} {one.value}".strip()


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]|])", r"\\\1", text)


# man(7)


def man(top: argparse.ArgumentParser, pages: tuple[Page, ...]) -> str:
    """kvtools(1) with all commands."""
    about = (top.description or "").rstrip(".")
    lines = [f'.\\" {LICENCE}', f'.\\" made from the command line\'s own parser: {RENEW}',
             f'.TH KVTOOLS 1 "{DATE}" kvtools "User Commands"', ".SH NAME",
             f"kvtools \\- {_roff(about[:1].lower() + about[1:])}", ".SH SYNOPSIS",
             ".B kvtools", ".I COMMAND", "[OPTION]...", ".SH DESCRIPTION",
             "Every patch of a series is applied, checked, built, booted in QEMU and tested;",
             "what the base did already is not blamed on a patch.",
             "In a clone of the repository the program is started as",
             ".BR ./kv ,", "which installs what is missing first.", ".SH COMMANDS"]
    for page in pages:
        lines += _man(page, ".SS")
    lines += [".SH EXIT STATUS", *_tagged(EXIT_STATUS)]
    lines += [".SH ENVIRONMENT", *_tagged(ENVIRONMENT)]
    lines += [".SH SEE ALSO", ".BR b4 (1),", ".BR git (1),", ".BR qemu (1)"]
    return "\n".join(lines) + "\n"


def _man(page: Page, heading: str) -> Iterator[str]:
    yield f'{heading} "{_roff(page.name)}"' if heading == ".SS" else f".PP\n.B {_roff(page.name)}"
    yield from () if heading == ".SS" else (".br",)
    yield _filled(_sentence(page.text))
    yield f".PP\n.nf\n{_roff(synopsis(page))}\n.fi"
    for title, arguments in page.groups:
        yield f".PP\n{_roff(title)}:"
        for one in arguments:
            names = ", ".join(rf"\fB{_roff(name)}\fP" for name in one.names)
            value = rf"\fI{_roff(one.value)}\fP" if one.value else ""
            yield f".TP\n{' '.join(word for word in (names, value) if word)}"
            yield _filled(one.text) if one.text else "one of these"
    for as_it_stands, text in paragraphs(page.epilog):
        yield f".PP\n.nf\n{_roff(text)}\n.fi" if as_it_stands else f".PP\n{_filled(text)}"
    for action in page.actions:
        yield from _man(action, "action")


def _tagged(rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, text in rows:
        yield f".TP\n.B {name}\n{_filled(text)}"


def _filled(text: str) -> str:
    """Running text in lines that mandoc's lint does not call long."""
    return _roff(textwrap.fill(text, 60, break_on_hyphens=False, break_long_words=False))


def _roff(text: str) -> str:
    """No escape, no request, and hyphens that can be copied into a shell."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = text.replace('"', "\\(dq").replace("'", "\\(aq").replace("~", "\\(ti")
    text = text.replace("`", "\\(ga").replace("^", "\\(ha")
    return "\n".join("\\&" + line if line.startswith(".") else line for line in text.split("\n"))


# Both


def files() -> dict[str, str]:
    """Path below docs/ to the text that belongs there."""
    top = parser()
    pages = read(top)
    made = {f"commands/{_file(page)}": markdown(page) for page in pages}
    return {"commands/README.md": index(pages), **made, "man/kvtools.1": man(top, pages)}


def main() -> int:
    """Write them all and remove pages of commands that are gone."""
    docs = paths.data() / "docs"
    made = files()
    for old in docs.glob("commands/*.md"):
        if str(old.relative_to(docs)) not in made:
            old.unlink()
    for name, text in made.items():
        path: Path = docs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
