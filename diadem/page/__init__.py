"""The archive in a browser: pages made here, of what the API says. Nothing is fetched from elsewhere."""
