"""The progress of a run: a bar on a terminal, calls of the caller's function, or nothing."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from .checks import shown
from .errors import InputError
from .terminal import printable

Progress = Callable[[int], None]  # called with the number of images done so far
ProgressOption = bool | Callable[[int, int | None], None] | None


def on_a_terminal() -> bool:
    """Return True if stderr is a terminal; False if it is closed."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # stderr is None if it was closed before Python started
        return False


def check_progress(option: object) -> None:
    """Raise `InputError` if `option` is not a valid value of `progress`."""
    if option is not None and not isinstance(option, int) and not callable(option):
        raise InputError(f"progress must be None, True, False or a function of (done, total), got {shown(option)}")


@contextlib.contextmanager
def progress_bar(option: ProgressOption, total: int | None, label: str) -> Iterator[Progress]:
    """Yield a function to call with the number of images done.

    Parameters
    ----------
    option : None, bool or callable
        None shows a bar if stderr is a terminal, True always, False never. A callable gets (done, total); if it raises,
        the run ends.
    total : int or None
        Number of images, if it is known.
    label : str
        Name of the source, shown before the bar.

    Raises
    ------
    InputError
        If `option` is something else.
    """
    if callable(option):
        report = option
        yield lambda done: report(done, total)
        return
    check_progress(option)
    if sys.stderr is None or not (on_a_terminal() if option is None else option):  # stderr is None if it was closed
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=printable(label), unit="img", file=sys.stderr) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        yield show
