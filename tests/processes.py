"""Python code in a process of its own."""

import os
import subprocess
import sys


def run(code, *arguments, timeout=120, prefix=(), **environment):
    """Run code; a value of None takes a variable out of the environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in environment}
    env = inherited | {name: value for name, value in environment.items() if value is not None}
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=timeout)
