//! The sums, as an operator asks for them.

use completiond::proto::admin_service_client::AdminServiceClient;
use completiond::proto::{ListUsageRequest, ListUsageResponse, UsageDimension, UsageRecord};
use std::net::SocketAddr;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

pub(super) async fn admin(address: SocketAddr) -> AdminServiceClient<Channel> {
    AdminServiceClient::new(Endpoint::try_from(format!("http://{address}")).unwrap().connect().await.unwrap())
}

pub(super) async fn list(address: SocketAddr, request: ListUsageRequest) -> Result<ListUsageResponse, Status> {
    admin(address).await.list_usage(request).await.map(tonic::Response::into_inner)
}

pub(super) fn by(dimensions: &[UsageDimension]) -> ListUsageRequest {
    ListUsageRequest { group_by: dimensions.iter().map(|it| i32::from(*it)).collect(), ..Default::default() }
}

/// The one sum of all.
pub(super) async fn total(address: SocketAddr) -> UsageRecord {
    let mut records = list(address, by(&[])).await.unwrap().records;
    assert_eq!(records.len(), 1);
    records.remove(0)
}
