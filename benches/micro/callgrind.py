"""What callgrind has counted, read from its file: how much in all, and how much for each function of ours."""

import collections
import dataclasses
import re

# Functions of this repository, and those of others that are made for a type of ours.
OURS = re.compile(r"\b(completiond|micro)::")
# What the compiler puts behind a name to tell it from others, and callgrind behind one that calls itself.
SUFFIX = re.compile(r"(::h[0-9a-f]{16})?('\d+)?$")
COST = re.compile(r"[+-]?\d+ (\d+)$|\* (\d+)$")


@dataclasses.dataclass
class Profile:
    total: int
    # By the name of a function: what it does itself and by way of functions that are not ours, like the allocator's.
    functions: dict


def read(text):
    """The profile in a file of callgrind's, which was written without compressed names."""
    costs, calls = collections.Counter(), collections.defaultdict(collections.Counter)
    function = callee = None
    is_call = False
    for line in text.splitlines():
        if line.startswith("fn="):
            function = SUFFIX.sub("", line[3:])
        elif line.startswith("cfn="):
            callee = SUFFIX.sub("", line[4:])
        elif line.startswith("calls="):
            # The next line has what the callee and all below it cost.
            is_call = True
        elif (cost := COST.match(line)) and function is not None:
            cost = int(cost[1] or cost[2])
            if is_call:
                calls[function][callee] += cost
            else:
                costs[function] += cost
            is_call = False
    return Profile(sum(costs.values()), shared(costs, calls))


def shared(costs, calls):
    """What is not ours is done for somebody: its cost goes to the functions of ours that have called it."""
    shares = {}

    def share(function):
        """The part of what `function` and all below it cost that no function of ours below it has to answer for."""
        if function not in shares:
            # Whoever calls itself in a circle is looked at once.
            shares[function] = None
            all_of_it = its_own = costs[function]
            for callee, cost in calls[function].items():
                if is_ours(callee):
                    all_of_it += cost
                elif (part := share(callee)) is not None:
                    all_of_it += cost
                    its_own += cost * part
            shares[function] = its_own / all_of_it if all_of_it else 1
        return shares[function]

    ours = {}
    for function in {*costs, *calls}:
        if is_ours(function):
            others = ((share(callee) or 0, cost) for callee, cost in calls[function].items() if not is_ours(callee))
            ours[function] = costs[function] + sum(part * cost for part, cost in others)
    return ours


def is_ours(function):
    return OURS.search(function) is not None
