//! What was used and what it cost, summed up: over real sockets, over restarts, and among processes that share a Redis.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects, and this crate is nothing but tests"
)]

mod file;
mod process;
mod redis;
#[path = "../stage/mod.rs"]
mod stage;
mod sums;

use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::{ListUsageRequest, ListUsageResponse, UsageDimension, UsageRecord};
use std::net::SocketAddr;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

async fn admin(address: SocketAddr) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap())
}

async fn list(address: SocketAddr, request: ListUsageRequest) -> Result<ListUsageResponse, Status> {
    admin(address).await.list_usage(request).await.map(tonic::Response::into_inner)
}

fn by(dimensions: &[UsageDimension]) -> ListUsageRequest {
    ListUsageRequest { group_by: dimensions.iter().map(|it| i32::from(*it)).collect(), ..Default::default() }
}

/// The one sum of all.
async fn total(address: SocketAddr) -> UsageRecord {
    let mut records = list(address, by(&[])).await.unwrap().records;
    assert_eq!(records.len(), 1);
    records.remove(0)
}
