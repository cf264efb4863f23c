"""The progress bar, with and without a terminal or stderr; and values that `progress` refuses."""

import io
import sys

import numpy as np
import pytest

from fastfid import InputError
from fastfid.progress import on_a_terminal, progress_bar


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("option", [None, True, False])
def test_without_a_stderr(monkeypatch, option):
    """Python has None for it where the descriptor was closed before it started."""
    monkeypatch.setattr(sys, "stderr", None)
    assert not on_a_terminal()
    with progress_bar(option, 2, "set") as show:
        show(1)


def test_a_closed_stderr_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", closed())
    assert not on_a_terminal()
    with progress_bar(None, 2, "set") as show:
        show(1)


@pytest.mark.parametrize("option", ["yes", 1.5, [1, 2], np.arange(2)])
def test_what_is_no_progress(option):
    with pytest.raises(InputError, match="progress must be"), progress_bar(option, 2, "set"):
        pass


def test_a_function_gets_the_number_done_and_the_total():
    seen = []
    with progress_bar(lambda *numbers: seen.append(numbers), 2, "set") as show:
        show(1)
    assert seen == [(1, 2)]
