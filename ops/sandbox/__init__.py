"""A payment provider of our own, for development and tests: it moves no money and keeps books as if it did.

It takes deposits, payouts and refunds, each once by our payment id, and tells of them by webhooks, signed as Stripe
signs (whatever is not by the method `paypal`) or as PayPal does. On demand it delays, repeats, reorders, drops, forges
and contradicts them, does what it then gives no answer to, and declines. Its books survive a restart.
"""
