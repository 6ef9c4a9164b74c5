"""What `softstore.verify` looks at, one kind of object a module."""
