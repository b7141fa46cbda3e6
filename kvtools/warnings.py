# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what make, compilers, linkers and the kernel's own checkers say; pure.

The formats are those of gcc and clang, GNU as and ld, modpost, objtool, sparse, kconfig
and make. Messages about what the merge of fragments does on purpose are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kvtools.model import Finding

EVIDENCE_LINES = 40
_QUOTES = {0x2018: "'", 0x2019: "'"}  # gcc's in a UTF-8 locale

_SEVERITY = {"error": "error", "fatal error": "error", "warning": "warning", "note": "note",
             "internal compiler error": "error", "Error": "error", "Warning": "warning",
             "Fatal error": "error", "sorry, unimplemented": "error"}
_PLACE = r"(?P<file>[^\s:][^:\n]*?)"
_COMPILER = re.compile(
    rf"{_PLACE}:(?:(?P<line>\d+):)?(?:(?P<column>\d+):)? "
    rf"(?P<severity>{'|'.join(sorted(_SEVERITY, key=len, reverse=True))}): (?P<text>.*)$")
_FUNCTION = re.compile(rf"{_PLACE}: In (?:member )?function ['`](?P<function>[\w.]+)':$")
_TOP_LEVEL = re.compile(rf"{_PLACE}: At top level:$")
_INCLUDED = re.compile(r"(?:In file included|\s+) from (?P<file>[^:]+):(?P<line>\d+)")
_LD = re.compile(r"(?:\S*/)?(?:[\w-]+-)?ld(?:\.\w+)?: (?P<rest>.*)$")
_LD_FUNCTION = re.compile(
    rf"(?:\S*ld(?:\.\w+)?: )?{_PLACE}: in function [`'](?P<function>[\w.]+)':(?P<rest>.*)$")
_LD_SAYS = re.compile(
    rf"(?:[^\s:]+\.o:)?{_PLACE}:(?:(?P<line>\d+):)? ?(?:\((?P<section>\.[\w.]+)\+0x[0-9a-f]+\): )?"
    r"(?P<text>(?:undefined reference to|multiple definition of|more undefined references to|"
    r"relocation truncated|dangerous relocation).*)$")
_MODPOST = re.compile(r"(?P<severity>ERROR|WARNING|FATAL): modpost: (?P<text>.*)$")
_MODPOST_PLACE = re.compile(r"\[(?P<module>[\w./-]+?)(?:\.ko)?\]|^(?P<file>[\w./-]+?)(?:\.o)?: ")
_OBJTOOL = re.compile(
    rf"{_PLACE}: (?P<severity>warning|error): objtool: (?P<text>(?:(?P<function>[A-Za-z_][\w.]*?)"
    r"(?:\(\))?(?=[+:]|\(\)| ))?.*)$")
_KCONFIG = re.compile(rf"{_PLACE}:(?P<line>\d+):\s*(?P<severity>error|warning)?:?\s*"
                      r"(?P<text>(?:syntax error|unknown statement|recursive dependency|invalid|"
                      r"error: |unknown option|can't open file|unexpected).*)$")
_UNMET = re.compile(r"WARNING: unmet direct dependencies detected for (?P<symbol>\w+)$")
_MAKE = re.compile(
    r"make(?:\[\d+\])?: \*\*\* (?:\[(?:[^:\]]+:\d+: )?(?P<target>[^\]]+)\]"
    r" (?P<end>Error \d+|\w.*)|(?P<text>.+?))(?:  Stop\.)?$")
_CHECK = re.compile(r"\s+CHECK\s+(?P<file>\S+)$")
_CONTEXT = re.compile(r"\s|\+\+\+|cc1: |\d+ (?:error|warning)s? generated")
_STEP = re.compile(r"\s+[A-Z][A-Z0-9]+\s+(?:\[M\]\s+)?\S+$")
_OWN_DOING = re.compile(r"override: (?:reassigning to symbol|\S+ changes choice state)")
# What moves when unrelated lines do: positions, offsets, and the clones gcc makes.
_POSITION = re.compile(r"(?<=[\w)]):\d+(?::\d+)?\b|\bline \d+|\+0x[0-9a-f]+|"
                       r"(?<=frame size of )\d+(?= bytes)|\.L\w*\d+")
_CLONE = re.compile(r"\.(?:isra|constprop|part|cold)(?:\.\d+)?\b")


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding with its context: ``included_from`` innermost first as ``file:line``.

    ``lines`` are the message as printed with its notes and source lines, ``message`` its
    text before anything was taken out for the identity.
    """

    finding: Finding
    message: str
    included_from: tuple[str, ...]
    lines: tuple[str, ...]


def without_positions(text: str) -> str:
    """A message without what moves when unrelated lines do: the text of its identity."""
    return " ".join(_CLONE.sub("", _POSITION.sub("", text)).split())


def parse(text: str, root: Path) -> tuple[Finding, ...]:
    """The errors and warnings in the output of make, each once, in order.

    ``root`` is the source tree; files below it are given relative to it, as are files of
    the object directory, which make gives relative to itself.
    """
    return tuple(d.finding for d in diagnostics(text, root))


def diagnostics(text: str, root: Path) -> tuple[Diagnostic, ...]:
    """As :func:`parse`, with the context of each."""
    reader = _Reader(root)
    for line in text.splitlines():
        reader.feed(line.rstrip())
    found: dict[tuple[object, ...], Diagnostic] = {}
    for diagnostic in reader.found:
        found.setdefault((*diagnostic.finding.identity, diagnostic.finding.line), diagnostic)
    return tuple(found.values())


class _Reader:
    """What earlier lines say of later ones."""

    def __init__(self, root: Path) -> None:
        self.found: list[Diagnostic] = []
        self._root = root
        self._function: dict[str, str] = {}
        self._linked = ("", "")
        self._leading: list[str] = []
        self._included: list[str] = []
        self._checked: set[str] = set()
        self._open = False
        self._make_failed = False

    def feed(self, shown: str) -> None:
        line = shown.translate(_QUOTES)
        if match := _CHECK.match(line):
            self._checked.add(self._path(match["file"]))
        if _STEP.match(line):
            self._open = False
        elif self._leads(line):
            self._leading.append(shown)
        elif found := self._finding(line):
            self._take(*found, shown)
        elif self._open and _CONTEXT.match(line):
            self._append(shown)
        else:
            self._open = False

    def _leads(self, line: str) -> bool:
        """Lines that stand before the message they belong to."""
        if match := _INCLUDED.match(line):
            self._included.append(f"{self._path(match['file'])}:{match['line']}")
        elif match := _FUNCTION.match(line):
            self._function[self._path(match["file"])] = _CLONE.sub("", match["function"])
        elif match := _TOP_LEVEL.match(line):
            self._function.pop(self._path(match["file"]), None)
        elif (match := _LD_FUNCTION.match(line)) and not match["rest"].strip():
            self._linked = (self._path(match["file"]), _CLONE.sub("", match["function"]))
        else:
            return False
        return True

    def _take(self, finding: Finding, message: str, line: str) -> None:
        leading, self._leading = self._leading, []
        included, self._included = self._included, []
        if finding.severity == "note":
            if self._open:
                for text in (*leading, line):
                    self._append(text)
            return
        self.found.append(Diagnostic(finding, message, tuple(included), (*leading, line)))
        self._open = True

    def _append(self, line: str) -> None:
        last = self.found[-1]
        if len(last.lines) < EVIDENCE_LINES:
            self.found[-1] = replace(last, lines=(*last.lines, line))

    def _finding(self, line: str) -> tuple[Finding, str] | None:
        if _OWN_DOING.search(line):
            return None
        for read in (self._checker, self._linker, self._kconfig, self._make, self._compiler):
            if found := read(line):
                return found
        return None

    def _checker(self, line: str) -> tuple[Finding, str] | None:
        if match := _MODPOST.match(line):
            place = _MODPOST_PLACE.search(match["text"])
            file = (place["module"] or place["file"]) if place else ""
            severity = "warning" if match["severity"] == "WARNING" else "error"
            return self._made("modpost", severity, file, 0, "", match["text"])
        if match := _OBJTOOL.match(line):
            return self._made("objtool", match["severity"], match["file"], 0,
                              match["function"] or "", match["text"])
        return None

    def _linker(self, line: str) -> tuple[Finding, str] | None:
        in_function = _LD_FUNCTION.match(line)
        if in_function:
            self._linked = (self._path(in_function["file"]),
                            _CLONE.sub("", in_function["function"]))
            line = in_function["rest"].strip()
        prefix = _LD.match(line)
        if prefix and not in_function:
            self._linked = ("", "")
        rest = prefix["rest"] if prefix else line
        if says := _LD_SAYS.match(rest):
            file, function = self._linked
            if says["line"] or not file:  # with debug information ld knows the source
                file = says["file"]
            return self._made("ld", "error", file, int(says["line"] or 0), function,
                              says["text"])
        if prefix is None or rest.startswith("note:"):
            return None
        severity = "warning" if rest.startswith("warning:") else "error"
        return self._made("ld", severity, "", 0, "", rest.removeprefix("warning:").strip())

    def _kconfig(self, line: str) -> tuple[Finding, str] | None:
        if match := _UNMET.match(line):
            return self._made("kconfig", "warning", "", 0, "",
                              f"unmet direct dependencies of {match['symbol']}")
        match = _KCONFIG.match(line)
        name = PurePosixPath(match["file"]).name if match else ""
        if match is None or not name.startswith(("Kconfig", ".config")):
            return None
        return self._made("kconfig", match["severity"] or "error", match["file"],
                          int(match["line"]), "", match["text"])

    def _make(self, line: str) -> tuple[Finding, str] | None:
        """The first failure only: the rest is make unwinding."""
        match = _MAKE.match(line)
        if match is None or self._make_failed:
            return None
        self._make_failed = True
        if match["target"]:
            return self._made("make", "error", match["target"], 0, "", match["end"])
        return self._made("make", "error", "", 0, "", match["text"])

    def _compiler(self, line: str) -> tuple[Finding, str] | None:
        match = _COMPILER.match(line)
        if match is None:
            return None
        severity, text = _SEVERITY[match["severity"]], match["text"]
        file = self._path(match["file"])
        tool = "cc"
        if match["severity"][0].isupper() or file == "{standard input}":
            tool = "as"
        elif severity == "warning" and file in self._checked and "[-W" not in text:
            tool = "sparse"
        if match["line"] is None and not match["severity"].endswith("error"):
            return None
        if "internal compiler error" in match["severity"]:
            text = f"internal compiler error: {text}"
        # "gcc: fatal error: ..." names the program, not a file.
        place = match["file"] if match["line"] or "." in match["file"] else ""
        return self._made(tool, severity, place, int(match["line"] or 0),
                          self._function.get(file, ""), text)

    def _made(self, tool: str, severity: str, file: str, line: int, function: str,
              message: str) -> tuple[Finding, str]:
        text = message.replace("`", "'").replace(f"{self._root}/", "").strip()
        identity = without_positions(text)
        path = self._path(file) if file else ""
        return Finding(tool, severity, path, line, _CLONE.sub("", function), identity), text

    def _path(self, path: str) -> str:
        """``path`` relative to the source tree, whichever way the compiler was given it."""
        pure = PurePosixPath(path)
        if pure.is_absolute():
            return str(pure.relative_to(self._root)) if pure.is_relative_to(self._root) else path
        parts = list(pure.parts)
        ups = 0
        while parts and parts[0] == "..":
            parts.pop(0)
            ups += 1
        # ../linux/mm/slub.c, seen from an object directory beside the tree
        if ups and parts and parts[0] == self._root.name and len(parts) > 1:
            parts.pop(0)
        return "/".join(parts)
