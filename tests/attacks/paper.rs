//! The table of attacks in docs/threat-model.md: each row names its test and has, in its last column, what was measured.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

static WRITING: Mutex<()> = Mutex::new(());

/// Tells what was measured by the test of this name. With `UPDATE_EXPECTED=1` it is written to its row; without, the row must
/// be there.
pub(crate) fn measured(test: &str, told: &str) {
    println!("{test}: {told}");
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/threat-model.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let attacks = text.split("\n## Attacks\n").nth(1).unwrap_or_default();
    let row = attacks.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{test}`")));
    let row = row.unwrap_or_else(|| panic!("docs/threat-model.md has no row for {test}"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        let kept = row.trim_end_matches('|').rsplit_once('|').unwrap().0;
        let written = text.replacen(row, &format!("{kept}| {told} |"), 1);
        std::fs::write(&path, written).unwrap();
    } else {
        let told = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim();
        assert!(!told.is_empty(), "nothing was measured of {test}: UPDATE_EXPECTED=1 writes it");
    }
}
