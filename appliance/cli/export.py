"""`postern export`: everything a tenant has, as one document."""

import json
import sys

from appliance.cli.house import Switch, actor, looking
from appliance.services import holdings, sheets, tenants


def export(*, tenant: str | None = None, csv: Switch = False) -> None:
    """Write domains, mailboxes and aliases of --tenant, or of all, as the JSON document that PUT /apply takes; or as a sheet."""
    with looking() as session:
        owner = tenants.find(session, tenant, actor=actor()).id if tenant else None
        document = holdings.give_out(session, actor=actor(), tenant_id=owner)
    if csv:
        sys.stdout.writelines(sheets.write(document))
        return
    json.dump(document, sys.stdout, ensure_ascii=False, indent=1)
    sys.stdout.write("\n")
