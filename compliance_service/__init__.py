"""Compliance: KYC, exclusions, the audit log.

Owns: its schema, which has no table yet.
Hears: nothing yet.
Says: nothing yet.
"""
