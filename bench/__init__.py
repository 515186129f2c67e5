"""What Interlock costs, measured: `python -m bench [WORKLOAD ...]`, or `make bench` for all of them.

A machine's speed swings twofold within a day, so a time alone says little. Each workload measures in turn, in the same
process, the physical limit it stands on: an asyncio task, or one durable commit. What counts is the ratio of the two.

    figures     what a workload hands back: figures, each with its reference and goal
    references  the physical limits
    subjects    the teams that are run
    frameworks  agents of other frameworks, one module each
    workloads   one module each; its docstring says what is measured and how
    profiling   where the time of a workload goes
    report      the table at the end
"""
