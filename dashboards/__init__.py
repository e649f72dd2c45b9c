"""Read-only Dash pages, on the same queries that the command line and the API use."""
