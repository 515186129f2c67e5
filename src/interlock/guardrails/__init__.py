"""Guardrails: checks on a reply before its commit, each giving a score and findings that are fed back to the agent.

One module for each; its options are the fields of its class. `declared` knows them by name, and makes one of what a
team declares. Nothing here is imported until a team has a guardrail.
"""
