//! `completiond key`: keys for callers, and the hashes by which the server knows them. It asks no server and writes no file.

use std::io::{IsTerminal, Read};

use anstyle::Style;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Exit, print, print_json, tell};
use crate::callers::Key;

/// The longest key that is read.
const MAX_KEY_BYTES: usize = 4096;
/// One byte more tells a key that is too long from one that just fits.
const LIMIT: u64 = 4097;
/// The longest name of a caller.
const MAX_NAME: usize = 63;
/// What is shorter can be found by trying.
const SHORT: usize = 20;

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();

/// The flags of `completiond key`.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key of 256 random bits: the key for its caller, and its hash for the configuration
    New {
        /// The caller's name, for the entry that is printed
        #[arg(value_name = "NAME", default_value = "somebody", value_parser = caller_name)]
        name: String,
        /// Print key and hash as JSON
        #[arg(long)]
        json: bool,
    },
    /// Read a key that there is already from standard input, and print its hash
    Hash {
        /// Print the hash as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Serialize)]
struct Made<'a> {
    key: &'a str,
    hash: String,
}

#[derive(Debug, Serialize)]
struct Hashed {
    hash: String,
}

/// Makes a key, or the hash of one.
pub(super) fn run(args: &KeyArgs) -> Result<(), Exit> {
    match &args.command {
        KeyCommand::New { name, json } => new(name, *json),
        KeyCommand::Hash { json } => hash(*json),
    }
}

/// The rule that the configuration has for names.
fn caller_name(text: &str) -> Result<String, String> {
    let mut letters = text.bytes();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = letters.next().is_some_and(plain) && letters.all(|byte| plain(byte) || b"._-".contains(&byte));
    match is_name && text.len() <= MAX_NAME {
        true => Ok(text.to_owned()),
        false => Err("a name has lower-case letters, digits, `.`, `_` and `-`, begins with a letter or a digit, and has at most 63".to_owned()),
    }
}

fn new(name: &str, as_json: bool) -> Result<(), Exit> {
    let key = Key::generate().map_err(|error| {
        tell(format_args!("no key could be made: {error}"));
        Exit::Failed
    })?;
    let hash = key.hash().to_string();
    if as_json {
        return print_json(&Made { key: key.expose(), hash });
    }
    print(&format!(
        "{STRONG}{}{STRONG:#}\n\n{FAINT}the key: its caller sends it as `authorization: Bearer KEY`. It is shown once, and is kept \
         nowhere.\nthe configuration knows it by its hash:{FAINT:#}\n\ncallers:\n  - name: {name}\n    keys: [\"{hash}\"]\n",
        key.expose()
    ))
}

fn hash(as_json: bool) -> Result<(), Exit> {
    let key = read().map_err(|what| {
        tell(what);
        Exit::Failed
    })?;
    let hash = key.hash().to_string();
    if as_json {
        return print_json(&Hashed { hash });
    }
    print(&format!("{hash}\n"))
}

fn read() -> Result<Key, String> {
    if std::io::stdin().is_terminal() {
        tell("type the key and end with Ctrl-D; better, send it from where it is kept: completiond key hash < FILE");
    }
    let mut text = String::new();
    let reading = std::io::stdin().lock().take(LIMIT).read_to_string(&mut text);
    reading.map_err(|error| format!("the key cannot be read: {error}"))?;
    let key = text.trim();
    match key.len() {
        0 => Err("standard input has no key".to_owned()),
        _ if text.len() > MAX_KEY_BYTES => Err("the key is longer than 4096 bytes".to_owned()),
        _ if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("a key has no spaces, line breaks or characters beyond ASCII: no header can carry them".to_owned())
        }
        length => {
            if length < SHORT {
                tell(format_args!(
                    "careful: a key of {length} characters can be found by trying; `completiond key new` makes one that cannot"
                ));
            }
            Ok(Key::new(key))
        }
    }
}
