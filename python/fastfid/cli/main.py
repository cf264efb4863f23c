"""The command line: which command runs, and what its end means to a shell."""

import sys
from collections.abc import Callable, Sequence

from ..errors import FastFIDError
from ..terminal import say, streams
from ..threads import num_threads
from . import demo, merge, models, score
from .signals import Ended, ending_as_ctrl_c

_COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "merge": merge.command,
    "models": models.command,
    "demo": demo.command,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        0, 1 for bad input, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    Raises
    ------
    SystemExit
        With 2 for bad usage, and with 0 after ``--help`` and ``--version``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    named = _COMMANDS.get(arguments[0]) if arguments else None
    with streams():
        try:
            num_threads()  # a wrong number in the environment is an error before anything begins
            with ending_as_ctrl_c():
                if named is not None:
                    named(arguments[1:])
                else:
                    score.command(arguments)
        except BrokenPipeError:
            return 1  # the reader of our output is gone: nobody would read a message
        except (FastFIDError, OSError) as error:
            say(f"error: {error}")
            return 1
        except MemoryError:
            say("error: out of memory")
            return 1
        except Ended as signal:
            say(f"ended by {signal}")
            return 128 + signal.number
        except KeyboardInterrupt:
            say("interrupted")
            return 130
    return 0
