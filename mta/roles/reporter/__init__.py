"""reporter - tells domains once a day how TLS with their hosts went, where their record in DNS asks for it.

Serves     remotespawn: TlsSeen, which is not answered
Asks       resolver: LookUp -> Found, who wants reports, and TLSA records; fetcher: Fetch -> Fetched, the policy that was in
           force; signer: SignReport -> Signed; enqueuer: OfferReport, Content -> Taken or Declined
Holds      counts of sessions by domain, policy, host and result, of today and two days before, in memory and in the one file
           that was opened for it before; it cannot name a file. No key, no mail, no network of its own
Believes   remotespawn; of a record in DNS, which may name anybody, two addresses
Fails      resolver, signer or enqueuer away or deferring: the domain is tried again every quarter of an hour, for a day.
           What was counted in the last seconds before it was killed is lost; a report on its way then may go out twice,
           under the same Report-ID
Standards  RFC 8460 (but only by mail), RFC 6522, RFC 8689 3 (TLS-Required: No)

It exists only where `outbound.tls_reports` names the address that reports come from. Whoever takes it over can mail what he
likes under that address, to whom he likes, 2,000 times a day; enqueuer counts, and signer signs no other author.
"""
