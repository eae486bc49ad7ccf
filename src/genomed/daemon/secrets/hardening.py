"""What the daemon denies itself before it reads anything: core dumps, and being looked into by others of its own uid.

Its memory and its environment hold keys. Knows the kernel's calls alone; what workers are denied,
`training.confinement` knows.
"""

import ctypes
import os
import resource
import sys

PR_SET_DUMPABLE = 4
"""linux/prctl.h. Not dumpable means: no core, whatever takes cores; no ptrace, and no environ, mem or fd in /proc for
anybody but root, the same uid included (prctl(2), proc(5)).
"""


def harden() -> None:
    """Once, first of all, and for good. What is started later is dumpable again, by its own exec, and leaves no core
    either. Raises OSError where the kernel refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_DUMPABLE): {os.strerror(number)}")
