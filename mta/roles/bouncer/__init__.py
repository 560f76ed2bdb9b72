"""bouncer - composes what the house writes of its own accord: notifications, notices, questions for consent, autoreplies.

Serves    scheduler: Bounce, ReportedRecipient -> Bounced; Reply -> Replied. ledger: Notice, compiler: AskConsent -> Noticed.
          directory: Judge -> Judged, what stands in a header where a forwarding asks for it
Asks      enqueuer: OriginalOf -> Original; OfferDsn, OfferNotice, OfferConsent, OfferReply, Content -> Taken or
          Declined. directory: LanguageOf -> Language, ReplyOf -> ReplyWords. signer: SignReply -> Signed
Holds     nothing: no files, no keys, no network. For one message at a time the authority to see its header section,
          or its content when the sender wants it back
Believes  nothing that must hold: to whom the notification goes is the enqueuer's to know. What a stranger wrote in header,
          addresses and diagnostics is made harmless before it goes into the notification
Fails     directory away: it is written in English. enqueuer away, lost or deferring: `done` no, and the scheduler asks
          again. A notification that the enqueuer refuses for good must not be sent, so that is done. Of an autoreply every
          trouble means that there is none; of a header that nobody can show, `later`

Standards  RFC 3461 6, RFC 3464, RFC 6533, RFC 6522 (multipart/report), RFC 3282 (Content-Language), RFC 3834 (Auto-Submitted)
"""
