"""The process of a local model: a program that stands alone, so that it starts without all the rest of Interlock.

It writes the address of its server to standard output, and ends when its standard input does: with whoever started it.
"""

import os
import sys


def main(name: str, weights: str, calls: str, context_tokens: str, max_tokens: str) -> None:
    """Serve a model at an address that only this machine reaches, until standard input ends."""
    import xllamacpp

    given = xllamacpp.CommonParams()
    given.model.path = weights
    given.model_alias = {name}
    given.hostnames, given.port = ["127.0.0.1"], 0
    given.n_parallel, given.n_ctx = int(calls), int(calls) * int(context_tokens)
    given.n_predict, given.verbosity = int(max_tokens), -1
    # Others on this machine need not read along.
    given.ui = given.endpoint_slots = given.endpoint_props = False
    server = xllamacpp.Server(given)
    print(server.listening_address, flush=True)  # noqa: T201 - whoever started this reads it
    sys.stdin.read()
    os._exit(0)  # llama.cpp takes its time to tidy up, and nobody waits


if __name__ == "__main__":
    main(*sys.argv[1:])
