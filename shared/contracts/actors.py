"""Who acts for the platform itself, as its commands and the audit log name it. No token names one of them."""

LEDGER = "ledger"
HOLD_EXPIRY = "langsense"
COMPLIANCE = "compliance_service"
FRAUD = "fraud_service"
PAYMENTS = "payments_service"

RESERVED = frozenset({LEDGER, HOLD_EXPIRY, COMPLIANCE, FRAUD, PAYMENTS})
