//! The inputs that the fuzz targets keep, and every recorded stream as one more: what must hold for any bytes holds for
//! these, on every run of the tests and without a fuzzer.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

#[path = "../fuzz/src/lib.rs"]
#[expect(clippy::panic, reason = "a broken invariant must stop the fuzzer")]
#[expect(unreachable_pub, reason = "the same file is a library of its own for the fuzzer")]
mod fuzz;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

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
    inputs.iter().for_each(|input| fuzz::refuse("anthropic", input));
}

#[test]
fn the_decoder_of_chat_completions_holds() {
    let inputs = inputs("fuzz/corpus/openai_decode", "tests/transcripts");
    inputs.iter().for_each(|input| fuzz::decode("openai", input));
    // Reasoning between tags.
    inputs.iter().for_each(|input| fuzz::decode("openai-compatible", input));
    inputs.iter().for_each(|input| fuzz::refuse("openai", input));
}

/// A protocol's name, and what is recorded of it.
type Recorded = (&'static str, Vec<Vec<u8>>);

static RECORDED: LazyLock<[Recorded; 2]> = LazyLock::new(|| {
    ["anthropic", "openai"].map(|protocol| {
        (protocol, inputs(&format!("fuzz/corpus/{protocol}_decode"), &format!("tests/transcripts/{protocol}")))
    })
});

/// Damage to a stream: lines that are swapped, doubled or lost, and bytes that changed.
fn damage(stream: &[u8], swaps: &[(Index, Index)], flips: &[(Index, u8)]) -> Vec<u8> {
    let mut lines: Vec<_> = stream.split_inclusive(|byte| *byte == b'\n').collect();
    for (kind, (from, to)) in swaps.iter().enumerate() {
        let (from, to) = (from.index(lines.len()), to.index(lines.len()));
        match kind % 3 {
            0 => lines.swap(from, to),
            1 => lines.insert(to, lines[from]),
            _ => lines[from] = b"\n",
        }
    }
    let mut bytes = lines.concat();
    for (place, byte) in flips {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_streams_hold(
        which in any::<Index>(),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 0..6),
        flips in prop::collection::vec(any::<(Index, u8)>(), 0..4),
    ) {
        for (protocol, inputs) in RECORDED.iter() {
            fuzz::decode(protocol, &damage(which.get::<Vec<u8>>(inputs), &swaps, &flips));
        }
    }
}
