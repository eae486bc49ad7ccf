"""Where the daemon's data and socket are when nobody says otherwise. Pure: the environment is passed in."""

from collections.abc import Mapping

from genomed.entities.errors import InvalidRequest, Problem

MAX_SOCKET_PATH_BYTES = 107
"""sun_path of Linux holds 108 bytes with its terminating zero (unix(7))."""


def data_dir(environment: Mapping[str, str]) -> str:
    """GENOMED_DATA_DIR, else systemd's state directory, else the XDG state folder."""
    if given := environment.get("GENOMED_DATA_DIR"):
        return given
    if state := environment.get("STATE_DIRECTORY"):
        return state.split(":")[0]
    home = environment.get("XDG_STATE_HOME") or f"{environment.get('HOME', '')}/.local/state"
    return f"{home}/genomed"


def socket_path(environment: Mapping[str, str], *, data: str | None = None) -> str:
    """GENOMED_SOCKET, else the runtime directory of systemd or the session, else inside the data folder.

    Raises InvalidRequest when the path is longer than a Unix socket's may be.
    """
    path = environment.get("GENOMED_SOCKET") or _default_socket(environment, data)
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise InvalidRequest.of(
            [
                Problem(
                    field="socket",
                    message=f"{path} has {len(path.encode())} bytes; a Unix socket's path has at most "
                    f"{MAX_SOCKET_PATH_BYTES}",
                    remedy="name a shorter path with --socket or GENOMED_SOCKET",
                )
            ]
        )
    return path


def _default_socket(environment: Mapping[str, str], data: str | None) -> str:
    if named := data or environment.get("GENOMED_DATA_DIR"):
        return f"{named}/genomed.sock"
    if runtime := environment.get("RUNTIME_DIRECTORY"):
        return f"{runtime.split(':')[0]}/genomed.sock"
    if session := environment.get("XDG_RUNTIME_DIR"):
        return f"{session}/genomed/genomed.sock"
    return f"{data_dir(environment)}/genomed.sock"
