"""submitter - looks at what a user submits, mends it, has it signed, and passes it on.

Serves     submissiond: Offer, OfferRecipient, Content, Withdraw -> Taken or Declined, as enqueuer does
Asks       authenticator: MayUse, for each address in From and Sender and for the reverse-path; signer: Sign. Offers to
           enqueuer what passed, with the same proofs
Holds      each message in memory until enqueuer has it, for its signature stands before it and is known behind it: what one
           message may be and no more, 128 MiB of one user, 512 MiB in all. No files, no keys
Believes   nothing: enqueuer checks the tickets of recipients, authenticator the log-in, signer the sender's ticket. What it
           makes up is what some user could have submitted. Nor submissiond: that it asked about the reverse-path counts
           for nothing, and without a log-in there is nobody but a program of this machine
Fails      an author the user may not use: 550 5.7.1 with the rule. No From, a From that can be read in two ways, no header:
           550 5.6.0 with the place. Too much at this moment: 452 4.3.1. Authenticator, signer or enqueuer away or silent: 451
           4.3.0, never unsigned because of that; unsigned goes only what has no key, several authors, or a program of this
           machine as its client, which logs in as nobody. A lost submissiond's messages vanish
Standards  RFC 6409 6.1, 8 (what a submission server mends), RFC 5322 3.6, RFC 6376 (the body's hash), RFC 8463

What is mended: a missing Date and Message-ID are added, and Sender where several wrote; Bcc, Resent-Bcc and Return-Path are
taken out, since whoever submits them means nobody to see them (RFC 5322 3.6.3) or takes what is not his to write (RFC 5321
4.4). Everything else stays octet for octet. Mail that is forwarded, relayed or our own does not pass here and is not signed.
Of a message that somebody sends on by Resent- fields the authors are still those of From, and checked as such.
"""
