"""web - the REST API under /api/v1 and the panel in the browser, one process.

A reader would otherwise get wrong: this process decides nothing. It parses, asks a service in `appliance.services`,
and shows what came back. What somebody may do is the service's judgement, whether a password is right is the
authenticator's, and the only place that knows HTTP's numbers for refusals is `web.errors`.
"""

from appliance import VERSION

# RFC 8259, section 6: beyond it readers of JSON round. The document's own bounds are read by such, too.
LARGEST = (1 << 53) - 1

__all__ = ["LARGEST", "VERSION"]
