"""Where data and socket are when nobody says: daemon and client come to the same answer from the environment."""

import pytest

from genomed.entities.errors import InvalidRequest
from genomed.entities.locations import MAX_SOCKET_PATH_BYTES, data_dir, socket_path


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        (
            {"GENOMED_DATA_DIR": "/d", "STATE_DIRECTORY": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"},
            "/d",
        ),
        ({"STATE_DIRECTORY": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"STATE_DIRECTORY": "/s:/other"}, "/s"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/genomed"),
        ({"HOME": "/h"}, "/h/.local/state/genomed"),
        ({"HOME": "/h", "XDG_STATE_HOME": "", "GENOMED_DATA_DIR": ""}, "/h/.local/state/genomed"),
    ],
)
def test_data_lies_where_the_nearest_word_says(environment: dict[str, str], folder: str) -> None:
    assert data_dir(environment) == folder


@pytest.mark.parametrize(
    ("environment", "data", "path"),
    [
        ({"GENOMED_SOCKET": "/g.sock", "RUNTIME_DIRECTORY": "/r", "XDG_RUNTIME_DIR": "/x"}, "/d", "/g.sock"),
        ({"RUNTIME_DIRECTORY": "/r:/other", "XDG_RUNTIME_DIR": "/x"}, None, "/r/genomed.sock"),
        ({"XDG_RUNTIME_DIR": "/x", "HOME": "/h"}, None, "/x/genomed/genomed.sock"),
        ({"HOME": "/h"}, None, "/h/.local/state/genomed/genomed.sock"),
        ({"XDG_RUNTIME_DIR": "/x"}, "/d", "/d/genomed.sock"),
        ({"XDG_RUNTIME_DIR": "/x", "GENOMED_DATA_DIR": "/e"}, None, "/e/genomed.sock"),
        ({"GENOMED_DATA_DIR": "/e"}, "/d", "/d/genomed.sock"),
    ],
)
def test_the_socket_lies_with_the_session_unless_a_data_folder_was_named(
    environment: dict[str, str], data: str | None, path: str
) -> None:
    assert socket_path(environment, data=data) == path


def test_an_empty_variable_is_as_good_as_none() -> None:
    environment = {"GENOMED_SOCKET": "", "GENOMED_DATA_DIR": "", "XDG_RUNTIME_DIR": "/x", "HOME": "/h"}
    assert socket_path(environment) == "/x/genomed/genomed.sock"


@pytest.mark.parametrize("letter", ["s", "é"])
def test_a_path_too_long_for_a_socket_is_refused_in_bytes(letter: str) -> None:
    room = (MAX_SOCKET_PATH_BYTES - 1) // len(letter.encode())
    fits = "/" + letter * room
    assert socket_path({"GENOMED_SOCKET": fits}) == fits
    with pytest.raises(InvalidRequest, match="at most 107") as refused:
        socket_path({"GENOMED_SOCKET": fits + letter})
    assert refused.value.field == "socket"
    assert refused.value.remedy is not None
