"""`python -m appliance.cli`: the same as `postern`."""

import sys

from appliance.cli import main

sys.exit(main())
