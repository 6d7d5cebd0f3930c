"""What the services and their clients say to each other: topics, kinds, commands, events, replies.

Everything here is part of a public contract. Fields are added, never redefined; unknown fields are ignored.
"""
