"""What an import of the package costs, and that it gives what it names."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_msk

#: Modules that cost every test session of everybody, were the plugin to load them.
HEAVY = {
    "aiokafka", "asyncio", "boto3", "botocore", "confluent_kafka", "cramjam", "cryptography", "docker", "faker",
    "google_crc32c", "hypothesis", "kafka", "moto", "multiprocessing", "orjson", "requests", "ssl", "testcontainers",
    "urllib3",
}  # fmt: skip
SOURCE = ast.parse(Path(pytest_msk.__file__).read_text(encoding="utf-8"))


def loaded_by(statement: str) -> set[str]:
    """The modules that a statement loads in a new process that has pytest already."""
    program = f"import sys, json, pytest; before = set(sys.modules); {statement}; " \
              "print(json.dumps(sorted(set(sys.modules) - before)))"  # fmt: skip
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def type_checking_imports() -> dict[str, str]:
    """Name -> module of what a type checker sees."""
    (block,) = [node for node in SOURCE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert all(isinstance(node, ast.ImportFrom) and node.level == 1 for node in block.body)
    return {alias.name: node.module for node in block.body for alias in node.names if alias.asname is None}


def test_the_plugin_loads_nothing_heavy():
    loaded = loaded_by("import pytest_msk.plugin")
    assert "pytest_msk.plugin" in loaded
    tops = {name.partition(".")[0] for name in loaded}
    assert tops & HEAVY == set()
    assert tops - {"pytest_msk"} <= sys.stdlib_module_names


def test_the_plugin_loads_no_module_of_the_kit_that_a_fixture_could_load():
    loaded = {name for name in loaded_by("import pytest_msk.plugin") if name.startswith("pytest_msk")}
    assert {name.partition(".")[2] for name in loaded} == {"", "brokers", "clock", "errors", "options", "plugin"}


def test_the_package_alone_loads_nothing_else():
    assert loaded_by("import pytest_msk") == {"pytest_msk"}


def test_the_core_works_without_pytest():
    program = (
        "import sys; sys.modules['pytest'] = None; import pytest_msk; "
        "print(pytest_msk.Record, pytest_msk.EventSourceMapping, pytest_msk.assert_ordered, pytest_msk.EmbeddedBroker,"
        " pytest_msk.decode(pytest_msk.msk_event()))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_an_event_is_made_without_faker_hypothesis_or_a_client_of_kafka():
    loaded = loaded_by("import pytest_msk; pytest_msk.msk_event()")
    assert {name.partition(".")[0] for name in loaded} & HEAVY == {"orjson"}


def test_the_strategies_say_which_extra_they_need():
    program = "import sys; sys.modules['hypothesis'] = None; import pytest_msk.strategies"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: pytest_msk.strategies needs Hypothesis: pip install 'pytest-msk[hypothesis]'."
    )


@pytest.mark.parametrize("name", pytest_msk.__all__)
def test_a_public_name_is_there_and_its_home_exports_it(name):
    value = getattr(pytest_msk, name)
    home = importlib.import_module(f"pytest_msk.{type_checking_imports()[name]}")
    assert getattr(home, name) is value
    assert name in home.__all__


def test_a_type_checker_sees_exactly_the_public_names():
    assert sorted(type_checking_imports()) == pytest_msk.__all__


def test_the_table_of_homes_has_each_public_name_once_and_where_the_type_checker_finds_it():
    listed = [(name, module) for module, names in pytest_msk._HOMES.items() for name in names]
    assert len(listed) == len(dict(listed))
    assert dict(listed) == type_checking_imports()


def test_the_public_names_are_sorted_and_listed():
    assert pytest_msk.__all__ == sorted(set(pytest_msk.__all__))
    assert set(pytest_msk.__all__) <= set(dir(pytest_msk))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError) as raised:
        _ = pytest_msk.no_such_name
    assert str(raised.value) == "module 'pytest_msk' has no attribute 'no_such_name'"


@pytest.mark.parametrize(
    "path", sorted(Path(pytest_msk.__file__).parent.rglob("*.py")), ids=lambda path: "/".join(path.parts[-2:])
)
def test_every_module_says_what_it_is_and_what_it_exports(path):
    module = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(module)
    exported = [
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if path.name != "plugin.py":
        assert len(exported) == 1
        assert len(exported[0]) == len(set(exported[0]))
