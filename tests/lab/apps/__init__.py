"""What the lab's cluster runs before a migration: the blue gateways and the applications behind them."""
