//! The inputs that the fuzz targets keep, and every recorded stream as one more: what must hold for any bytes holds for
//! these, on every run of the tests and without a fuzzer.
#![expect(clippy::unwrap_used, reason = "a test says what it expects, and this crate is nothing but tests")]

#[path = "../fuzz/src/lib.rs"]
#[expect(clippy::panic, reason = "a broken invariant must stop the fuzzer")]
mod fuzz;

use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

/// Kept inputs, and recorded answers behind cuts of several sizes.
fn inputs(corpus: &str, recorded: &str) -> Vec<Vec<u8>> {
    let kept = files(corpus).into_iter().map(|path| std::fs::read(path).unwrap());
    let recorded = files(recorded)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name == "response.sse" || name == "response.json"));
    kept.chain(recorded.map(|path| [b"\x00\x01\x10\x02\xff\x07\x03\x20", &*std::fs::read(path).unwrap()].concat()))
        .collect()
}

#[test]
fn the_framer_holds() {
    inputs("fuzz/corpus/sse", "tests/transcripts").iter().for_each(|input| fuzz::sse(input));
}

#[test]
fn the_decoder_of_the_messages_protocol_holds() {
    // A stream of another protocol is as good as any garbage.
    let inputs = inputs("fuzz/corpus/anthropic_decode", "tests/transcripts");
    inputs.iter().for_each(|input| fuzz::decode("anthropic", input));
}
