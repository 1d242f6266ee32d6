"""What tallyd takes for a mistake in how these GOSTs are set up, and is none."""
import re

ALARM = re.compile('something looks wrong: code=(.+?) node="(.*?)" service="(.*?)"')


def false_alarms(log, gosts):
    """{(code, node, service)} of this log, without those that are true.

    A state is sent once. Whose states were lost on the way, or refused, has not announced itself.
    """
    unheard = {gost.node for gost in gosts if not are_heard(gost.sent)}
    return {alarm for alarm in ALARM.findall(log)
            if alarm[0] != "no-states" or alarm[1] not in unheard}


def are_heard(sent):
    """Of Gost.sent: whether each state that begins something was taken."""
    return all(outcome == "ok" for _, state, outcome in sent if state != "closed")
