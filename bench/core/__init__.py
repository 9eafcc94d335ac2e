"""The base of every room: errors, arrays, hashing, files, the store, the registries."""
