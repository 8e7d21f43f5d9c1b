"""InfraValidator: can the exported model be served? Asked before it is pushed."""
