"""bouncer - composes delivery status notifications, notices about mailboxes that may not send any more, and questions for consent.

Serves    scheduler: Bounce, ReportedRecipient -> Bounced. ledger: Notice, compiler: AskConsent -> Noticed
Asks      enqueuer: OriginalOf -> Original; OfferDsn, OfferNotice, OfferConsent, Content -> Taken or
          Declined. directory: LanguageOf -> Language
Holds     nothing: no files, no keys, no network. For one message at a time the authority to see its header section,
          or its content when the sender wants it back
Believes  nothing that must hold: to whom the notification goes is the enqueuer's to know. What a stranger wrote in header,
          addresses and diagnostics is made harmless before it goes into the notification
Fails     directory away: it is written in English. enqueuer away, lost or deferring: `done` no, and the scheduler asks
          again. A notification that the enqueuer refuses for good must not be sent, so that is done

Standards  RFC 3461 6, RFC 3464, RFC 6533, RFC 6522 (multipart/report), RFC 3282 (Content-Language), RFC 3834 (Auto-Submitted)
"""
