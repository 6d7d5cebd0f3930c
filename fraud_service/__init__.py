"""Fraud: a score with reasons for every player, rules as data, and flags for people to look at.

Owns: features, scores and their history, rules, their versions and snoozes, flags and their blocks, games, signals,
what players share, bets per minute.
Hears: `ledger.events.v1`, `game.rounds.v1`, `payments.events.v1`, `compliance.events.v1`.
Says: `fraud.events.v1`; `wallet.commands.v1`, where flags block.
"""
