"""One module a workload: its docstring says what is measured and how.

`measure(settings)` gives the Result. Where the work is done in this process, `prepare(settings)` gives what does
it once: that is what is profiled.
"""

from types import ModuleType

from . import (
    adapter_overhead,
    chain_durable,
    chain_memory,
    crash_recovery,
    critical_path,
    fan_out,
    gates,
    grounded,
    growing_state,
    guardrails,
    import_size,
    many_runs,
    on_topic,
    plainly,
    proposals,
    recovery,
    scale,
    support_desk,
)

WORKLOADS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        chain_memory,
        chain_durable,
        fan_out,
        gates,
        many_runs,
        growing_state,
        crash_recovery,
        import_size,
        guardrails,
        support_desk,
        adapter_overhead,
        grounded,
        on_topic,
        recovery,
        plainly,
        proposals,
        scale,
        critical_path,
    )
}
