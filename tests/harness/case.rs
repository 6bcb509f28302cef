//! A case on disk: a folder of bytes as they came, and what they mean.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use completiond::domain::{Block, Identity, Message, ModelId, ProviderId, Request, Role, Tokens, Vendor};
use completiond::protocol::{Decoder, Delivery, Order, Protocol, vendor};
use serde::Deserialize;
use serde_json::Value;

/// One recorded answer.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) protocol: String,
    pub(crate) kinds: Vec<String>,
    pub(crate) stream: Option<Vec<u8>>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) refusals: Vec<Refused>,
    pub(crate) identity: Identity,
    folder: PathBuf,
}

/// An answer that is not 2xx.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: Option<Value>,
    #[serde(default)]
    pub(crate) body_text: Option<String>,
}

/// `case.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    kinds: Vec<String>,
    #[serde(default)]
    vendor: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default, rename = "note")]
    _note: String,
}

/// The protocols that vendors speak: each needs cases.
pub(crate) fn protocols() -> BTreeSet<String> {
    vendor::PRESETS.iter().map(|preset| (preset.protocol)().name().to_owned()).collect()
}

/// All cases of all protocols.
pub(crate) fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let cases: Vec<_> = folders(&root).iter().flat_map(|protocol| folders(protocol)).map(Case::read).collect();
    assert!(!cases.is_empty(), "there are no transcripts");
    cases
}

fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let bytes = |name: &str| std::fs::read(folder.join(name)).ok();
        let bad = |error: serde_json::Error| -> serde_json::Error { panic!("{}: {error}", folder.display()) };
        let head = bytes("case.json").unwrap_or_else(|| panic!("{}: no case.json", folder.display()));
        let head: Head = serde_json::from_slice(&head).map_err(bad).unwrap();
        let table = bytes("refusals.json").unwrap_or_else(|| b"[]".to_vec());
        let refusals: Vec<Refused> = serde_json::from_slice(&table).map_err(bad).unwrap();
        let protocol = folder.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let vendor = Vendor::new(head.vendor.unwrap_or_else(|| protocol.clone()));
        let model = ModelId::new(head.model.as_deref().unwrap_or("test-model"));
        let case = Self {
            kinds: head.kinds,
            stream: bytes("response.sse"),
            body: bytes("response.json"),
            refusals,
            identity: Identity::new(ProviderId::new("transcripts"), vendor, model),
            protocol,
            folder,
        };
        assert_eq!(case.protocol().name(), case.protocol, "{case}: the vendor speaks another protocol");
        let parts = usize::from(case.stream.is_some() || case.body.is_some()) + usize::from(!case.refusals.is_empty());
        assert_eq!(parts, 1, "{case}: a case is an answer or a table of refusals");
        case
    }

    /// The protocol in the vendor's dialect.
    pub(crate) fn protocol(&self) -> Arc<dyn Protocol> {
        let vendor = self.identity.vendor.as_str();
        let preset = vendor::preset(vendor).unwrap_or_else(|| panic!("{self}: no vendor {vendor:?}"));
        (preset.protocol)()
    }

    /// What reads the answer to a plain request.
    pub(crate) fn decoder(&self, delivery: Delivery) -> Box<dyn Decoder> {
        let message = Message { role: Role::User, content: vec![Block::text("Hello?")], state: None };
        let request = Request { messages: vec![message], ..Request::default() };
        let max_tokens = Tokens::new(2048);
        let order = Order {
            request: &request,
            identity: &self.identity,
            facts: None,
            delivery,
            max_tokens,
            prompt_cache: request.prompt_cache,
        };
        let exchange = self.protocol().encode(&order).unwrap_or_else(|unfit| panic!("{self}: {unfit:?}"));
        assert_eq!(exchange.delivery, delivery, "{self}");
        exchange.decoder
    }

    /// `expected.json`.
    pub(crate) fn expected(&self) -> Value {
        let path = self.folder.join("expected.json");
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Replaces `expected.json`.
    pub(crate) fn write_expected(&self, value: &Value) {
        std::fs::write(self.folder.join("expected.json"), format!("{value:#}\n")).unwrap();
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.folder.file_name().unwrap().to_string_lossy())
    }
}
