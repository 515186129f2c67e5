"""Adapters: each makes one kind of agent callable by the engine, and hides what it is made of.

FunctionAdapter calls async functions in the loop; ProcessAdapter calls any importable function in warm, killable
processes; ThreadAdapter is the last resort for functions that no other process can import.
"""
