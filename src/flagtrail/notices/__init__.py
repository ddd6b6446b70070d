"""Tells people and programs of changes as they are stored, and of what goes wrong with the trail itself.

`collecting` looks at each event once for each rule, and writes the messages together with how far the rule has come:
one transaction, so that a crash leaves both or neither. `sending` takes the messages from there to their sinks, as
often as it needs, so each arrives at least once; one that arrives twice has the same key.
"""
