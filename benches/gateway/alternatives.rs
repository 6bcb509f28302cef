//! The gateways that a user has instead, where this machine has them: how each is started as its makers advise for production,
//! and what a caller has to show it. Both are asked in OpenAI's protocol, and ask the upstream in it.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Failure;
use crate::arguments::Binaries;
use crate::production::CALLER_KEY;
use crate::shapes::{self, Wire};

/// What would put something between a server and the upstream.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// A gateway of others.
#[derive(Clone, Debug)]
pub(crate) struct Alternative {
    /// As it stands in figures.
    pub(crate) name: &'static str,
    /// How many streams at a time it keeps up with on a core, where each has an event every 5 ms.
    pub(crate) paced: usize,
    binary: PathBuf,
    command: fn(&Path, SocketAddr, SocketAddr, &Path) -> Result<Command, Failure>,
    headers: fn(SocketAddr) -> Result<HeaderMap, Failure>,
}

impl Alternative {
    /// Those that are named.
    pub(crate) fn named(binaries: &Binaries) -> Result<Vec<Self>, Failure> {
        let litellm = binaries.litellm.as_ref().map(|binary| {
            let binary = std::path::absolute(binary)?;
            Ok::<_, Failure>(Self { name: "LiteLLM", paced: 2, binary, command: litellm, headers: key })
        });
        let portkey = binaries.portkey.as_ref().map(|binary| {
            let binary = std::path::absolute(binary)?;
            Ok::<_, Failure>(Self { name: "Portkey", paced: 20, binary, command: portkey, headers: routed })
        });
        [litellm, portkey].into_iter().flatten().collect()
    }

    /// How it is started, to listen at `listen`; what it needs stands in `folder`.
    pub(crate) fn command(&self, listen: SocketAddr, upstream: SocketAddr, folder: &Path) -> Result<Command, Failure> {
        std::fs::create_dir_all(folder)?;
        let mut command = (self.command)(&self.binary, listen, upstream, folder)?;
        PROXIES.iter().for_each(|variable| {
            command.env_remove(variable);
        });
        // What it writes beside itself goes with the folder.
        command.current_dir(folder);
        Ok(command)
    }

    /// What a call has to show.
    pub(crate) fn headers(&self, upstream: SocketAddr) -> Result<HeaderMap, Failure> {
        (self.headers)(upstream)
    }
}

/// One worker for the one core, errors alone in its log, the prices that are in its package, and a key that it asks for. Models
/// have prices, as with us. That a stream may say the same thing often is set as well: what the upstream says is taken for a model
/// that has lost itself otherwise.
fn litellm(binary: &Path, listen: SocketAddr, upstream: SocketAddr, folder: &Path) -> Result<Command, Failure> {
    let mut text = String::from("model_list:\n");
    for shape in shapes::ALL {
        writeln!(
            text,
            "  - model_name: {shape}\n    litellm_params: {{ model: openai/{shape}, api_base: \"http://{upstream}/v1\", \
             api_key: bench-key, input_cost_per_token: 0.000003, output_cost_per_token: 0.000015 }}"
        )?;
    }
    text.push_str("litellm_settings: { set_verbose: false, request_timeout: 600, json_logs: true }\n");
    writeln!(text, "general_settings: {{ master_key: {} }}", litellm_key())?;
    let file = folder.join("litellm.yaml");
    std::fs::write(&file, text)?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(file).args(["--host", "127.0.0.1", "--port"]).arg(listen.port().to_string());
    command.args(["--num_workers", "1", "--telemetry", "False"]).env_remove("DATABASE_URL");
    command.env("LITELLM_MODE", "PRODUCTION").env("LITELLM_LOG", "ERROR").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    command.env("REPEATED_STREAMING_CHUNK_LIMIT", "1000000");
    Ok(command)
}

/// Its keys begin in this way.
fn litellm_key() -> String {
    format!("sk-{CALLER_KEY}")
}

fn key(_: SocketAddr) -> Result<HeaderMap, Failure> {
    Ok(HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {}", litellm_key()))?)]))
}

/// Without its console. It has no configuration: each call says whom it is for.
fn portkey(binary: &Path, listen: SocketAddr, _: SocketAddr, _: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(binary);
    command.arg(format!("--port={}", listen.port())).arg("--headless").env("NODE_ENV", "production");
    Ok(command)
}

fn routed(upstream: SocketAddr) -> Result<HeaderMap, Failure> {
    let base = Wire::Chat.path().strip_suffix("/chat/completions").unwrap_or_default();
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, HeaderValue::from_static("Bearer bench-key")),
        (HeaderName::from_static("x-portkey-provider"), HeaderValue::from_static("openai")),
        (HeaderName::from_static("x-portkey-custom-host"), HeaderValue::from_str(&format!("http://{upstream}{base}"))?),
    ]))
}
