"""`judge`: another agent of the team judges a reply. What it is, the core knows, which has its agent called."""

from interlock.core.guardrail import Judge

__all__ = ["Judge"]
