"""One module a framework: the same agent, called through Interlock's adapter and by the framework itself.

`calls(job)` gives both: each answers the job when it is called, and takes MODEL_SECONDS for its model. A framework
is imported at the top of its module; one that isn't installed is left out.
"""

MODEL_SECONDS = 0.02
ANSWER = '{"category": "cards", "priority": "high"}'

# To measure another one, add its module and its name.
FRAMEWORKS = ("langgraph",)
