# SPDX-License-Identifier: GPL-2.0-or-later
"""Just enough of kconfig's conf for the fake tree: conf.py SRCTREE TARGET, in the objtree.

It runs twice for every build of the tests: no pathlib and no re, which take longer than the rest.
"""
import os
import sys

src, target = sys.argv[1:3]
symbols = {}


def content(path):
    with open(path) as file:
        return file.read()


def read(path, depends):
    current, stack = None, [depends]
    for line in content(os.path.join(src, path)).splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "source":
            read(words[1].strip('"'), stack[-1])
        elif words[0] in ("config", "menuconfig"):
            current = symbols.setdefault(
                words[1], {"type": "bool", "prompt": False, "default": None, "depends": stack[-1]})
        elif words[0] == "if":
            stack.append([*stack[-1], *words[1:]])
        elif words[0] == "endif":
            stack.pop()
        elif words[0] in ("bool", "tristate", "string", "int"):
            current["type"], current["prompt"] = words[0], len(words) > 1
        elif words[0] == "default":
            current["default"] = words[1]
        elif words[:2] == ["depends", "on"]:
            current["depends"] = [*current["depends"], *[w for w in words[2:] if w != "&&"]]


def old_config():
    found = {}
    try:
        lines = content(".config").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        name, equals, value = line.removeprefix("CONFIG_").partition("=")
        if line.startswith("CONFIG_") and equals:
            found[name] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            found[line.split()[1].removeprefix("CONFIG_")] = "n"
    return found


def resolve(old):
    values = {}
    for _ in range(len(symbols)):
        for name, sym in symbols.items():
            if all((values.get(d.lstrip("!"), "n") == "n") == d.startswith("!")
                   for d in sym["depends"]):
                value = old.get(name) if sym["prompt"] else None
                if value == "m" and (sym["type"] == "bool" or values.get("MODULES") != "y"):
                    value = "y"
                empty = {"string": '""', "int": "0"}.get(sym["type"], "n")
                values[name] = value or sym["default"] or empty
            else:
                values.pop(name, None)
    return values


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def assignment(name, value):
    return f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"


read("Kconfig", [])
base = {}
if target in ("olddefconfig", "syncconfig"):
    base = old_config()
    for name in sorted(set(base) - set(symbols)):
        print(f".config:warning: symbol value '{base[name]}' invalid for {name}"
              if base[name] == "bad" else f"# unknown symbol {name}", file=sys.stderr)
elif target == "tinyconfig":
    base = {name: "n" for name, sym in symbols.items() if sym["type"] != "string"
            and sym["type"] != "int"}
values = resolve(base)
text = "".join(assignment(n, values[n]) for n in symbols if n in values)
if target == "syncconfig":
    write("include/config/auto.conf", text)
    header = ""
    for name, value in values.items():
        if value == "y":
            header += f"#define CONFIG_{name} 1\n"
        elif value == "m":
            header += f"#define CONFIG_{name}_MODULE 1\n"
        elif value != "n":
            header += f"#define CONFIG_{name} {value}\n"
    write("include/generated/autoconf.h", header)
else:
    write(".config", "#\n# Automatically generated file; DO NOT EDIT.\n#\n" + text)
    print("#\n# configuration written to .config\n#")
