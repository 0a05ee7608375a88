"""The one error a user may see, and the exit codes of the command line.

A fault of the user's (a wrong path, a bad option, a full disk) raises UserError and is printed as one
message; a fault of ours keeps its traceback, because somebody has to find it.
"""

from simrefine.printable import printable

EXIT_OK = 0
EXIT_BUG = 1  # Python's own code for an uncaught exception; listed so that nothing else uses it
EXIT_USER_ERROR = 2  # wrong usage or unusable input; nothing was done
EXIT_INCOMPLETE = 3  # the work was done, but some files were rejected
EXIT_DIVERGED = 4  # training met a NaN or infinity and stopped
# Ended before all was done; what is complete is kept.
EXIT_HUNG_UP = 129  # SIGHUP (128 + 1), such as a closed terminal
EXIT_INTERRUPTED = 130  # Ctrl-C (128 + SIGINT)
EXIT_OUTPUT_CLOSED = 141  # nobody reads the output any more (128 + SIGPIPE)
EXIT_TERMINATED = 143  # SIGTERM (128 + 15)


class UserError(Exception):
    """Something the user can put right.

    Args:
        what: what is wrong, and where: a sentence without a full stop that names the file, folder or option.
        fix: what to do about it, likewise; None where `what` already says it.
        exit_code: what the command line exits with.
    """

    def __init__(self, what: str, fix: str | None = None, exit_code: int = EXIT_USER_ERROR):
        super().__init__(printable(f"{what}. {fix}." if fix else f"{what}."))
        self.what, self.fix, self.exit_code = what, fix, exit_code

    def __reduce__(self):
        """How it comes back from another process: as it was said."""
        return type(self), (self.what, self.fix, self.exit_code)
