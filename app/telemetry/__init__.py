"""What the server measures of itself, in Prometheus's form."""
