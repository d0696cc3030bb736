"""What a person does at the command line beside running the server."""
