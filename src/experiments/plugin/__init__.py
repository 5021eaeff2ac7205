"""What a plugin is: kinds, fields, registry, discovery."""
