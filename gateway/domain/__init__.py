"""Pure: who may do what, what a request asks, how a decision reads to people and programs outside."""
