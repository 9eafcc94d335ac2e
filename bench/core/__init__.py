"""What every room stands on: errors, arrays, hashing, files, the store, the registries."""
