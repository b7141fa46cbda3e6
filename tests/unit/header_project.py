# SPDX-License-Identifier: GPL-2.0-or-later
"""A small project that gcc compiles, with objects as kbuild leaves them."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

from kvtools.headers.commands import products
from kvtools.headers.compiler import check_alone, remake
from kvtools.headers.decide import Decision, decide

COMMON = """\
#ifndef COMMON_H
#define COMMON_H
#define PASTE(a, b) a##b
#define LINE_OF(x) ((x) + __LINE__)
#define GETTER(name) static inline int get_##name(int a) { return a + VALUE_##name; }
#define VALUE_one 1
#define VALUE_two 2
#define MODE 4
struct inner { int a; };
struct outer { struct inner in; int b; };
struct other { int c; };
enum kind { FIRST, SECOND };
extern int outside(int);
GETTER(one)

static inline int plain(int a)
{
	return a + 1;
}

static inline int caller(int a)
{
	return plain(a) + MODE;
}

static inline int moved(int a)
{
	return LINE_OF(a);
}

static inline int counted(void)
{
	return __COUNTER__;
}
#ifdef CONFIG_ON
static inline int on(void) { return 1; }
#else
static inline int on(void) { return 0; }
#endif
#endif
"""
USER = """\
#ifndef USER_H
#define USER_H
#include "common.h"
#define USER_MODE (MODE + 1)
static inline int through(int a) { return caller(a); }
static inline int size(struct outer *o) { return sizeof(*o); }
static inline int unused(struct other *o) { return o->c; }
#endif
"""
UNITS = {
    "nothing": '#include "user.h"\nint nothing(int a) { return a; }\n',
    "plain": '#include "common.h"\nint f(int a) { return plain(a); }\n',
    "through": '#include "user.h"\nint f(int a) { return through(a); }\n',
    "mode": '#include "user.h"\nint f(int a) { return USER_MODE; }\n',
    "moved": '#include "common.h"\nint f(int a) { return moved(a); }\n',
    "size": '#include "user.h"\nint f(struct outer *o) { return size(o); }\n',
    "getter": '#include "common.h"\nint f(int a) { return PASTE(get_, one)(a); }\n',
    "enum": '#include "common.h"\nint f(void) { return SECOND; }\n',
    "on": '#include "common.h"\nint f(void) { return on(); }\n',
    "own": '#define LINE_OF(x) 7\n#include "common.h"\n#undef LINE_OF\nint f(void) { return 1; }\n',
    "made": '#include "common.h"\n#define NEW PASTE(mo, ved)\nint f(int a) { return NEW(a); }\n',
}


class Project:
    """Sources, and objects as kbuild leaves them."""

    def __init__(self, root: Path) -> None:
        self.source, self.objects = root / "src", root / "o"
        self.common = self.source / "common.h"
        (self.source / "include/linux").mkdir(parents=True)
        (self.objects / "include/generated").mkdir(parents=True)
        for name in ("compiler-version.h", "kconfig.h", "compiler_types.h"):
            (self.source / "include/linux" / name).write_text("")
        self.common.write_text(COMMON)
        (self.source / "user.h").write_text(USER)
        for name, text in UNITS.items():
            (self.source / f"{name}.c").write_text(text)
            self.build(name)

    def build(self, name: str, *more: str) -> None:
        included = [w for n in ("compiler-version.h", "kconfig.h", "compiler_types.h")
                    for w in ("-include", f"{self.source}/include/linux/{n}")]
        call = ["gcc", f"-Wp,-MMD,.{name}.o.d", "-nostdinc", "-I", str(self.source), *included,
                "-D__KERNEL__", "-DCONFIG_ON", "-O2", *more, f"-DKBUILD_MODNAME='\"{name}\"'",
                "-c", "-o", f"{name}.o", f"{self.source}/{name}.c"]
        subprocess.run(["sh", "-c", " ".join(call)], cwd=self.objects, check=True)
        read = (self.objects / f".{name}.o.d").read_text().partition(":")[2]
        deps = "".join(f"  {d} \\\n" for d in read.split() if d not in ("\\", call[-1]))
        (self.objects / f".{name}.o.cmd").write_text(
            f"cmd_{name}.o := {' '.join(call)}\n\nsource_{name}.o := {call[-1]}\n\n"
            f"deps_{name}.o := \\\n    $(wildcard include/config/ON) \\\n{deps}\n")

    def edit(self, old: str, new: str) -> Decision:
        """Change the header and ask; the answer is held against the compiler."""
        assert old in COMMON
        self.common.write_text(COMMON.replace(old, new, 1))
        decision = self.decide(self.common, COMMON)
        known = {p.target: p for p in products(self.objects)}
        for target in decision.spare:
            made = remake(known[target], self.objects, {})
            assert made == (self.objects / target).read_bytes(), f"wrong reuse of {target}"
        return decision

    def decide(self, header: Path, before: str) -> Decision:
        check = partial(check_alone, objects=self.objects, env={}, jobs=2)
        return decide({str(header): before}, products(self.objects), {"CONFIG_ON": "1"},
                      ("gcc",), check, frozenset())
