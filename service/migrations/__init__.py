"""How the tables of `service.state` came to be, one step after another."""
