"""journal - collects what the roles decided: into log/events.log, into figures, and a line for the operator of what matters.

Serves    every role; none gets an answer
Holds     log/, figures/ (counts for Prometheus, which web sends), and the operator's terminal
Believes  nobody about who speaks: an event bears the name of the channel it came over. What it says is text, and control
          characters in it are shown, not obeyed; it counts only what its role may say (mta.events)
Fails     full disk: drops lines and counts them. A terminal that takes nothing: drops lines. On anything else exits 111;
          mail flows on without it

Not an audit trail: a line is lost when the machine stops, and roles drop events when the journal lags. The files are
bounded in size and number.
"""
