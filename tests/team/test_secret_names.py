"""What a name says of its value: one answer for variables of the environment and for those of a team file."""

import pytest

from interlock.agents.secret import Vault
from interlock.team.kinds import MCP_SERVER
from interlock.team.secret_names import names_a_secret

TELLING = [
    "OPENAI_API_KEY",
    "APIKEY",
    "AWS_SECRET_ACCESS_KEY",
    "KEY",
    "X-Api-Key",
    "GITHUB_TOKEN",
    "db_password",
    "STRIPE_SECRET",
    "SSH_PRIVATE_KEY",
    "Proxy-Authorization",
    "cookie",
]
OTHERS = ["LANG", "MONKEY", "SSH_PUBLIC_KEY", "MAX_TOKENS", "TOKENIZERS", "KEYS", "SAVE_COOKIE"]


@pytest.mark.parametrize("name", TELLING)
def test_a_telling_name(name):
    assert names_a_secret(name)


@pytest.mark.parametrize("name", OTHERS)
def test_another(name):
    assert not names_a_secret(name)


@pytest.mark.parametrize("name", TELLING + OTHERS)
def test_whoever_asks_is_told_the_same(name):
    looked_for = bool(Vault({name: "tk-5f1d0c7e9b3a4286"}))
    refused = [*MCP_SERVER.check({"command": ["a"], "env": {name: "tk-5f1d0c7e9b3a4286"}}, ())]
    assert looked_for is bool(refused) is names_a_secret(name)
