"""Where the models of this team are: any OpenAI-compatible server. Interlock retries; the clients don't."""

import os

BASE_URL = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
MODEL = os.environ.get("MIXED_TEAM_MODEL", "gpt-5-mini")
