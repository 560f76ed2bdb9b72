"""Postern beside a throw-away Postfix: the same driver, file system, mailboxes and messages, in turn.

    inbound         drives one server with smtp-source and measures
    peers           what a server is to the comparison: start, stop, count its syncs
    peer_postfix    Debian's Postfix in a temporary directory
    peer_postern    this tree in a temporary directory
    compare         A B A B, medians, ratios (`make bench`)

A reader would otherwise get wrong: CPU is that of the whole machine minus the driver's, not that of the server's
processes, because a server's work shows up in the kernel's threads too. Run it on a machine that does nothing else;
each run says how busy the machine was before it.
"""
