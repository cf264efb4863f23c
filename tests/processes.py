"""Run Python code in another process, or work in a fork of this one."""

import os
import subprocess
import sys
import time
import traceback
import warnings

PATIENCE = 60.0  # seconds; a deadlock lasts forever


def run(code, *arguments, timeout=120, prefix=(), **environment):
    """Run code; a value of None takes a variable out of the environment."""
    inherited = {name: value for name, value in os.environ.items() if name not in environment}
    env = inherited | {name: value for name, value in environment.items() if value is not None}
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=timeout)


def child_of(work, leave=os._exit):
    """Fork, and do some work in the child, which leaves with the code that the work returns; give the child's id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later warn of threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        except Exception:
            traceback.print_exc()
        leave(code)
    return child


def wait_for(child):
    """Wait for the end of a child and return its exit code; kill it where it does not end."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"
