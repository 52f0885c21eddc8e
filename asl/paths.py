"""Where configs lie and where results go: in a checkout, or in the working folder.

Installed by pip, `conf/`, `experiments/` and `web/` are part of the package, and `data/`, `mlruns/`
and `exports/` belong to the folder that the command is started in.
"""

import os
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parent
IN_CHECKOUT = (_CHECKOUT / "conf" / "train.yaml").is_file()

PROJECT = _CHECKOUT if IN_CHECKOUT else Path.cwd()
CONF = _CHECKOUT / "conf" if IN_CHECKOUT else PACKAGE / "conf"
EXPERIMENTS = _CHECKOUT / "experiments" if IN_CHECKOUT else PACKAGE / "experiments"
WEB = _CHECKOUT / "web" if IN_CHECKOUT else PACKAGE / "web"


_LONGEST = 200  # bytes of the 255 that file systems take; a suffix may follow


def raw_data(name: str) -> str:
    """A data set's folder: in $ASL_SHARED_DATA, data/raw, or shared/data beside the project."""
    shared = os.environ.get("ASL_SHARED_DATA")
    folders = [Path(shared) / name] if shared else []
    folders += [PROJECT / "data" / "raw" / name, PROJECT.parent / "shared" / "data" / name]
    existing = (folder for folder in folders if folder.exists())
    return str(next(existing, PROJECT / "data" / "raw" / name))


def as_file_name(name: str) -> str:
    """A name of a run or a data set as one part of a path, which cannot lead elsewhere."""
    safe = re.sub(r"[^\w.,=+ ()-]", "-", name).lstrip(". ")
    return safe.encode()[:_LONGEST].decode(errors="ignore") or "unnamed"
