"""Which rooms may import what."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import asl

PACKAGE = Path(asl.__file__).parent
KNOWS_HYDRA = {"config", "commands", "cli.py", "api.py"}
# Modules that only run inside another program's process.
NOT_IMPORTED = {"asl.tracking.served", "asl.export.backend.operators", "asl.export.backend.convert"}

REFUSE = """
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden}:
            raise ModuleNotFoundError(f"{{name}} is refused here", name=name)
sys.meta_path.insert(0, Refuse())
for module in {modules}:
    importlib.import_module(module)
"""


def modules(room: str) -> list[str]:
    path = PACKAGE / room
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    names = [".".join(["asl", *file.relative_to(PACKAGE).with_suffix("").parts]) for file in files]
    return sorted({name.removesuffix(".__init__") for name in names} - NOT_IMPORTED)


def rooms() -> list[str]:
    names = [path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()]
    missing = set() if find_spec("cv2") else {"video"}  # of the extra [video]
    return sorted(set(names) - {"__pycache__", "py.typed"} - missing)


def imports_without(forbidden: set[str], names: list[str]) -> str:
    code = REFUSE.format(forbidden=forbidden, modules=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return done.stderr if done.returncode else ""


@pytest.mark.slow
def test_only_config_and_commands_need_hydra():
    below = [module for room in sorted(set(rooms()) - KNOWS_HYDRA) for module in modules(room)]
    assert not imports_without({"hydra", "omegaconf"}, below)


def test_the_runtime_needs_neither_torch_nor_tensorflow_nor_mlflow():
    assert not imports_without({"torch", "tensorflow", "mlflow", "hydra"}, modules("runtime"))


def test_the_page_needs_neither_torch_nor_tensorflow_nor_mlflow():
    assert not imports_without({"torch", "tensorflow", "mlflow", "hydra", "cv2"}, modules("page"))


def test_video_needs_the_layout_and_files_alone():
    pytest.importorskip("cv2")
    heavy = {"torch", "tensorflow", "mlflow", "hydra", "mediapipe", "requests", "pyarrow"}
    assert not imports_without(heavy, modules("video"))


@pytest.mark.parametrize("room", sorted(set(rooms()) - {"tracking"}))
def test_only_tracking_names_mlflow_in_code(room):
    path = PACKAGE / room
    files = [path] if path.is_file() else path.rglob("*.py")
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        used = [line for line in lines if "import mlflow" in line or "from mlflow" in line]
        assert not used, file
        assert not [line for line in lines if ".client." in line], file


def test_import_asl_is_light():
    code = (
        "import sys, asl; sys.exit(bool({'torch', 'hydra', 'mlflow', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_commands_only_parse_call_and_print():
    lines = {
        file.stem: len(file.read_text(encoding="utf-8").splitlines())
        for file in (PACKAGE / "commands").rglob("*.py")
    }
    assert sum(lines.values()) <= 50 * len(lines)
    assert max(lines.values()) <= 130
