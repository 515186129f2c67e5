"""Test a team of agents: alone, in pairs, and all together, in virtual time and with everything going wrong.

A `Simulator` runs a team on virtual time, with real agents or fakes; what comes back is a `SimulatedRun`, which tells
itself line by line. A `Fault` is something that shall go wrong, `Faults` are several. Fakes: `Scripted`, `Recorded`,
`Probabilistic` and `Generated`. An `Invariant` is a function that looks at the `Account` of a run after each event.
`check_agent` holds one agent against its contract, and a `Pair` is a writer and a reader that must get on.

The pytest plugin has a fixture for each: `simulator`, `fake_agents`, `agent_contract`, `pair`, `transcript_snapshot`.
"""

from .contract import ContractFailure, ContractReport, check_agent
from .fakes import Generated, Probabilistic, Recorded, Scripted
from .injection.adapters import InjectedError
from .injection.faults import Fault, Faults
from .overlap import StressReport
from .pairwise import Pair, PairFailed, PairReport, pairs
from .simulated import SimulatedRun, SimulationFailed
from .simulation.account import Account
from .simulation.campaign import Report
from .simulation.crashes import CrashReport
from .simulation.world import Invariant
from .simulator import Simulator

__all__ = [
    "Account",
    "ContractFailure",
    "ContractReport",
    "CrashReport",
    "Fault",
    "Faults",
    "Generated",
    "InjectedError",
    "Invariant",
    "Pair",
    "PairFailed",
    "PairReport",
    "Probabilistic",
    "Recorded",
    "Report",
    "Scripted",
    "SimulatedRun",
    "SimulationFailed",
    "Simulator",
    "StressReport",
    "check_agent",
    "pairs",
]
