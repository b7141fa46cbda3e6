# SPDX-License-Identifier: GPL-2.0-or-later
"""Configure and build one kernel."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvtools import git, headers, kconfig, make, warnings
from kvtools.errors import MachineError, ToolTimeout
from kvtools.events import Tick, no_tick
from kvtools.model import Config, Json, Outcome, Owner, Status, Step
from kvtools.sources import code_digest
from kvtools.store import key
from kvtools.toolchain import Toolchain
from kvtools.warnings import Diagnostic

VERSION = 1
"""Part of the key: raised when the same tree and config may give another outcome."""

CODE = ("make", "kconfig", "warnings.py", "configs.py", "steps/build.py", "headers", "cpp",
        "dotcmd.py")
"""Our sources that decide what the outcome of a build is."""

DEADLINE = 5400.0
"""Seconds for the whole step: a first build takes minutes, on a slow machine an hour."""

LOG = "build.log"
FRAGMENT = "fragment.config"
EVIDENCE_LINES = 60
VERIFY = "verify"
"""The object directory of builds that are only made to be compared."""

# Whose fault it is shows in the words of the program that gave up.
_MACHINE = re.compile(
    r"Killed signal|internal compiler error|No space left on device|Disk quota exceeded|"
    r"virtual memory exhausted|[Cc]annot allocate memory|[Oo]ut of memory|memory exhausted|"
    r"Input/output error|Read-only file system|Too many open files|Stale file handle|"
    r"Bus error|\*\*\*.* (?:Killed|Terminated|Error 137|Error 127)$|"
    r"(?:sh|make): .*(?:not found|No such file or directory)$|"
    r"fatal error: (?:openssl/|libelf\.h|gelf\.h|elfutils/|gmp\.h|mpc\.h).*No such file|"
    r"Cannot generate ORC metadata|install libelf")
# The same words in a message about the source, or in the source it shows, mean nothing.
_OF_SOURCE = re.compile(r"\s|\S+?:\d+(?::\d+)?: (?:error|warning|note): ")


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """``source`` is checked out; ``objects`` belongs to this (base, config, toolchain).

    ``touched`` are the new-side line ranges of the patch by file, ``deadline`` seconds for
    the whole step, ``out`` a fresh directory for what it leaves behind. ``header_aware``:
    do not compile what an edited header cannot have changed (docs/headers.md); ``verify``:
    after such a build, build everything again beside it and compare. ``ccache`` is where
    compiled files are kept, None to compile every one.
    """

    source: Path
    objects: Path
    config: Config
    toolchain: Toolchain
    jobs: int
    touched: Mapping[str, tuple[tuple[int, int], ...]]
    deadline: float
    out: Path
    header_aware: bool = True
    verify: bool = False
    ccache: Path | None = None


def outcome_key(tree: str, config: Config, chain: Toolchain,
                touched: Mapping[str, tuple[tuple[int, int], ...]]) -> str:
    """The content key of the build of a git tree."""
    return key(
        step="build",
        version=VERSION,
        tree=tree,
        config=config.digest,
        toolchain=chain.digest,
        touched={file: list(map(list, ranges)) for file, ranges in sorted(touched.items())},
        code=code_digest(*CODE),
    )


def run(request: BuildRequest, tick: Tick = no_tick) -> Outcome:
    """PASS with ``bzImage``, ``config``, ``System.map`` and modules in ``out``, or FAIL.

    FAIL for a requested symbol that is missing from the .config and for a compile error;
    ERROR when the machine could not build (killed compiler, full disk, deadline). Warnings
    are in ``details`` and ``fingerprints``. Raises :class:`MachineError`.
    """
    begun = time.monotonic()
    try:
        return _Build(request, tick, begun).run()
    except ToolTimeout as error:
        return _outcome(
            request, begun, Status.ERROR, f"make ran past {request.deadline:.0f} s",
            owner=Owner.MACHINE, evidence=(str(error),), reproduce=reproduce(request))
    except OSError as error:
        raise MachineError(f"building in {request.objects}: {error}",
                           fix="make room or mend the disk, then run again") from error


class _Build:
    """One build: the verbs of :func:`run` in their order."""

    def __init__(self, request: BuildRequest, tick: Tick, begun: float) -> None:
        self._request = request
        self._tick = tick
        self._begun = begun
        self._log = request.out / LOG
        # kbuild writes physical paths into .cmd files and messages (realpath in its Makefile).
        self._tree = make.Tree(request.source.resolve(), request.objects.resolve(),
                               request.toolchain,
                               make.Ccache(request.ccache) if request.ccache else None)
        self._of_config: tuple[Diagnostic, ...] = ()

    def run(self) -> Outcome:
        request = self._request
        make.open_objects(self._tree)
        (request.out / FRAGMENT).write_text(f"{request.config.text}\n{make.FIXED_CONFIG}")
        self._tick(0, 0, "configuring")
        made, raw = make.configure(self._tree, request.config, deadline=self._left(),
                                   log=self._log, recall=request.header_aware)
        if made.status != 0:
            return self._failed(made)
        (request.out / "config").write_bytes(raw)
        self._of_config = tuple(d for d in warnings.diagnostics(made.text, self._tree.source)
                                if d.finding.severity == "warning")
        final = make.final_config(raw)
        if kconfig.missing(request.config, final):
            return self._dropped(final)
        arch = request.toolchain.arch
        modules = "m" in final.values()
        spared = self._spare()
        standing = make.standing(self._tree) if spared.unread else None
        made = standing or self._make([arch.image_target, *(["modules"] if modules else [])],
                                      expected=spared.expected)
        if made.status != 0:
            return self._failed(made)
        sampled = headers.sample(spared, self._tree.objects, env=make.uncached())
        if sampled.wrong:
            return self._wrong(spared, sampled)
        kept = bool(spared.targets or standing)
        if request.verify and kept and (wrong := self._verify(modules=modules)):
            return self._wrong(spared, headers.Sampled((), wrong))
        details: dict[str, Json] = {"objects_built": made.objects,
                                    "objects_cached": made.cached,
                                    "objects_spared": len(spared.targets),
                                    "objects_sampled": list(sampled.checked),
                                    "make_called": standing is None,
                                    "verified": request.verify and kept,
                                    "headers_left_to_make": list(spared.why)}
        if modules:
            installed = self._make(["modules_install"], INSTALL_MOD_PATH=str(
                (request.out / "modules").absolute()))
            if installed.status != 0:
                return self._failed(installed)
            details["modules_sha256"] = _digest_of_modules(request.out / "modules")
        headers.settle(self._tree.source, self._tree.objects)  # no make comes after this
        return self._passed(made, details, debug_info=final.get("DEBUG_INFO", "n") == "y")

    def _spare(self) -> headers.Spared:
        """Keep what an edited header cannot have changed; what happened goes to the log."""
        request, tree = self._request, self._tree
        self._tick(0, 0, "reading headers")
        spared = headers.prepare(
            tree.source, tree.objects, compiler=(request.toolchain.cc,), env=make.FIXED_ENV,
            jobs=request.jobs, warned=make.warned(tree), enabled=request.header_aware)
        lines = [f"left to make: {why}" for why in spared.why]
        if spared.unread:
            lines.append("nothing to make: no product reads a file that has changed")
        if spared.decision:
            removed, kept = len(spared.decision.rebuild), len(spared.targets)
            lines.append(f"{kept} objects kept, {removed} to be made again "
                         f"({spared.seconds:.1f} s)")
            lines += [f"  {target}: {why}"
                      for target, why in sorted(spared.decision.reasons.items())]
        with self._log.open("a", encoding="utf-8", errors="surrogateescape") as log:
            log.writelines(f"# headers: {line}\n" for line in lines)
        return spared

    def _verify(self, *, modules: bool) -> tuple[str, ...]:
        """What a build from nothing makes otherwise. Raises MachineError when it fails.

        In the place of the first one: what boots is compiled with -g and names its directory.
        """
        objects = self._tree.objects
        aside = objects.with_name(VERIFY)
        shutil.rmtree(aside, ignore_errors=True)
        objects.rename(aside)
        try:
            self._from_nothing(modules=modules)
            return headers.differing(aside, objects)
        finally:
            shutil.rmtree(objects, ignore_errors=True)
            aside.rename(objects)

    def _from_nothing(self, *, modules: bool) -> None:
        request = self._request
        # Without ccache: it would answer with the objects that are to be proven.
        fresh = make.Tree(self._tree.source, self._tree.objects, request.toolchain)
        make.open_objects(fresh)
        self._tick(0, 0, "building again to compare")
        log = request.out / "verify.log"
        make.configure(fresh, request.config, deadline=self._left(), log=log)
        targets = [request.toolchain.arch.image_target, *(["modules"] if modules else [])]
        extra = request.config.extra_warnings
        made = make.build(fresh, targets, jobs=request.jobs, deadline=self._left(), log=log,
                          tick=self._tick, variables={"W": extra} if extra else {})
        if made.status != 0:
            raise MachineError("the build from nothing that was to be compared failed",
                               fix=f"see {log}")

    def _wrong(self, spared: headers.Spared, sampled: headers.Sampled) -> Outcome:
        """A kept object is not what its command makes: nothing that was built counts."""
        headers.distrust(spared, self._tree.objects)
        return _outcome(
            self._request, self._begun, Status.ERROR,
            f"wrong reuse: {sampled.wrong[0]} was kept and comes out different",
            owner=Owner.MACHINE, evidence=tuple(f"wrong reuse: {t}" for t in sampled.wrong),
            details={"wrong_reuse": list(sampled.wrong)}, reproduce=reproduce(self._request))

    def _left(self) -> float:
        return self._request.deadline - (time.monotonic() - self._begun)

    def _make(self, targets: Sequence[str], expected: int | None = None,
              **variables: str) -> make.Made:
        if self._request.config.extra_warnings:
            variables["W"] = self._request.config.extra_warnings
        return make.build(self._tree, targets, jobs=self._request.jobs, deadline=self._left(),
                          log=self._log, tick=self._tick, variables=variables,
                          expected=expected)

    def _passed(
        self, made: make.Made, details: dict[str, Json], *, debug_info: bool
    ) -> Outcome:
        """``debug_info``: the whole vmlinux is left as well, for crash."""
        request = self._request
        image = request.out / "bzImage"
        shutil.copyfile(make.image_path(self._tree), image)
        shutil.copyfile(self._tree.objects / "System.map", request.out / "System.map")
        if debug_info:
            shutil.copyfile(self._tree.objects / "vmlinux", request.out / "vmlinux")
        data = image.read_bytes()
        found = (*self._of_config, *made.warnings)
        details |= {
            "image_sha256": hashlib.sha256(data).hexdigest(),
            "image_bytes": len(data),
            "warnings": [_as_json(d, request) for d in found],
            "errors": [],
        }
        said = f", {_count(len(found), 'warning')}" if found else ""
        kept = details["objects_spared"]
        notes = [*([f"{kept} kept"] if kept else []),
                 *([f"{made.cached} by ccache"] if made.cached else []),
                 *([] if details["make_called"] else ["nothing that is read has changed"])]
        also = f" ({', '.join(notes)})" if notes else ""
        summary = (f"{image.name} {len(data) / 1e6:.1f} MB, "
                   f"{_count(made.objects, 'object')}{also}{said}")
        return _outcome(
            request, self._begun, Status.PASS, summary, evidence=_lines(found),
            fingerprints=_fingerprints(found), details=details, reproduce=reproduce(request))

    def _failed(self, made: make.Made) -> Outcome:
        found = warnings.diagnostics(made.text, self._tree.source)
        errors = [d for d in found if d.finding.severity == "error"]
        # make's own "*** Error 1" matters only when nothing else was said.
        errors = [d for d in errors if d.finding.tool != "make"] or errors
        line = machine_fault(made.text)
        if line:
            return _outcome(
                self._request, self._begun, Status.ERROR, f"the machine failed: {line.strip()}",
                owner=Owner.MACHINE, evidence=tuple(dict.fromkeys((line, *_lines(errors)))),
                reproduce=reproduce(self._request))
        summary = _headline(errors) if errors else f"make ended with status {made.status}"
        return _outcome(
            self._request, self._begun, Status.FAIL, summary, owner=Owner.PATCH,
            evidence=_lines(errors) or tuple(made.text.splitlines()[-20:]),
            fingerprints=_fingerprints(errors) or ("make",),
            details={"warnings": [_as_json(d, self._request) for d in made.warnings],
                     "errors": [_as_json(d, self._request) for d in errors],
                     "objects_built": made.objects},
            reproduce=reproduce(self._request))

    def _dropped(self, final: Mapping[str, str]) -> Outcome:
        request = self._request
        lost = kconfig.dropped(request.config, final, make.kconfig_texts(request.source),
                               request.toolchain.arch.srcarch)
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        return _outcome(
            request, self._begun, Status.FAIL, f"config: {lost[0]}{more}", owner=Owner.PATCH,
            evidence=tuple(str(one) for one in lost),
            fingerprints=tuple(f"config: {one.symbol}={one.wanted}" for one in lost),
            details={"dropped": [{"symbol": d.symbol, "wanted": d.wanted, "got": d.got,
                                  "why": d.why} for d in lost],
                     "warnings": [], "errors": []},
            reproduce=reproduce(request, build=False))


def machine_fault(text: str) -> str:
    """The line in make's output that blames this machine, empty if there is none."""
    return next((line for line in text.splitlines()
                 if not _OF_SOURCE.match(line) and _MACHINE.search(line)), "")


def reproduce(request: BuildRequest, *, build: bool = True) -> tuple[str, ...]:
    """Shell lines that build the same kernel in a clone, without kvtools."""
    arch = request.toolchain.arch
    cross = [f"CROSS_COMPILE={request.toolchain.cross}"] if request.toolchain.cross else []
    call = shlex.join(["make", "-C", "linux", f"ARCH={arch.make_arch}", *cross, "LOCALVERSION="])
    call += ' O="$PWD/o"'
    lines = [f"# {FRAGMENT} is in the directory of this outcome", *_checkout(request.source)]
    lines += ["mkdir -p o"]
    lines += ["export " + " ".join(f"{name}={shlex.quote(value)}"
                                   for name, value in make.FIXED_ENV.items())]
    if request.config.target != make.LOAD_ONLY:
        lines += [f"{call} {request.config.target}"]
    lines += [f"cat {FRAGMENT} >> o/.config", f"{call} olddefconfig"]
    if build:
        extra = f" W={request.config.extra_warnings}" if request.config.extra_warnings else ""
        lines += [f"{call}{extra} -j{request.jobs} {arch.image_target}"]
    else:
        lines += ["cat o/.config"]
    return tuple(lines)


def _checkout(source: Path) -> tuple[str, ...]:
    repo = shlex.quote(str(git.common_dir(source)))
    commit = git.rev_parse(source, "HEAD")
    return (f"git clone --shared --no-checkout {repo} linux",
            f"git -C linux checkout --detach {commit}")


def _outcome(request: BuildRequest, begun: float, status: Status, summary: str, *,
             owner: Owner | None = None, evidence: tuple[str, ...] = (),
             fingerprints: tuple[str, ...] = (), details: Mapping[str, Json] | None = None,
             reproduce: tuple[str, ...] = ()) -> Outcome:
    return Outcome(
        step=Step.BUILD, name=request.config.name, status=status,
        seconds=time.monotonic() - begun, summary=summary, owner=owner, log=LOG,
        evidence=evidence[:EVIDENCE_LINES], reproduce=reproduce, fingerprints=fingerprints,
        details=details or {})


def _headline(errors: Sequence[Diagnostic]) -> str:
    first = errors[0]
    where = first.finding.file + (f":{first.finding.line}" if first.finding.line else "")
    more = f" (and {_count(len(errors) - 1, 'more error')})" if len(errors) > 1 else ""
    return f"{where + ': ' if where else ''}error: {first.message}{more}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _lines(found: Sequence[Diagnostic]) -> tuple[str, ...]:
    return tuple(line for diagnostic in found for line in diagnostic.lines)


def _fingerprints(found: Sequence[Diagnostic]) -> tuple[str, ...]:
    parts = (d.finding.identity for d in found)
    return tuple(dict.fromkeys(": ".join(part for part in one if part) for one in parts))


def _as_json(diagnostic: Diagnostic, request: BuildRequest) -> dict[str, Json]:
    finding = diagnostic.finding
    places = [(finding.file, finding.line)]
    places += [(file, int(line)) for file, _, line in
               (where.rpartition(":") for where in diagnostic.included_from)]
    return {
        "tool": finding.tool, "severity": finding.severity, "file": finding.file,
        "line": finding.line, "function": finding.function, "text": diagnostic.message,
        "included_from": list(diagnostic.included_from), "lines": list(diagnostic.lines),
        "touched": any(first <= line <= last for file, line in places
                       for first, last in request.touched.get(file, ())),
        "touched_file": any(file in request.touched for file, _ in places),
    }


def _digest_of_modules(installed: Path) -> str:
    """Over path and content of every module; the links back to the source are removed."""
    digest = hashlib.sha256()
    for path in sorted(installed.rglob("*")):
        if path.is_symlink():
            path.unlink()  # build and source point to where this machine built
        elif path.suffix == ".ko":
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(installed)} {content}\n".encode())
    return digest.hexdigest()
