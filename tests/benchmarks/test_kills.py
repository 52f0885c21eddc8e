import json
import os
import subprocess
import sys

import pytest

from benchmarks.kills import CASES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="commands are forked"),
]


def test_a_kill_of_each_command_loses_nothing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.kills", "--folder", str(tmp_path), "--kills", "5"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    lines = [json.loads(line) for line in (tmp_path / "kills.jsonl").read_text().splitlines()]
    assert {line["case"] for line in lines if line["killed_after"]} == set(CASES)
    assert not [line for line in lines if line["faults"]]
