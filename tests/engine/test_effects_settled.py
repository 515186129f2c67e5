"""Effects of runs that are decided about and tried again: by the inbox, in place and in a fork."""

import interlock as il
from interlock.core.effects import PERFORMED
from tests import virtual

from .stage import step
from .test_performances import Outside, at_work, desk, told


def test_a_person_says_what_became_of_an_effect():
    async def main():
        outside = Outside(OSError("the line broke"))
        async with at_work(desk(step("a"), step("b", "a")), outside) as work:
            run = await work.run({})
            [question] = await work.inbox(run.run_id)
            assert (run.status, question.step) == ("parked", "a")
            ended = await work.decide(run.run_id, "a", "answer", text=PERFORMED, by="eve")
            return ended, len(outside.done), await told(work, run.run_id)

    run, performed, events = virtual.run(main())
    assert (run.status, performed) == ("succeeded", 1)
    assert events.count("AttemptStarted a") == 1


def test_a_step_tried_again_in_place_performs_what_is_not_done_with_the_same_key():
    async def main():
        outside = Outside(il.NotPerformed("declined", again=False))
        async with at_work(desk(), outside) as work:
            failed = await work.run({})
            run = await work.redrive(failed.run_id)
            return failed, run, outside.done

    failed, run, done = virtual.run(main())
    assert (failed.status, run.status, run.run_id, run.cost.calls) == ("failed", "succeeded", failed.run_id, 1)
    assert len(done) == 2
    assert len({key for _, key in done}) == 1


async def sends(job: il.Job) -> il.Reply:
    """What it is shown decides about the second of its effects alone."""
    effects = [il.Effect("mail", 1, key="one"), il.Effect("mail", job.view["amount"], key="two")]
    return il.Reply(writes={"out.a": 1}, effects=effects)


def test_a_fork_does_not_perform_again_what_its_origin_did():
    async def main():
        outside = Outside(None, il.NotPerformed("too much", again=False))
        async with at_work(desk(), outside, sends) as work:
            failed = await work.run({"amount": 5})
            run = await work.redrive(failed.run_id, changes={"amount": 3})
            return failed, run, outside.done

    failed, run, done = virtual.run(main())
    assert (failed.status, run.status) == ("failed", "succeeded")
    assert run.run_id != failed.run_id
    assert done == [
        (1, f"{failed.run_id}/a/effect:one"),
        (5, f"{failed.run_id}/a/effect:two"),
        (3, f"{run.run_id}/a/effect:two"),
    ]


def test_a_fork_tries_what_is_unknown_with_the_key_of_its_origin():
    async def main():
        outside = Outside(OSError("the line broke"))
        async with at_work(desk(retries=0, on_unknown="retry"), outside) as work:
            failed = await work.run({"amount": 5})
            run = await work.redrive(failed.run_id, changes={"amount": 3})
            return failed, run, outside.done

    failed, run, done = virtual.run(main())
    assert (failed.status, run.status) == ("failed", "succeeded")
    assert [key for _, key in done] == [f"{failed.run_id}/a/effect:m"] * 2
