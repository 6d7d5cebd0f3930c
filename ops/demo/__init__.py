"""`langsense demo`: a simulated casino on a running platform, and the proof that not a cent went astray.

`players` says what is asked for, `channels` ask (REST and Kafka), `casino` runs it, `cashier` takes payments beside it,
`report` shows it.
"""
