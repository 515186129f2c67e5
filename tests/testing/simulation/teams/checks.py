"""Guardrails of the team with all features."""


def moody(draft):
    """Half a score for most, and an error for some; the same of the same draft."""
    if 0.4 < draft.confidence < 0.5:
        raise ValueError("not in the mood")
    return 0.5
