//! From an entry of models.yaml to verified files in the cache.
