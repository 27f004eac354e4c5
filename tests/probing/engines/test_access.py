"""Claims about what is checked before a cluster is joined, and about tokens; no Ray is needed."""

import socket

import pytest

from probing.engines import access
from probing.engines.access import check_answers, check_token, make_token
from probing.records import InputError


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where Ray looks for a token; there is none, and none is named."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_an_address_at_which_nothing_listens_is_refused_in_one_line_and_another_is_not():
    with socket.socket() as listens:
        listens.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listens.getsockname()[1]}"
        with pytest.raises(
            InputError, match=rf"^--engine-address auto \({address}\): nothing answers .*`ray start --head`$"
        ):
            check_answers("auto", address)
        listens.listen()
        check_answers("auto", address)


def test_without_a_token_a_cluster_is_not_joined_unless_it_asks_for_none(place, monkeypatch):
    with pytest.raises(InputError, match=rf"^--engine-address auto: no token .*get-auth-token --generate.*{place}"):
        check_token("auto")
    with monkeypatch.context() as changed:
        changed.setenv("RAY_AUTH_MODE", "disabled")
        check_token("auto")
    with monkeypatch.context() as changed:
        changed.setenv("RAY_AUTH_TOKEN", "named")
        check_token("auto")
    make_token()
    check_token("auto")


def test_a_token_is_made_once_is_read_by_its_user_alone_and_is_none_where_one_is_named(place, monkeypatch):
    with monkeypatch.context() as changed:
        changed.setenv("RAY_AUTH_TOKEN", "named")
        make_token()
    assert not place.parent.exists()
    make_token()
    made = place.read_text()
    assert len(made) == 64
    assert place.stat().st_mode & 0o777 == 0o600
    make_token()
    assert place.read_text() == made


def test_of_two_commands_that_start_at_a_time_both_have_the_token_of_the_first(place, monkeypatch):
    def be_late(n_bytes):
        place.write_text("of the first")
        return "0" * n_bytes

    monkeypatch.setattr(access.secrets, "token_hex", be_late)
    make_token()
    assert place.read_text() == "of the first"
    assert list(place.parent.iterdir()) == [place]
