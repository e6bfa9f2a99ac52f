"""The README keeps its promises: its program runs word for word, its commands are there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def program():
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    return code


def test_program_is_short_and_runs(tmp_path):
    code = program()
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert "rank" in run.stdout
    assert "geometry error" in run.stdout
    assert (tmp_path / "W.json").is_file()


def test_first_screen():
    first, second = re.findall(r"```bash\n(.*?)```", README, flags=re.S)[0].strip().splitlines()
    assert first == "pip install . && mlipgen demo"
    assert second.startswith('pip install ".[test]" && pytest')
    picture = re.search(r"!\[.*?\]\((.*?)\)", README).group(1)
    assert (ROOT / picture).is_file()
