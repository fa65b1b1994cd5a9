//! From weights and token ids to token ids.
