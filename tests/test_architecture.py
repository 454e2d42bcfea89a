"""The house plan, kept: who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from inspect import getdoc, isclass, isfunction, ismodule
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vggapps"
LONGEST = 300
HEAVY = {"torch", "torchvision", "numpy", "PIL", "kornia"}
# Options and custom properties of other programs, of which rooms may speak.
FOREIGN = {"sort", "format", "force-reinstall", "no-deps", "check", "paper", "ink", "faint", "line"}
DRAWERS = {"util", "utils", "helper", "helpers", "core", "base", "manager", "common", "misc"}

# The floors, from the ground: what each room may import besides itself.
ROOMS = {
    "errors": set(),
    "settings": {"errors"},
    "_files": {"errors"},
    "_memory": set(),
    "_ranges": {"errors"},
    "_progress": set(),
    "_rates": set(),
    "_tables": set(),
    "image": {"errors", "_files", "_ranges", "settings"},
    "optimize": {"errors", "settings"},
    "vgg": {"errors", "_ranges", "settings"},
    "weights": {"errors", "_files", "vgg"},
    "figures": {"errors", "_files", "_rates", "image"},
    "losses": {"errors", "_files", "_ranges", "_tables", "figures", "settings", "image", "vgg", "weights"},
    "datasets": {"errors", "_files", "image", "weights"},
}
GROUND = set(ROOMS)
ROOMS["objectives"] = GROUND
ROOMS["style"] = GROUND
ROOMS["features"] = GROUND
ROOMS["visualization"] = GROUND | {"objectives"}
ROOMS["explanation"] = GROUND | {"objectives"}
ROOMS["training"] = GROUND | {"features"}  # fine-tuning begins with a probe
ROOMS["painters"] = GROUND | {"style", "training"}  # they learn the loss of style transfer by the training loop
ROOMS["classification"] = GROUND | {"features", "explanation"}  # a class is localized by what decided for it
MIDDLE = set(ROOMS) - GROUND
DOORS = ("cli", "web", "__main__")
ROOMS |= {
    "web": set(ROOMS),
    "cli": set(ROOMS) | {"web"},  # a command opens the page
    "__main__": {"cli"},
}


def python_files(*folders: str) -> list[Path]:
    return sorted(
        file for folder in folders for file in (ROOT / folder).rglob("*.py*") if file.suffix in (".py", ".pyi")
    )


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(file): file for file in python_files("vggapps") if file.suffix == ".py"}


def is_for_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, *, inside_functions: bool) -> Iterator[tuple[str, str]]:
    """(module, name) of each import; the name is empty for ``import module``. Not those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            continue
        elif not is_for_type_checking(node):
            yield from imports(node, inside_functions=inside_functions)


@cache
def imports_of(module: str, *, inside_functions: bool) -> frozenset[str]:
    """The modules that a module of the package imports; what is not ours by its top name, ``torch``."""
    found = set()
    for source, name in imports(ast.parse(MODULES[module].read_text()), inside_functions=inside_functions):
        inner = f"{source}.{name}"
        ours = source.partition(".")[0] == "vggapps"
        found.add(inner if inner in MODULES else source if ours else source.partition(".")[0])
    return frozenset(found)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_there_is_something_to_look_at() -> None:
    assert {"vggapps.vgg._plan", "vggapps.cli.app", "vggapps.errors"} <= set(MODULES)
    assert "vggapps.vgg._plan" in imports_of("vggapps.vgg._network", inside_functions=False)
    assert "torch" in imports_of("vggapps.cli.info", inside_functions=True)
    assert "torch" not in imports_of("vggapps.cli.info", inside_functions=False)


@pytest.mark.parametrize("module", [module for module in MODULES if room(module)])
def test_rooms_import_only_what_lies_below(module: str) -> None:
    assert room(module) in ROOMS, f"{room(module)} has no place in the house plan"
    allowed = ROOMS[room(module)] | {room(module)}
    for other in imports_of(module, inside_functions=True):
        if other.startswith("vggapps."):
            assert room(other) in allowed, f"{module} may not import {other}"


@pytest.mark.parametrize("module", MODULES)
def test_of_the_root_nothing_is_used_but_the_version(module: str) -> None:
    """Its lazy names would be a way around the floors."""
    tree = ast.parse(MODULES[module].read_text())
    names = {name for source, name in imports(tree, inside_functions=True) if source == "vggapps"}
    assert {name for name in names if f"vggapps.{name}" not in MODULES} <= {"__version__", ""}


def test_no_cycles() -> None:
    graph = {module: imports_of(module, inside_functions=False) & set(MODULES) - {module} for module in MODULES}
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names them


@pytest.mark.parametrize("module", [m for m in MODULES if room(m) in (*DOORS, "errors", "settings", "")])
def test_doors_import_what_is_heavy_inside_functions(module: str) -> None:
    """Also through other modules of ours."""
    seen, waiting = set(), [module]
    while waiting:
        for other in imports_of(waiting.pop(), inside_functions=False) - seen:
            seen.add(other)
            waiting += [name for name in (other, other.rpartition(".")[0]) if name in MODULES and name != "vggapps"]
    assert not seen & HEAVY


@pytest.mark.parametrize("module", ["vggapps", "vggapps.cli.app", "vggapps.vgg._plan", "vggapps.weights._records"])
def test_a_fresh_import_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({HEAVY | {'gradio'}!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def listed_names() -> dict[str, set[str]]:
    """The public names by room, as ``public_names.txt`` lists them."""
    rooms: dict[str, set[str]] = {}
    for line in (ROOT / "tests" / "public_names.txt").read_text().splitlines():
        if line.startswith(" "):
            rooms[next(reversed(rooms))].add(line.strip())
        else:
            rooms[line] = set()
    return rooms


NAMES = listed_names()
PUBLIC = [(room, name) for room, names in NAMES.items() for name in sorted(names)]


def test_every_room_lists_its_public_names() -> None:
    """A name that is added or removed is a decision: the list changes with it."""
    stubs = {module_name(file): file for file in python_files("vggapps") if file.suffix == ".pyi"}
    assert set(stubs) == set(NAMES)
    for room, file in stubs.items():
        assigned = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.Assign))
        stub = next(ast.literal_eval(node.value) for node in assigned)
        exported = {*importlib.import_module(room).__all__, *({"__version__"} if room == "vggapps" else ())}
        assert set(stub) == exported == NAMES[room], room


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_public_names_exist_and_have_docstrings(room: str, name: str) -> None:
    found = getattr(importlib.import_module(room), name)
    assert name in dir(importlib.import_module(room)) or name == "__version__"
    if not (isclass(found) or isfunction(found) or ismodule(found)):
        return
    assert found.__doc__, f"{room}.{name} has no docstring"
    methods = [word for word, one in vars(found).items() if isfunction(one)] if isclass(found) else []
    bare = [word for word in methods if not word.startswith("_") and not getdoc(getattr(found, word))]
    assert bare == [], f"{room}.{name} has methods without docstrings"


PUBLIC_MODULES = {"errors", "settings", "losses.functional", "__main__"} | {name.partition(".")[2] for name in NAMES}


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) not in ("", "cli", "web")])
def test_modules_that_are_not_public_begin_with_an_underscore(module: str) -> None:
    assert module.rpartition(".")[2].startswith("_") or module.partition(".")[2] in PUBLIC_MODULES


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) not in DOORS])
def test_rooms_know_no_options_of_the_command_line(module: str) -> None:
    """They name arguments as in Python, in errors by ``vggapps.errors.argument``; doors put in their own names."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text()))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    options = {option for text in texts for option in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", text)}
    assert options <= FOREIGN


@pytest.mark.parametrize("folder", ["vggapps", "tests", "benchmarks", "apps", "assets"])
def test_no_file_is_long(folder: str) -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in python_files(folder)}
    assert {file: lines for file, lines in lengths.items() if lines > LONGEST} == {}


def test_no_drawers() -> None:
    """A file that is named for nothing in particular collects everything."""
    names = {
        part
        for file in python_files("vggapps", "apps", "tests")
        for part in file.relative_to(ROOT).with_suffix("").parts
    }
    assert {name.strip("_") for name in names} & DRAWERS == set()


def outside() -> dict[str, str]:
    """Programs and pages that live on public names: their Python."""
    sources = {str(file.relative_to(ROOT)): file.read_text() for file in python_files("apps", "benchmarks")}
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S), 1):
            sources[f"{page.relative_to(ROOT)}, block {number}"] = block.replace(">>> ", "").replace("... ", "")
    return sources


@pytest.mark.parametrize("source", outside())
def test_outside_only_public_names_are_used_and_they_exist(source: str) -> None:
    for module, name in imports(ast.parse(outside()[source]), inside_functions=True):
        if module.partition(".")[0] != "vggapps":
            continue
        parts = [*module.split("."), *filter(None, [name])]
        assert not [part for part in parts if part.startswith("_") and part != "__version__"]
        assert not name or f"{module}.{name}" in MODULES or hasattr(importlib.import_module(module), name)
