//! The admin listener that is asked about the pool.

use std::time::Duration;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::super::client::{ProofArgs, root_cause};
use super::super::{Exit, render, tell};
use crate::proto::admin_service_client::AdminServiceClient;
use crate::proto::{GetPoolRequest, GetPoolResponse};

/// How long an answer may take. The server only has to look at what it knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is taken, in bytes: some ten thousands of endpoints.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The flags of an admin listener.
#[derive(Debug, Clone, Args)]
pub(super) struct AdminArgs {
    /// The server's admin listener: `host:port`, `https://host:port` or `unix:/path`
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_ADMIN_SERVER", default_value = "127.0.0.1:50052")]
    pub(super) server: String,
    #[command(flatten)]
    proof: ProofArgs,
}

/// A connection to an admin listener. It connects anew by itself when it is lost.
#[derive(Clone, Debug)]
pub(super) struct Server {
    client: AdminServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl AdminArgs {
    /// Connects.
    ///
    /// # Errors
    /// The server is not reachable; it was told.
    pub(super) async fn connect(&self) -> Result<Server, Exit> {
        let doubt = "is this its admin listener (`admin_listen`, with --server ADDR)?";
        let (channel, authorization) = self.proof.dial(&self.server, doubt).await?;
        let client = AdminServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Server { client, authorization })
    }
}

impl Server {
    /// Asks how the pool is.
    ///
    /// # Errors
    /// The status of the call; DEADLINE_EXCEEDED also where nothing came in time.
    pub(super) async fn ask(&self) -> Result<GetPoolResponse, Status> {
        let mut request = tonic::Request::new(GetPoolRequest {});
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        let mut client = self.client.clone();
        match tokio::time::timeout(PATIENCE, client.get_pool(request)).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}

/// Tells why the pool could not be asked, and what the command ends with.
pub(super) fn failed(status: &Status) -> Exit {
    tell(render::failure(status));
    if status.code() == Code::Unimplemented {
        tell("is this the server's admin listener? by default that is port 50052, and callers come in at 50051");
    }
    render::exit(status)
}

/// The same in a few words, for a table that waits for the server.
pub(super) fn why(status: &Status) -> String {
    let cause = std::error::Error::source(status).map(root_cause);
    let words = cause.unwrap_or_else(|| status.message().to_owned());
    words.chars().filter(|letter| !letter.is_control()).collect()
}
