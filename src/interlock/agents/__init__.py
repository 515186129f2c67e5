"""Adapters: each makes one kind of agent callable by the engine, and hides what it is made of.

function  FunctionAdapter calls async functions in the loop; ThreadAdapter is the last resort for functions that no
          other process can import
process   ProcessAdapter calls any importable function in warm, killable processes
llm       a model with a prompt
langgraph, autogen, openai_agents
          agents of frameworks that work in the loop: each is a Foreigner behind a ForeignAdapter
crewai, swarm
          agents of frameworks that don't: a BoundAdapter has them work in processes of their own
http, command
          other programs, which are sent a job and answer with a reply

Those that a team declares by their kind are made by `declared` of their module, from a Setting.
"""
