"""Sources: from files, folders, packages and the Hub to rows, with every record accounted for."""
