"""local - writes messages into the mailboxes of one domain, under that domain's uid.

Serves    one channel to localspawn, which forked it: Write with the content's descriptor -> Attempted; Stage with several
          -> Staged, and Attempted for each that could not be
Holds     its domain's folder, to read and write; each content it was handed, to read, until it has answered. No network,
          no other domain, no spool, no snapshot, no keys. Not even the journal: localspawn tells what it answers
Believes  nothing of the content but where its header section ends and which `Delivered-To` fields stand there. Its own
          folder least: links in it are not followed, and what is not a folder is not used
Fails     a full disk or quota, or anything in the way: `delayed`, and the half-written file is removed. When its folder is
          no longer its own (the domain was removed) it ends, and is made again with the folder of that name. A breach of
          protocol, or a lost channel: it ends

Durable before it answers `delivered`: the file in tmp/ is synced, then renamed into new/, then new/ is synced; in a batch of
four or more, one syncfs stands for each kind. What comes with a Stage waits in tmp/ until the next Stage says that it is on
the disk: then localspawn syncs, and says `delivered` after it has done so once more. The file's name comes from the queue id
and the recipient and not from the moment, so a delivery that is repeated after a crash replaces the same file with the same
bytes.

Standards  Maildir++ (`,S=` size in the name); RFC 5321 4.4 (Return-Path); RFC 3463 (status); Delivered-To ends loops (5.4.6)
"""
