"""`langsense demo`: a simulated casino on a running platform, and the proof that not a cent went astray.

`players` says what is asked for, `channels` ask (REST and Kafka), `casino` runs it, `report` shows it.
"""
