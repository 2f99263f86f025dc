"""The limits that controls measure against: a name and a reason each, so that a change is one line to review."""

import datetime as dt

# Raw: dbt quarantines the single rows without a key or time; more than one in a hundred is a broken delivery.
FILLED_SHARE = 0.99
# A delivery under two fifths or over five times its predecessor is more often a fault of the extract than of trade.
VOLUME_RATIO = (0.4, 5.0)
VOLUME_COMPARABLE_ROWS = 100  # under this many rows a ratio is chance

# Quality levels.
EARLIEST_BIRTH_DATE = dt.date(1890, 1, 1)  # nobody older lives; the normaliser refuses earlier dates
QUALITY_LEVEL_FOUR_SHARE = 0.60  # past it, the mandatory names do not arrive or the mapping is wrong
QUARANTINED_WARNING_SHARE = 0.05
QUARANTINED_CRITICAL_SHARE = 0.20

# Marts: the paper's retailer starts with 54.29 % of its parties in X.
STATE_X_SHARE = 0.75
UNPLACED_SHARE = 0.10
STATE_SHARE_JUMP = 0.10  # per state, against the last published run
CUSTOMER_COUNT_RATIO = 0.80  # customers may merge, but a fifth of them does not vanish in one run
