"""What the core needs of the world: store, kernel table, clock."""
