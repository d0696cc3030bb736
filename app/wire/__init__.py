"""What the wire formats that we serve have in common: bodies, files, tools, frames."""
