"""By which names variables and headers say that they hold a secret: the only place that knows."""

import re
from functools import lru_cache

# Before `KEY` stands what it is of, since much else is called a key: OPENAI_API_KEY, X-Api-Key; but SSH_PUBLIC_KEY.
_TELLING = re.compile(
    r"((^|(?<!PUBLIC)[_-]|API|ACCESS|AUTH|PRIVATE|SECRET)KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?"
    r"|AUTHORIZATION|^COOKIE)$",
    re.IGNORECASE,
)


@lru_cache(10_000)
def names_a_secret(name: str) -> bool:
    """Whether what stands under a name is secret; asked again whenever a text is told."""
    return _TELLING.search(name) is not None
