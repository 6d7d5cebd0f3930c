"""What payments do by themselves: towards providers, the wallet, the queue and settlement; and Kafka in."""
