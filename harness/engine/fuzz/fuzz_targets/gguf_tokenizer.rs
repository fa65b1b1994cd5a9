#![no_main]

libfuzzer_sys::fuzz_target!(init: engine_fuzz::init(), |bytes: &[u8]| engine_fuzz::read("gguf_tokenizer", bytes));
