"""The command line: runs the command and returns its exit status."""

import sys
from collections.abc import Callable, Sequence

from ..arguments import arguments_as_flags
from ..errors import FastFIDError, UsageError
from ..terminal import say, streams
from ..threads import num_threads
from . import (
    cache,
    demo,
    diff,
    fdr,
    history,
    merge,
    models,
    plan,
    prepare,
    protocols,
    rank,
    reference,
    score,
    shard,
)
from .signals import Ended, ending_as_ctrl_c

# A command returns its exit status, or None for 0.
_COMMANDS: dict[str, Callable[[Sequence[str]], int | None]] = {
    "cache": cache.command,
    "diff": diff.command,
    "fdr": fdr.command,
    "history": history.command,
    "merge": merge.command,
    "models": models.command,
    "plan": plan.command,
    "prepare": prepare.command,
    "protocols": protocols.command,
    "rank": rank.command,
    "reference": reference.command,
    "shard": shard.command,
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
        Exit status: 0 for success, 1 for an error, 2 for options that do not fit together, 3 if a gate failed, 4 if it
        is inconclusive, 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.

    Raises
    ------
    SystemExit
        With status 2 if the arguments cannot be read, and with 0 after ``--help`` and ``--version``.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    named = _COMMANDS.get(arguments[0]) if arguments else None
    with streams(), arguments_as_flags():
        try:
            num_threads()  # raises now if the environment variable holds a bad number
            with ending_as_ctrl_c():
                return (named(arguments[1:]) if named else score.command(arguments)) or 0
        except BrokenPipeError:
            return 1  # the reader of the output is gone, so nobody would read a message
        except UsageError as error:
            say(f"error: {error}")
            return 2
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
