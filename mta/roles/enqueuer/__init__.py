"""enqueuer - takes charge of a message: durable before it answers.

Serves    smtpd, submitter: Offer, OfferRecipient, Content, Withdraw -> Taken or Declined.
          bouncer: OriginalOf -> Original; OfferDsn, OfferNotice, OfferConsent, Content, Withdraw -> Taken or Declined
          reporter: OfferReport, Content -> Taken or Declined; 2,000 a day
Asks      nobody. Tells scheduler Recovered and Queued, ledger Reserve
Holds     spool/content and spool/envelope, to write; session, ticket and original key
Believes  of smtpd only what a session token and a ticket prove: who the client is, and that the directory said yes to this
          recipient from this reverse-path in this session; of submitter likewise, and that somebody logged in only by the
          authenticator's ticket. Of the bouncer only an authority for one message: to whom the
          notification goes is read from the original's own envelope. Of marks in a header section (for whom was it here
          before?) those that it made itself
Fails     a refusal is Declined, and nothing is kept: 550 5.7.1 without ticket, 552 5.3.4 too large, 452 4.3.1 disk full,
          451 4.3.0 disk broken. A breach of protocol hangs up. A lost peer's unfinished messages vanish; what is finished stays

Taken is sent after both files and both folders are synced, never before (ARCHITECTURE.md, the spool's state table).

Standards  RFC 5321 4.4 (Received), 6.1 (responsibility), RFC 3463 (status), RFC 3461 4.3 (RET), RFC 3464
"""
