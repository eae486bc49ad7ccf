"""Where the daemon's data and socket are when nobody says otherwise, and an agent's token. Pure: the environment is
passed in, and what reads a file.
"""

from collections.abc import Callable, Mapping

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


PRIVATE = 0o077
"""Mode bits that a file with a token must not have."""


def bearer_token(environment: Mapping[str, str], read: Callable[[str], tuple[str, int]]) -> str | None:
    """GENOMED_TOKEN, else what GENOMED_TOKEN_FILE names; None where neither is set.

    read: the text and the mode of a file. Raises InvalidRequest for a file that cannot be read or that others may
    touch, and for what can be no token: it is never sent without one then.
    """
    if "GENOMED_TOKEN" in environment:
        return _one_line(environment["GENOMED_TOKEN"], "GENOMED_TOKEN")
    path = environment.get("GENOMED_TOKEN_FILE")
    if path is None:
        return None
    try:
        text, mode = read(path)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}"
        raise InvalidRequest.of([Problem(field="GENOMED_TOKEN_FILE", message=message)]) from error
    if mode & PRIVATE:
        message = f"others may touch {path} (mode {mode & 0o777:04o})"
        raise InvalidRequest.of([Problem(field="GENOMED_TOKEN_FILE", message=message, remedy=f"chmod 600 {path}")])
    return _one_line(text, "GENOMED_TOKEN_FILE")


def _one_line(text: str, field: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        remedy = "put there what genome/token-create told, and nothing else; or unset it"
        raise InvalidRequest.of([Problem(field=field, message="holds no token", remedy=remedy)])
    return token
