"""Any team, under any seed, with every kind of fault: nothing is ever broken."""

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import interlock as il
from interlock.core.values import encode
from interlock.testing.chance import Chance
from interlock.testing.fakes import Generated
from interlock.testing.generation.replies import RequestMaker
from interlock.testing.injection.faults import Faults
from interlock.testing.simulation.transcript import transcript
from interlock.testing.simulation.world import Scene, World
from tests.core.strategies import scenarios

RUNS = 2


def team_of(rules) -> il.Team:
    agents = []
    for name, role in rules.roles.items():
        policy = role.policy
        agents.append(
            il.Agent(
                name,
                scope=role.scope,
                retries=policy.retries,
                timeout=f"{policy.timeout_ms}ms",
                backoff=f"{policy.backoff_ms}ms" if policy.backoff_ms else None,
                fallback=role.fallback,
                schema=role.schema,
                on_dead=role.on_dead,
            )
        )
    sharing = rules.sharing
    return il.Team(
        agents,
        il.Plan(list(rules.plan.declared)),
        reducers=sharing.reducers,
        succession={field: tuple(owners) for field, owners in sharing.succession.items()},
        limits=rules.limits,
    )


def scene_of(rules, seed) -> Scene:
    team = team_of(rules)
    make = RequestMaker(team.rules)
    requests = [encode(make(Chance(seed).stream("request", n))) for n in range(RUNS)]
    agents = dict.fromkeys(team.agents, Generated(team.rules))
    return Scene(team=team, agents=agents, requests=requests, faults=Faults.everything(0.05))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(scenarios(), st.integers(0, 2**32))
def test_nothing_breaks_whatever_the_team_and_the_seed(scenario, seed):
    scene = scene_of(scenario.rules, seed)
    episode = World(scene, seed).play()
    for struck in episode.struck:
        event(f"struck by {struck.kind}")
    assert episode.broken is None, "\n".join(transcript(episode))
    assert World(msgspec.structs.replace(scene), seed).play().digest == episode.digest
