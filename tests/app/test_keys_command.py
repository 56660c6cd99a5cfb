"""`fastmtl keys` and `fastmtl tenants`, as the operator writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from service import api
from typer.testing import CliRunner, Result

from app.cli import app
from app.remote import key_at_hand
from app.settings import Settings

KEY = re.compile(r"fastmtl_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\n")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FASTMTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def table(*words: str) -> list[list[str]]:
    """Return the rows that a command prints, cell by cell."""
    lines = run(*words).stdout.splitlines()
    return [[cell for cell in re.split(r"  +", line.strip())] for line in lines[1:]]


def status(home: Path, key: str) -> int:
    with api(home) as client:
        return client.get("/v1/keys/self", headers={"Authorization": f"Bearer {key.strip()}"}).status_code


def test_a_key_is_printed_alone_and_lets_in(home: Path):
    made = run("keys", "create", "--tenant", "default", "--scope", "write", "--expires-days", "90", "--name", "nightly")
    assert (made.exit_code, bool(KEY.fullmatch(made.stdout))) == (0, True)
    assert "'nightly', write, ends 20" in made.stderr
    assert status(home, made.stdout) == 200
    assert not (home / "api-key").exists()  # there is a key already: the service makes no first one


def test_keys_are_listed_without_what_they_are(home: Path):
    run("tenants", "create", "ada")
    keys = [run("keys", "create", "--tenant", name, "--name", f"{name}'s").stdout for name in ("ada", "default")]
    run("keys", "revoke", keys[1][:20])
    listed = table("keys", "list")
    assert [row[:5] for row in listed] == [
        [keys[0][:20], "ada", "ada's", "read", "active"],
        [keys[1][:20], "default", "default's", "read", "revoked"],
    ]
    assert table("keys", "list", "--tenant", "ada") == listed[:1]


def test_with_json_a_key_and_its_list_are_documents(home: Path):
    made = json.loads(run("keys", "create", "--scope", "write", "--json").stdout)
    assert (status(home, made["key"]), made["scope"]) == (200, "write")
    (listed,) = json.loads(run("keys", "list", "--json").stdout)
    assert (listed["id"], listed["tenant"], listed["active"], "key" in listed) == (made["id"], "default", True, False)
    rotated = json.loads(run("keys", "rotate", made["id"], "--overlap-hours", "0", "--json").stdout)
    assert json.loads(run("keys", "revoke", rotated["id"], "--json").stdout)["active"] is False


def test_with_json_tenants_and_quotas_are_documents(home: Path):
    assert json.loads(run("tenants", "create", "ada", "--json").stdout) == {"name": "ada"}
    set_ = json.loads(run("tenants", "set-quota", "ada", "--rows", "9", "--json").stdout)
    assert set_["quotas"]["rows"] == {"used": 0, "limit": 9}
    assert json.loads(run("tenants", "list", "--json").stdout)[0] == set_


def test_with_json_a_refusal_is_a_document(home: Path):
    ended = run("keys", "revoke", "nonsense", "--json")
    told = json.loads(ended.stderr)
    assert (ended.exit_code, told["exit"], "name a key by its id" in told["detail"]) == (2, 2, True)


@pytest.mark.parametrize("named_by", ["prefix", "bare prefix", "the key itself"])
def test_the_operator_revokes_the_last_admin_key_too(home: Path, named_by: str):
    key = run("keys", "create", "--scope", "admin").stdout.strip()
    name = {"prefix": key[:20], "bare prefix": key[8:20], "the key itself": key}[named_by]
    revoked = run("keys", "revoke", name)
    assert (revoked.exit_code, key[21:] in revoked.stderr, status(home, key)) == (0, False, 401)


def test_a_rotated_key_is_printed_and_the_old_one_ends(home: Path):
    old = run("keys", "create").stdout
    new = run("keys", "rotate", old[:20], "--overlap-hours", "0")
    assert (bool(KEY.fullmatch(new.stdout)), status(home, old), status(home, new.stdout)) == (True, 401, 200)


def test_a_replaced_key_is_listed_as_such_with_the_end_that_was_told(home: Path):
    old = run("keys", "create", "--expires-days", "1").stdout
    told = run("keys", "rotate", old[:20], "--overlap-hours", "48").stderr
    states = {row[0]: row[4] for row in table("keys", "list")}
    ends = next(row[6] for row in table("keys", "list") if row[0] == old[:20])
    assert sorted(states.values()) == ["active", "replaced"] and states[old[:20]] == "replaced"
    assert f"{old[:20]}, ends {ends} UTC" in told


def test_quotas_are_set_listed_and_given_back(home: Path):
    run("tenants", "create", "ada")
    run("tenants", "set-quota", "ada", "--bytes", "5,000,000", "--live-jobs", "2")
    told = run("tenants", "set-quota", "ada", "--live-jobs", "default", "--rows", "0")
    assert told.stderr == (
        "'ada' has of what it may have: bytes 0 of 5,000,000, rows 0 of 0, live jobs 0 of any number, priority 0 of 9\n"
    )
    assert [[row[0], *row[2:]] for row in table("tenants", "list")] == [
        ["ada", "0 of 5,000,000", "0 of 0", "0 of any number", "0 of 9"],
        ["default", *["0 of any number"] * 3, "0 of 9"],
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("keys create --tenant nobody", "refused: there is no tenant 'nobody'"),
        ("keys revoke nonsense", "refused: name a key by its id or its prefix"),
        ("keys revoke fastmtl_000000000000", "refused: there is no key 000000000000"),
        ("keys rotate 6f0e2f6c-3b0a-4c58-9a55-0f3d1b2c4d5e", "refused: there is no key 6f0e2f6c"),
        ("keys list --tenant nobody", "refused: there is no tenant 'nobody'"),
        ("tenants create default", "refused: there is a tenant 'default' already"),
        ("tenants set-quota nobody --rows 1", "refused: there is no tenant 'nobody'"),
        ("tenants set-quota default --rows many", "refused: a quota is a number from 0"),
        ("tenants set-quota default --rows 9223372036854775808", "refused: a quota is a number from 0"),
        ("keys create --scope lord", "none of read, write, admin"),
        ("keys create --expires-days 0", "--expires-days"),
    ],
)
def test_what_cannot_be_done_is_told(home: Path, words: str, told: str):
    ended = run(*words.split())
    assert (ended.exit_code, told in ended.stderr, ended.stdout) == (2, True, "")


def test_the_key_at_hand_is_the_environments_or_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = Settings(home=tmp_path)
    assert key_at_hand(settings) is None
    (tmp_path / "api-key").write_text("fastmtl_first\n")
    assert key_at_hand(settings) == "fastmtl_first"
    monkeypatch.setenv("FASTMTL_API_KEY", "fastmtl_mine")
    assert key_at_hand(settings) == "fastmtl_mine"
